"""`emulator check`: whether scenarios load, and which rule would answer a request, or why none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from emulator.cli.files import check_files, find_scenarios
from emulator.cli.main import check_provider, load_or_fail, provider_option, scenario_files, schemas_option, warn
from emulator.cli.streams import FINDINGS, USAGE, fail, show
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import load_all
from emulator.core.errors import SourceError, many, nearest, printable
from emulator.core.journal.describe import describe
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import parameters
from emulator.core.scenario.candidates import why_of
from emulator.core.scenario.session import DEFAULT, Conflict, Options, Session, build_session
from emulator.core.schema.formats import data_folder
from emulator.core.values import Exchange, Request
from emulator.stores.memory import MemoryStore

#: The name of standard input.
STDIN = Path("-")


@click.command("check", short_help="Check scenario files; tell which rule answers a request.")
@scenario_files
@click.option("--request", "request_file", metavar="FILE.json", type=click.Path(path_type=Path),
              help="A body, or {operation or path, method, headers, body}: say which rule answers it, or why none.",
)  # fmt: skip
@click.option("--together", is_flag=True, help="As `serve` takes them: later files stand behind earlier ones.")
@click.option("--schema", is_flag=True, help="Write the JSON Schema of scenario files, for editors, and end.")
@provider_option
@schemas_option
def check_command(
    scenarios: tuple[Path, ...], request_file: Path | None, together: bool, schema: bool, provider: str | None,
    schemas: Path | None,
) -> None:  # fmt: skip
    """Check scenario files, each by itself; with a request, tell which rule would answer it.

    A folder stands for the YAML files in it, - for standard input.
    """
    if schema:
        click.echo((data_folder("schemas") / "scenario.schema.json").read_bytes(), nl=False)
        return
    if not scenarios:
        fail("Name at least one scenario file.")
    texts = {STDIN: sys.stdin.buffer.read()} if STDIN in scenarios else {}
    files = [file for name in scenarios for file in ([name] if name in texts else _files_of(name))]
    check_files([request_file] if request_file else [])
    providers = load_or_fail(lambda: load_providers(schemas))
    check_provider(provider, providers)

    def served(group: Sequence[Path]) -> Session:
        loaded = load_all(group, providers, provider, texts)
        warn(loaded)
        session = build_session(DEFAULT, "", providers, loaded, Options(provider=provider), 0.0)
        if request_file is None:
            for scenario in loaded:
                show(f"{printable(scenario.file)}: ok, {many(len(scenario.rules), 'rule')}")
        return session

    if request_file is None:
        _check_all([files] if together else [[file] for file in files], served)
    else:
        _tell_answer(load_or_fail(lambda: served(files)), providers, request_file)


def _files_of(name: Path) -> Sequence[Path]:
    """Return the scenario files that a name stands for: itself, one of the library, or those in a folder."""
    if not name.is_dir():
        return find_scenarios([name])
    files = sorted(file for file in name.rglob("*") if file.suffix in (".yaml", ".yml"))
    return files or fail(f"{name} has no .yaml file.")


def _check_all(groups: Sequence[Sequence[Path]], served: Callable[[Sequence[Path]], Session]) -> None:
    """Check each group of files that are served together, and say all that is wrong with any."""
    wrong: list[SourceError] = []
    for group in groups:
        try:
            served(group)
        except SourceError as error:
            wrong.append(error)
    if wrong:
        conflict = any(isinstance(error, Conflict) for error in wrong)
        fail("\n".join(map(str, wrong)), USAGE if conflict else FINDINGS)


def _tell_answer(session: Session, providers: Mapping[str, Provider], request_file: Path) -> NoReturn:
    """Say which rule answers a request, and exit by whether one does."""
    name = session.provider or (next(iter(providers)) if len(providers) == 1 else None)
    if name is None:
        fail(f"The scenarios name no single provider; add --provider, one of {', '.join(providers)}.")
    exchange = dry_run(providers, session, name, _read_request(request_file))
    for line in verdict(exchange):
        show(line)
    sys.exit(FINDINGS if exchange.rule in ("refused", "unmatched") and exchange.timeline.status >= 400 else 0)


def _read_request(file: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        fail(f"{file} is not JSON: {error}")
    if not isinstance(data, dict) or not isinstance(data.get("headers") or {}, dict):
        fail(f"{file} must hold a JSON object: a body, or method, path, headers (an object) and body.")
    return data if "body" in data or "path" in data or set(data) <= _OF_A_REQUEST else {"body": data}


#: What stands beside a body.
_OF_A_REQUEST = {"operation", "method", "path", "headers", "body"}


def _addressed(provider: Provider, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return a request's method and path: as it says, of the operation that it names, or that its body is for."""
    if "path" in data:
        return str(data.get("method", "POST")).upper(), str(data["path"])
    named = data.get("operation")
    if named is not None and named not in provider.operations:
        fail(f"{provider.title} has no operation '{named}'; {nearest(str(named), provider.operations)}")
    operation = provider.operations[str(named)] if named is not None else _meant(provider, data.get("body"))
    if parameters(operation.path):
        fail(f"The operation '{operation.name}' has an id in its path; say path in its place: {operation.path}")
    return operation.method, operation.path


