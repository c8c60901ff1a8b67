"""`emulator contract`: run a provider's documented behaviour against any base URL, or against an emulator of our own.

Exit codes: 0 ok; 1 findings; 2 usage; 3 unreachable, or key refused; 4 inconclusive; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emulator.cli import INTERRUPTED, USAGE, _fail, _loaded, schemas_option

if TYPE_CHECKING:
    from emulator.contract.client import Client
    from emulator.contract.report import Report, Result
    from emulator.contract.run import Run
    from emulator.contract.target import Target

_PHASES = ("probe", "facts", "examples", "coverage", "fuzz", "stateful")
_MOST_SHOWN = 300


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file to write: its kind, a name of WRITERS, and where."""

    kind: str
    path: Path


def write_json(report: Report, path: Path) -> None:
    """Write a report as the published JSON."""
    from emulator.contract.report import report_json

    path.write_text(json.dumps(report_json(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


WRITERS: Mapping[str, Callable[[Report, Path], None]] = {"json": write_json}


def _report_files(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[ReportFile, ...]:
    return tuple(_report_file(text) for text in texts)


def _report_file(text: str) -> ReportFile:
    kind, _, path = text.partition("=")
    if kind not in WRITERS or not path:
        raise click.BadParameter(f"'{text}' is no report; write {' or '.join(f'{name}=PATH' for name in WRITERS)}")
    if not Path(path).absolute().parent.is_dir():
        raise click.BadParameter(f"{path} cannot be written: there is no folder {Path(path).parent}")
    return ReportFile(kind, Path(path))


@click.command()
@click.option("--provider", required=True, metavar="NAME", help="Whose documented behaviour is expected.")
@click.option("--url", metavar="BASE_URL", help="What is tested: a base URL, up to /v1.")
@click.option("--self", "own", is_flag=True, help="Test an emulator of our own, started for this run.")
@click.option("--api-key", envvar="API_KEY", show_envvar=True, metavar="KEY", help="The key of --url.")
@click.option("--plan", metavar="NAME", help="The plan that the key has; with --self, the one whose limits are walked.")
@click.option(
    "--phase", "phases", multiple=True, type=click.Choice(_PHASES), help="Run this phase; more than once, these."
)
@click.option("--case", "cases", multiple=True, metavar="ID", help="Run this case alone; more than once, these.")
@click.option("--max-requests", type=click.IntRange(1), metavar="N", help="Send no more requests.")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N", help="Send nothing more once so many tokens are used."
)
@click.option(
    "--max-examples", type=click.IntRange(1), metavar="N", help="Generated bodies of each fuzz case. Default: 100."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is generated.")
@click.option("--report", "reports", multiple=True, metavar="KIND=PATH", callback=_report_files,
              help="Write a report: json=PATH.")  # fmt: skip
@schemas_option
def contract(
    provider: str, url: str | None, own: bool, api_key: str | None, reports: tuple[ReportFile, ...], **given: Any
) -> None:
    """Test a base URL against a provider's documented behaviour.

    At a URL that is not on this machine only probe, facts and examples run unless --phase or --case asks for more, and
    --max-requests or --max-tokens is needed.
    """
    if own == (url is not None):
        _fail("Say what is tested: either --url BASE_URL or --self.")
    if url is not None and not api_key:
        _fail("Give the key of the URL: --api-key KEY, or the environment variable API_KEY.")
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted["plan_name"] = wanted.pop("plan", None)
    with _no_litter(), _prepared(provider, url, api_key or "", wanted) as run:
        interrupted = _go(run)
    report = run.report()
    _tell_totals(report)
    for file in reports:
        _written(file, report)
    sys.exit(INTERRUPTED if interrupted else _exit_code(report))


@contextmanager
def _no_litter() -> Iterator[None]:
    """Keep what Hypothesis writes down for later out of the working directory."""
    try:
        import httpcore2  # noqa: F401 - what else the extra brings
        from hypothesis.configuration import set_hypothesis_home_dir
    except ImportError as error:
        _fail(f"{error}. Contract tests need more packages: pip install 'llm-emulator[contract]'.")
    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


@contextmanager
def _prepared(provider: str, url: str | None, key: str, wanted: Mapping[str, Any]) -> Iterator[Run]:
    """Prepare a run; without a URL, with a server of our own that ends with it."""
    from emulator.contract.run import prepare
    from emulator.contract.target import EmulatorTarget

    if url is not None:
        run = _checked(lambda: prepare(provider, url, key, **wanted))
        with closing(run.target):
            yield run
        return
    with _own_server(wanted.get("schemas")) as root:

        def target(client: Client) -> Target:
            return EmulatorTarget(root, provider, wanted["seed"], client)

        run = _checked(lambda: prepare(provider, root, key, target=target, **wanted))
        with closing(run.target):
            yield run


@contextmanager
def _own_server(schemas: Path | None) -> Iterator[str]:
    from emulator.server.background import Emulator

    emulator = Emulator(plan="unlimited", schemas=schemas)
    _loaded(emulator.__enter__)
    try:
        yield emulator.url
    finally:
        emulator.__exit__(None, None, None)


def _checked(prepare: Callable[[], Run]) -> Run:
    """Prepare, or say what is wrong: 2 for what was asked for, 1 for a folder that does not load."""
    from emulator.contract.run import NotRunnable

    try:
        run: Run = _loaded(prepare)
    except (NotRunnable, LookupError) as error:
        _fail(str(error.args[0]), USAGE)
    return run


def _go(run: Run) -> bool:
    """Run and tell what is not as expected; tell whether it was interrupted."""
    count, requests = len(run.planned), run.requests
    told = _Told()
    try:
        click.echo(f"{count} case{'s' * (count != 1)} planned, about {requests} request{'s' * (requests != 1)}.")
        run.go(told)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        return True
    return False


class _Told:
    """Prints each result that is not as expected; the same reason for being inconclusive only once."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()

    def __call__(self, result: Result, done: int, total: int) -> None:
        if result.outcome in ("passed", "not_seen"):
            return
        if result.outcome == "inconclusive":
            if result.message in self.reasons:
                return
            self.reasons.add(result.message)
        for line in _lines(result):
            click.echo(line)


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.outcome} {result.id}: {result.message}"
    if result.request is not None:
        yield f"  expected: {_shown(result.expected)}"
        yield f"  actual:   {_shown(result.actual)}"
    if result.fact:
        yield f"  fact:     {result.fact} [{result.source}]{' (assumed)' if result.assumed else ''}"
    if result.curl:
        yield f"  repeat:   {result.curl}"
    yield f"  alone:    --case {result.id}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _tell_totals(report: Report) -> None:
    counted = ", ".join(f"{number} {word}" for word, number in report.totals.items() if number)
    click.echo(f"{counted or 'nothing ran'}; {report.requests} requests in {report.seconds:.1f} s")


def _exit_code(report: Report) -> int:
    from emulator.contract.run import exit_code

    return exit_code(report)


def _written(file: ReportFile, report: Report) -> None:
    try:
        WRITERS[file.kind](report, file.path)
    except OSError as error:
        _fail(f"{file.path} cannot be written: {error.strerror}.")
