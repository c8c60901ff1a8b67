"""Tries what serves in containers and in CI where no engine is: each file is linted, then its steps are run in order.

    .ci/containers.py [FOLDER]      the folder of hadolint, check-jsonschema and pre-commit (`pip install '.[lint]'`)

A stage of the Dockerfile is a folder and an environment of its own; paths of the image lead into the folder. No user of
this machine is added or changed: as root, what runs as USER runs with that number.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.argv[1]) if sys.argv[1:] else Path(sys.executable).parent
CONTINUED = re.compile(r"\\\n *")
MOUNT = re.compile(r"--mount=(\S+) ")
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
#: An application that asks once, of whatever its variables name.
ASK = f"""
import json, os, urllib.request

headers = {{"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
urllib.request.urlopen(urllib.request.Request(url, json.dumps({HELLO!r}).encode(), headers))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.chmod(0o755)  # USER reads it
        lint()
        image = build(work)
        run_image(image)
        run_compose(image)
        run_action(work / "action")
        run_hook(work / "hook")


def step(what: str) -> None:
    print(f"-- {what}", flush=True)


def run(*command: str | Path, code: int = 0, **options: Any) -> str:
    """Run a command, and return what it says. Raises: AssertionError, where it ends with another code."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{shlex.join(map(str, command))} ended with {done.returncode}:\n{said}"
    return said


def lint() -> None:
    step("lint Dockerfile, compose.yaml, action.yml, the workflows and the hook")
    run(TOOLS / "hadolint", ROOT / "Dockerfile")
    schemas = {
        "github-actions": "action.yml", "compose-spec": "compose.yaml",
        "github-workflows": "examples/gateway/github.yml", "gitlab-ci": "examples/gateway/gitlab.yml",
    }  # fmt: skip
    for schema, file in schemas.items():
        run(TOOLS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", ROOT / file)
    run(TOOLS / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")


# The image


@dataclass
class Stage:
    """A stage of a build: its folder, which stands for the root, and what its instructions said last."""

    root: Path
    said: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, Path] = field(default_factory=dict)

    def inside(self, text: str) -> str:
        """Return a text in which the image's paths lead into the folder."""
        known = {f"/{item.name}": item for item in self.root.iterdir()} | self.mounts
        paths = "|".join(map(re.escape, known)) or "(?!)"
        return re.sub(rf"(?<![\w./])({paths})(?=[\s/'\[]|$)", lambda found: str(known[found[1]]), text)

    def words(self, instruction: str) -> list[str]:
        """Return the command that an instruction has as a list."""
        text = self.said[instruction]
        return list(json.loads(text[text.index("[") :]))

    def run_by_user(self, *command: str) -> list[str]:
        user = self.said.get("USER", "")
        switch = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"]
        return [*(switch if user and os.geteuid() == 0 else []), *command]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.root}/env/bin:{os.environ['PATH']}", "HOME": str(self.root)}


def build(work: Path) -> Stage:
    """Run the Dockerfile's instructions in order, and return its last stage."""
    stages: dict[str, Stage] = {}
    lines = CONTINUED.sub(" ", (ROOT / "Dockerfile").read_text()).splitlines()
    for word, _, rest in (line.partition(" ") for line in lines if line and not line.startswith("#")):
        step(f"{word} {rest}")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            assert image.startswith("python:3"), image
            stages[name] = new_stage(work / f"stage-{len(stages)}")
        stage = list(stages.values())[-1]
        stage.said[word] = rest
        if word in INSTRUCTIONS:
            INSTRUCTIONS[word](stage, rest, stages)
    return stage


def new_stage(root: Path) -> Stage:
    """Make a folder with a Python that every user may run, and what an image has besides."""
    pythons = [Path(sys.executable).resolve(), Path("/usr/bin/python3")]
    python = next(item for item in pythons if all(parent.stat().st_mode & 0o1 for parent in item.parents))
    run(python, "-m", "venv", "--without-pip", root / "env")
    pip, users = f"{sys.executable} -m pip --python {root}/env/bin/python", root / "users"
    for name, script in {"pip": f'{pip} "$@"', "useradd": f'echo "$@" >{users}'}.items():
        (root / "env" / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (root / "env" / "bin" / name).chmod(0o755)
    return Stage(root)


def copy(stage: Stage, rest: str, stages: Mapping[str, Stage]) -> None:
    """Copy what .dockerignore lets through."""
    source, target = rest.split()
    assert source == ".", rest
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            there = stage.root / target.strip("/") / line[1:]
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / line[1:]).is_dir() else shutil.copy)(ROOT / line[1:], there)


def run_in(stage: Stage, rest: str, stages: Mapping[str, Stage]) -> None:
    for options in MOUNT.findall(rest):
        given = dict(item.split("=") for item in options.split(","))
        assert given["type"] == "bind", options
        stage.mounts[given["target"]] = stages[given["from"]].root / given["source"].strip("/")
    script = MOUNT.sub("", rest)
    for made in re.findall(r"--wheel-dir /(\w+)", script):
        (stage.root / made).mkdir()
    run(*stage.run_by_user("sh", "-ec", stage.inside(script)), cwd=stage.root, env=stage.environment)


