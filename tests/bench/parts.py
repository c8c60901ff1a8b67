"""The parts of the benchmark: each starts its servers, measures, and returns figures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench import paced, servers
from tests.bench.load import PROVIDERS, Target, WrongAnswer, chat, check, responses, rounds
from tests.bench.report import Figure, Goal, ratio
from tests.bench.servers import Server
from tests.bench.sessions import seconds as pytest_seconds
from tests.bench.soak import resident

CHAT = "/{}/v1/chat/completions"
RESPONSES = "openai, Responses"
MOCKS = {"aimock": servers.aimock, "llmock": servers.llmock}
#: How many times ours should be as fast as each other mock, by part.
FASTER = {"unary": {"aimock": 2.5, "llmock": 10.0}, "streams": {"aimock": 4.0, "llmock": 50.0}}
OF_FLOOR = {"unary": Goal("≥", 0.85), "streams": Goal("≥", 0.75)}
PUNCTUAL_MS = 5.0
MOST_STREAMS = 16_000
IMPORT = """\
import pytest, sys, time
known, start = len(sys.modules), time.perf_counter()
import emulator.testing.plugin
print(1000 * (time.perf_counter() - start), len(sys.modules) - known)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how long, where its files are, the commands of other mocks, and what was noted on the way."""

    folder: Path
    mocks: Mapping[str, str]
    rounds: int
    seconds: int
    paced_s: float
    repeats: int
    commands: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ours(self, *options: str, scenario: str = "one", others: int = 0) -> contextlib.AbstractContextManager[Server]:
        file = servers.write_scenario(self.folder / f"{scenario}.json", self.chunks, others)
        return servers.ours(self.folder, file, *options)

    @property
    def chunks(self) -> int:
        return round(self.paced_s / servers.ITL_S)

    def load(self, targets: Sequence[Target]) -> dict[str, list[float]]:
        return rounds(targets, self.rounds, self.seconds, self.folder)


def our_target(name: str, server: Server, provider: str = "beatra", stream: bool = False) -> Target:
    return Target(name, server.url + CHAT.format(provider), chat(provider, stream))


def beside_others(run: Run) -> list[Figure]:
    """Measure unary requests and whole streams against the floor and the other mocks, then the memory."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(run.ours())
        targets = {part: [our_target("ours", ours, stream=part == "streams")] for part in OF_FLOOR}
        answers = {part: check(target) for part, (target,) in targets.items()}
        replies = {f"/{part}": (answer.own_headers, answer.body) for part, answer in answers.items()}
        floor = stack.enter_context(servers.floor(run.folder, replies))
        for part, answer in answers.items():
            targets[part].append(Target("floor", f"{floor.url}/{part}", targets[part][0].body))
            assert check(targets[part][1]).body == answer.body, "the floor sends other bytes than ours"
        started = [ours, floor, *(mock for name in run.mocks if (mock := start_mock(run, name, stack, targets)))]
        run.commands.update({f"{server.name} {server.version}".strip(): server.command for server in started})
        figures = compare("unary", run.load(targets["unary"]))
        figures += [memory(server) for server in started]
        return figures + compare("streams", run.load(targets["streams"]))


def start_mock(run: Run, name: str, stack: contextlib.ExitStack, targets: Mapping[str, list[Target]]) -> Server | None:
    """Start another mock and add it to the targets, or note why not."""
    try:
        server = stack.enter_context(MOCKS[name](run.mocks[name], run.folder))
        ways = [
            (beside, Target(name, f"{server.url}/v1/chat/completions", beside[0].body)) for beside in targets.values()
        ]
        for _, target in ways:
            check(target)
    except (servers.NotStarted, WrongAnswer, OSError) as error:
        run.missing[name] = str(error)
        return None
    for beside, target in ways:
        beside.append(target)
    return server


def compare(part: str, measured: Mapping[str, Sequence[float]]) -> list[Figure]:
    ours = measured["ours"]
    figures = [Figure(part, f"{name}, requests", values, "/s") for name, values in measured.items()]
    figures.append(ratio(part, "ours / floor", ours, measured["floor"], OF_FLOOR[part]))
    for name, times in FASTER[part].items():
        if name in measured:
            figures.append(ratio(part, f"ours / {name}", ours, measured[name], Goal("≥", times)))
    return figures


def memory(server: Server) -> Figure:
    goal = Goal("≤", 60) if server.name == "ours" else None
    return Figure("memory", f"{server.name}, resident after the unary rounds", [resident(server.pid)], "MB", goal)


def rules(run: Run) -> list[Figure]:
    with run.ours() as one, run.ours(scenario="many", others=499) as many:
        got = run.load([our_target("one", one), our_target("many", many)])
    return [ratio("rules", "500, the last matches / 1", got["many"], got["one"], Goal("≥", 0.9))]


