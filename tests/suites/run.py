"""Run other people's tests against the emulator: `python tests/suites/run.py SUITE [FOLDER]`, by hand, with network.

What a suite needs is fetched into FOLDER, or a temporary one: nothing of it belongs here. A checkout or sdist that is
already in it, as `source`, is used as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from emulator import Emulator

HERE = Path(__file__).parent
#: OpenAI's own tests of what is emulated, below the folder of each SDK.
PARTS = ("completions", "embeddings", "models", "moderations")
PYTHON_TESTS = ["chat", "responses", "test_responses.py", *(f"test_{part}.py" for part in PARTS)]
PYTHON_NEEDS = ["pytest", "pytest-asyncio", "rich", "inline-snapshot", "trio"]
NODE_TESTS = ["chat", "responses", *(f"{part}.test.ts" for part in PARTS)]
PYTEST = ["-o", "addopts=", "-q", "--tb=short", "-rfE", "-W", "ignore", "-p", "no:cacheprovider"]
FRAMEWORKS = [
    "openai-agents", "langchain-openai", "langchain-google-genai", "langchain-tests", "litellm",
    "pydantic-ai-slim[openai,google]",
]  # fmt: skip
JEST = {
    "testEnvironment": "node",
    "transform": {r"^.+\.(t|j)sx?$": ["@swc/jest", {"sourceMaps": "inline"}]},
    "moduleNameMapper": {"^openai$": "<rootDir>/src/index.ts", "^openai/(.*)$": "<rootDir>/src/$1"},
}


def openai_python(folder: Path, url: str) -> int:
    """Run the tests of the sdist on PyPI."""
    source = folder / "source"
    if not source.exists():
        sh(folder, sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "openai", "openai")
        with tarfile.open(next(folder.glob("openai-*.tar.gz"))) as archive:
            archive.extractall(folder / "sdist", filter="data")
        next((folder / "sdist").iterdir()).rename(source)
    python = make_environment(folder, f"{source}[aiohttp]", *PYTHON_NEEDS)
    tests = [f"tests/api_resources/{name}" for name in PYTHON_TESTS]
    with adapter(url) as lawful:
        return sh(source, python, "-m", "pytest", *PYTEST, *tests, TEST_API_BASE_URL=lawful)


def openai_node(folder: Path, url: str) -> int:
    """Run the tests of the repository's newest state."""
    source = folder / "source"
    if not source.exists():
        sh(folder, "git", "clone", "-q", "--depth", "1", "https://github.com/openai/openai-node", str(source))
    (source / "package.json").write_text('{"name": "openai", "private": true}')  # its own needs hundreds more
    (source / "jest.json").write_text(json.dumps(JEST))
    sh(source, "npm", "install", "--silent", "--no-audit", "--no-fund", "jest", "@swc/core", "@swc/jest", "ws", "zod")
    tests = [f"tests/api-resources/{name}" for name in NODE_TESTS]
    with adapter(url) as lawful:
        return sh(source, "npx", "jest", "-c", "jest.json", *tests, TEST_API_BASE_URL=lawful)


def frameworks(folder: Path, url: str) -> int:
    """Run ours, with frameworks of Python, and LangChain's standard tests."""
    python = make_environment(folder, *FRAMEWORKS, "pytest", "pytest-asyncio")
    modes = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session", "--disable-recording"]
    where = ["-c", os.devnull, "--rootdir", ".", "--confcutdir", "frameworks", "frameworks"]
    return sh(HERE, python, "-m", "pytest", *PYTEST, *modes, *where, EMULATOR_URL=url)


def frameworks_js(folder: Path, url: str) -> int:
    """Run ours, with frameworks of JavaScript."""
    shutil.copytree(HERE / "frameworks/js", folder, dirs_exist_ok=True)
    sh(folder, "npm", "install", "--silent", "--no-audit", "--no-fund")
    return sh(folder, "node", "--test", "frameworks.test.mjs", "gemini.test.mjs", EMULATOR_URL=url)


def make_environment(folder: Path, *packages: str) -> str:
    """Return a Python that has some packages."""
    python = folder / "venv/bin/python"
    sh(folder, sys.executable, "-m", "venv", "venv")
    sh(folder, str(python), "-m", "pip", "install", "-q", *packages)
    return str(python)


@contextmanager
def adapter(url: str) -> Iterator[str]:
    """Serve what makes the SDKs' sample requests lawful; return where."""
    port = 4011
    process = subprocess.Popen([sys.executable, str(HERE / "adapter.py"), str(port), f"{url}/openai/v1"])
    try:
        httpx2.HTTPTransport(retries=5).handle_request(httpx2.Request("GET", f"http://127.0.0.1:{port}/models"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()


def sh(folder: Path, *command: str, **environment: str) -> int:
    """Run a command in a folder; return its exit code."""
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False).returncode


SUITES = {
    "openai-python": openai_python,
    "openai-node": openai_node,
    "frameworks": frameworks,
    "frameworks-js": frameworks_js,
}

if __name__ == "__main__":
    name, *rest = sys.argv[1:] or [""]
    if name not in SUITES:
        sys.exit(f"{__doc__}\nSUITE is one of: {', '.join(SUITES)}")
    with tempfile.TemporaryDirectory() as made, Emulator() as emulator:
        folder = Path(rest[0] if rest else made).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(SUITES[name](folder, emulator.url))