def set_user(stage: Stage, rest: str, stages: Mapping[str, Stage]) -> None:
    added = (stage.root / "users").read_text()
    assert f"--uid {rest} " in added, f"USER {rest} is none that was added: {added}"


INSTRUCTIONS = {
    "COPY": copy,
    "RUN": run_in,
    "USER": set_user,
    "WORKDIR": lambda stage, rest, stages: (stage.root / rest.strip("/")).mkdir(),
}


# What it serves


def run_image(image: Stage) -> None:
    step(f"the container, as {image.said['USER']}: its health check, a request, and no control without a token")
    with serving(image, image.words("CMD")) as url:
        assert ask(f"{url}/v1/chat/completions", HELLO) == 200
        assert ask(f"{url}/_emulator/sessions") == 403, "it listens to all, so control needs a token"


def run_compose(image: Stage) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    step(f"compose.yaml: {', '.join(services)}")
    port = free_port()
    with running([*services["redis"]["command"], "--port", port], cwd=image.root):
        _, client, *check = services["redis"]["healthcheck"]["test"]
        await_success([client, "-p", port, *check])
        told = [word.replace("redis:6379", f"127.0.0.1:{port}") for word in services["emulator"]["command"]]
        with serving(image, [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in told]) as url:
            assert [ask(f"{url}/v1/chat/completions", HELLO) for _ in range(4)] == [200] * 4
            assert [ask(f"{url}/_emulator/sessions", token=token) for token in ("no", "local")] == [403, 200]


@contextmanager
def serving(image: Stage, command: Sequence[str]) -> Iterator[str]:
    """Run the entry point with a command, on a port in place of the exposed one, once its health check is good."""
    port = free_port()
    words = image.run_by_user(*image.words("ENTRYPOINT"), *command, "--port", port, "--quiet")
    with running(words, cwd=image.root / image.said["WORKDIR"].strip("/"), env=image.environment):
        exposed = f":{image.said['EXPOSE']}/"
        check = [word.replace(exposed, f":{port}/") for word in image.words("HEALTHCHECK")]
        await_success(image.run_by_user(*check), env=image.environment)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def await_success(command: Sequence[str], **options: Any) -> None:
    """Run a health check until it is good, for half a minute."""
    for _ in range(60):
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **options)
        if done.returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"{shlex.join(command)} is never good: {done.stderr.decode()}")


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def ask(url: str, body: Any = None, token: str = "any") -> int:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# The action


def run_action(folder: Path) -> None:
    step("action.yml: an application that no rule answers, then one that is answered")
    folder.mkdir()
    (folder / "ask.py").write_text(ASK)
    (folder / "a.yaml").write_text("emulator: 1\nprovider: openai\nrules: [{when: {model: x}, reply: {text: a}}]\n")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    given = {name: item.get("default", "") for name, item in action["inputs"].items()}
    given |= {"run": f"{sys.executable} ask.py || true", "scenarios": "a.yaml", "journal": "journal.html"}
    summary = run_steps(action, given, folder, code=1)
    assert "no rule answered exchange 1" in summary, summary
    assert "no rule answered" not in run_steps(action, given | {"scenarios": ""}, folder, code=0)
    assert (folder / "journal.html").stat().st_size > 10_000


def run_steps(action: Any, given: Mapping[str, str], folder: Path, code: int) -> str:
    """Run an action's steps, and return what they put into the job summary."""
    summary = folder / "summary.md"
    summary.write_text("")
    environment = {**os.environ, "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(summary)}
    for item in action["runs"]["steps"]:
        filled = {name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: given[found[1]], text)
                  for name, text in item["env"].items()}  # fmt: skip
        run(item["shell"], "-c", item["run"], cwd=folder, env=environment | filled, code=code)
    return summary.read_text()


# The hook


def run_hook(folder: Path) -> None:
    step("the pre-commit hook: a scenario that is wrong, then mended")
    project, mine = folder / "project", folder / "mine"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__"))
    (mine / "scenarios").mkdir(parents=True)
    wrong = mine / "scenarios" / "a.yaml"
    wrong.write_text("emulator: 1\nrules: [{reply: {txt: a}}]\n")
    commit, _ = commit_all(project), commit_all(mine)
    hook = {"repo": str(project), "rev": commit, "hooks": [{"id": "emulator-check"}]}
    (mine / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [hook]}))
    environment = {**os.environ, "PRE_COMMIT_HOME": str(folder / "home")}
    command = (TOOLS / "pre-commit", "run", "--all-files")
    assert "scenarios/a.yaml:2:18" in run(*command, cwd=mine, env=environment, code=1)
    wrong.write_text("emulator: 1\nrules: [{reply: {text: a}}]\n")
    run(*command, cwd=mine, env=environment)


def commit_all(repository: Path) -> str:
    who = ["-c", "user.name=ci", "-c", "user.email=ci@example.com"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "All"]):
        run("git", *words, cwd=repository)
    return run("git", "rev-parse", "HEAD", cwd=repository).strip()


if __name__ == "__main__":
    main()