def journal(run: Run) -> list[Figure]:
    with run.ours("--journal-size", "10000") as on, run.ours("--journal-size", "1") as off:
        got = run.load([our_target("on", on), our_target("off", off)])
    return [ratio("journal", "10,000 exchanges kept / 1 kept", got["on"], got["off"])]


def providers(run: Run) -> list[Figure]:
    with run.ours() as server:
        targets = [our_target(name, server, name) for name in PROVIDERS]
        got = run.load([*targets, Target(RESPONSES, server.url + "/openai/v1/responses", responses())])
    first, *others = [*PROVIDERS, RESPONSES]
    return [ratio("providers", f"{name} / {first}", got[name], got[first]) for name in others]


def different_requests(run: Run) -> list[Figure]:
    """Measure requests each of which has another body, so that nothing is remembered of it."""
    with run.ours() as server:
        same = our_target("same", server)
        answer = check(same)
        with servers.floor(run.folder, {"/unary": (answer.own_headers, answer.body)}) as floor:
            varied = replace(same, name="ours", body=chat(varied=True))
            got = run.load([varied, Target("floor", f"{floor.url}/unary", varied.body)])
    return [
        Figure("different", "ours, requests, no two the same", got["ours"], "/s"),
        ratio("different", "ours / floor", got["ours"], got["floor"]),
    ]


def paced_streams(run: Run) -> list[Figure]:
    """Measure the lateness of 300 and 1,000 paced streams, then double until the 99th percentile is late."""
    figures, held, count = [], 0, 300
    with run.ours() as server:
        target = Target("ours", server.url + CHAT.format("beatra"), chat("beatra", True, servers.PACED))
        while count <= MOST_STREAMS:
            late = paced.measure(target, server.pid, count, run.chunks)
            figures += lateness(late)
            if late.p99 > PUNCTUAL_MS and count >= 1000:
                break
            held = count if late.p99 <= PUNCTUAL_MS else held
            count = 1000 if count == 300 else count * 2
    return [*figures, Figure("paced", "streams held at 20 chunks a second, p99 ≤ 5 ms", [held], "", Goal("≥", 1000))]


def lateness(late: paced.Lateness) -> list[Figure]:
    goals = {"p99": Goal("≤", PUNCTUAL_MS)} if late.streams <= 1000 else {}
    what = f"{late.streams:,} streams, lateness"
    shown = [Figure("paced", f"{what} {name}", [getattr(late, name)], "ms", goals.get(name))
             for name in ("p50", "p99", "max")]  # fmt: skip
    cores = [Figure("paced", f"{late.streams:,} streams, cores the {name} used", [getattr(late, name)], "x")
             for name in ("server", "client")]  # fmt: skip
    return shown + cores


def cold_start(run: Run) -> list[Figure]:
    scenario = servers.write_scenario(run.folder / "one.json")
    start_once(scenario)  # compiles
    times = [start_once(scenario) for _ in range(run.repeats)]
    ready, answered = zip(*times, strict=True)
    return [
        Figure("start", "from spawn to the ready line", ready, "s", Goal("≤", 0.35)),
        Figure("start", "from spawn to the first answer", answered, "s"),
    ]


def start_once(scenario: Path) -> tuple[float, float]:
    """Return seconds until the ready line, and until the first answer."""
    start = time.perf_counter()
    command = servers.our_command(scenario, 0)
    process = subprocess.Popen(command, cwd=scenario.parent, stdout=subprocess.PIPE, env=servers.environment())
    try:
        assert process.stdout
        url = process.stdout.readline().decode().split()[-1]
        ready = time.perf_counter() - start
        check(Target("ours", url + CHAT.format("beatra"), chat()))
        return ready, time.perf_counter() - start
    finally:
        process.terminate()
        process.communicate()


def plugin(run: Run) -> list[Figure]:
    command = [sys.executable, "-c", IMPORT]
    printed = [subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, check=True).stdout.split()
               for _ in range(run.repeats)]  # fmt: skip
    milliseconds, modules = zip(*printed, strict=True)
    return [
        Figure("plugin", "import, beside pytest's own", [float(text) for text in milliseconds], "ms"),
        Figure("plugin", "modules that the import adds", [int(modules[0])], ""),
    ]


def tests(run: Run) -> list[Figure]:
    times = {fixtures: [pytest_seconds(str(run.folder), fixtures, 500, "0") for _ in range(run.repeats // 3)]
             for fixtures in ("emulator, number", "number")}  # fmt: skip
    real = {fixtures: [seconds for seconds, _ in pairs] for fixtures, pairs in times.items()}
    return [
        Figure("tests", "500 tests, each with a fresh session", real["emulator, number"], "s"),
        Figure("tests", "500 empty tests", real["number"], "s"),
    ]


PARTS: dict[str, Callable[[Run], list[Figure]]] = {
    "others": beside_others, "different": different_requests, "rules": rules, "journal": journal,
    "providers": providers, "paced": paced_streams, "start": cold_start, "plugin": plugin, "tests": tests,
}  # fmt: skip
