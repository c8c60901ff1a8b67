"""`emulator contract`: run a provider's documented behaviour against any base URL, or against an emulator of our own.

Exit codes: 0 ok; 1 findings; 2 usage; 3 unreachable, or key refused; 4 inconclusive; 130 interrupted.
"""

from __future__ import annotations

import functools
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from emulator.cli.main import SEED, load_or_fail, schemas_option
from emulator.cli.streams import INTERRUPTED, USAGE, fail, say
from emulator.contract.reports.drift import exit_code
from emulator.contract.reports.files import Kind, write_reports
from emulator.contract.reports.report import PHASES, parse_report
from emulator.contract.reports.terminal import Progress, write_summary

if TYPE_CHECKING:
    from emulator.contract.client import Client
    from emulator.contract.run import Run
    from emulator.contract.target import Target

_KINDS: Sequence[Kind] = get_args(Kind)
#: How long until an interrupt that was not heard comes again: seconds.
AGAIN_S = 0.5


def _reports(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Path]:
    """Return where each kind of report goes."""
    found: dict[str, Path] = {}
    for text in texts:
        kind, _, path = text.partition("=")
        if kind not in _KINDS or not path:
            raise click.BadParameter(f"'{text}' is no report; write {', '.join(f'{name}=PATH' for name in _KINDS)}")
        if not Path(path).absolute().parent.is_dir():
            raise click.BadParameter(f"{path} cannot be written: there is no folder {Path(path).parent}")
        found[kind] = Path(path)
    if len(set(found.values())) < len(texts):
        raise click.BadParameter("each kind of report goes to one file of its own")
    return found


@click.command("contract")
@click.option("--provider", required=True, metavar="NAME", help="Whose documented behaviour is expected.")
@click.option("--url", metavar="BASE_URL", help="What is tested: a base URL, up to /v1.")
@click.option("--self", "own", is_flag=True, help="Test an emulator of our own, started for this run.")
@click.option("--api-key", envvar="API_KEY", show_envvar=True, metavar="KEY", help="The key of --url.")
@click.option("--plan", metavar="NAME", help="The plan that the key has; with --self, the one whose limits are walked.")
@click.option("--model", metavar="NAME", help="The model that good requests name; left out: one of the docs.")
@click.option(
    "--phase", "phases", multiple=True, type=click.Choice(PHASES), help="Run this phase; more than once, these."
)
@click.option("--case", "cases", multiple=True, metavar="ID", help="Run this case alone; more than once, these.")
@click.option(
    "--ignore", multiple=True, metavar="FACT", help="Leave out the cases of this fact; more than once, these."
)
@click.option("--max-requests", type=click.IntRange(1), metavar="N", help="Send no more requests.")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N", help="Send nothing more once so many tokens are used."
)
@click.option(
    "--max-examples", type=click.IntRange(1), metavar="N", help="Generated bodies of each fuzz case. Default: 100."
)
@click.option("--seed", type=SEED, metavar="N", default=0, show_default=True, help="Of what is generated.")
@click.option("--baseline", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="An earlier JSON report: failures that it has too are no findings.")  # fmt: skip
@click.option("--report", "reports", multiple=True, metavar="KIND=PATH", callback=_reports,
              help="Write a report: json=PATH, junit=PATH or html=PATH.")  # fmt: skip
@schemas_option
def contract_command(
    provider: str,
    url: str | None,
    own: bool,
    api_key: str | None,
    baseline: Path | None,
    reports: dict[Kind, Path],
    **given: Any,
) -> None:
    """Test a base URL against a provider's documented behaviour.

    At a URL that is not on this machine only probe, facts and examples run unless --phase or --case asks for more, and
    --max-requests or --max-tokens is needed.
    """
    if own == (url is not None):
        fail("Say what is tested: either --url BASE_URL or --self.")
    if url is not None and not api_key:
        fail("Give the key of the URL, any where it asks for none: --api-key KEY, or the variable API_KEY.")
    earlier = load_or_fail(lambda: parse_report(baseline.read_bytes(), str(baseline))) if baseline else None
    if earlier and earlier.provider != provider:
        fail(f"{baseline} is a report on {earlier.provider}, not on {provider}.")
    wanted = {name: value for name, value in given.items() if value is not None}
    with _no_litter(), _prepared(provider, url, api_key or "", wanted) as run:
        interrupted = _go(run)
    if interrupted:
        say("Interrupted.")
    report = run.report()
    problem = ""
    try:
        write_reports(report, reports, earlier)
    except OSError as error:
        problem = str(error)
    write_summary(report, sys.stdout, earlier)  # last: it may have no reader
    if problem:
        fail(problem)
    sys.exit(INTERRUPTED if interrupted else exit_code(report, earlier))


@contextmanager
def _no_litter() -> Iterator[None]:
    """Keep what Hypothesis writes down for later out of the working directory."""
    try:
        import emulator.contract.client  # noqa: F401 - it names what is missing
    except ImportError as error:
        fail(f"{error}.")
    from hypothesis.configuration import set_hypothesis_home_dir

    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


@contextmanager
def _prepared(provider: str, url: str | None, key: str, wanted: Mapping[str, Any]) -> Iterator[Run]:
    """Prepare a run, or say what is wrong; without a URL, with a server of our own that ends with it."""
    from emulator.contract.run import NotRunnable, prepare
    from emulator.contract.target import EmulatorTarget
    from emulator.testing.emulator import Emulator

    with ExitStack() as ending:
        target: Callable[[Client], Target] | None = None
        if url is None:
            emulator = Emulator(plan="unlimited", schemas=wanted.get("schemas"))
            url = load_or_fail(lambda: ending.enter_context(emulator)).url
            target = functools.partial(EmulatorTarget, url, provider, wanted["seed"])
        try:
            run: Run = load_or_fail(functools.partial(prepare, provider, url, key, target=target, **wanted))
        except (NotRunnable, LookupError) as error:
            fail(str(error.args[0]), USAGE)
        ending.enter_context(closing(run.target))
        yield run


@contextmanager
def insistent() -> Iterator[None]:
    """Raise KeyboardInterrupt again as long as it is not heard: one in a callback of the garbage collector is lost."""

    def interrupt(number: int, frame: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    if not hasattr(signal, "setitimer"):  # on Windows
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _go(run: Run) -> bool:
    """Run, with the progress on stderr; tell whether it was interrupted."""
    progress = Progress(sys.stderr)
    try:
        fuzzed = any(case.phase == "fuzz" for case in run.planned_case)  # to find a smaller failure takes more requests
        progress.on_start(len(run.planned_case), run.requests, "about" if fuzzed else "at most")
        with insistent():
            run.go(progress.on_result)
    except KeyboardInterrupt:
        return True
    finally:
        progress.close()
    return False