def _meant(provider: Provider, body: Any) -> Operation:
    """Return the chat for which a body is: the first that has the fields that it needs and lists the most of them."""
    chats = [item for item in provider.operations.values() if item.kind == "chat" and not parameters(item.path)]
    if not chats:
        fail(f"{provider.title} has no chat at one path; say operation or path beside the body.")
    given = body if isinstance(body, dict) else {}
    return max(chats, key=lambda item: (item.required <= given.keys(), sum(map(item.takes, given))))


def dry_run(providers: Mapping[str, Provider], session: Session, name: str, data: Mapping[str, Any]) -> Exchange:
    """Ask the engine what it would answer first of all."""
    headers = {str(key).lower(): str(value) for key, value in (data.get("headers") or {}).items()}
    body = json.dumps(data["body"]).encode() if "body" in data else b""
    method, address = _addressed(providers[name], data)
    path, _, query = address.partition("?")
    if not any(way.is_tried(headers, query) for way in providers[name].accepts):
        more, asked = providers[name].accepts[0].write(min(session.settings[name].keys or ["check"]))
        headers, query = headers | more, f"{query}&{asked}" if query and asked else query or asked
    path = path.removeprefix(providers[name].base_path)
    request = Request(
        session=session.id, provider=name, method=method, path=path, query=query, headers=headers, body=body, at=0.0,
        address=path, base_url=providers[name].base_url,
    )  # fmt: skip
    engine = Engine(providers)
    claim = engine.claim(session, request)
    return engine.answer(session, request, claim, MemoryStore().take(claim))


def verdict(exchange: Exchange) -> Iterator[str]:
    """Yield the lines that say which rule answers, or why none does."""
    row = describe(exchange)
    rule = printable(f"{row['rule']} ({row['rule_id']})" if row["rule_id"] else row["rule"])
    if row["rule"] == "refused" and (refusal := row["refusal"]):
        fact = f", {refusal['fact']}" if refusal["fact"] else ""
        yield f"refused: {refusal['code']} ({refusal['status']}){fact}"
        if refusal["message"]:
            yield f"  {refusal['message']}"
        yield from (f"  {item['path'] or 'the body'}: {item['message']}" for item in refusal["details"])
    elif row["rule"] == "unmatched":
        yield "no rule answers this request; the nearest:"
        for item in row["nearest"]:
            yield f"  {item['rule']} ({printable(item['id'])})"
            for differing in item["differences"]:
                expected, actual = json.dumps(differing["expected"]), json.dumps(differing["actual"])
                yield f"    {differing['field']}: expected {expected}, got {actual}{why_of(differing)}"
    elif exchange.proxied:
        yield f"sent on to the upstream by {rule}"
    else:
        yield f"answered by {rule}, status {row['response']['status']}"
    for note in row["notes"]:
        yield f"  note: {note['path']}: {note['message']}"
