"""`emulator check`: whether scenarios load, and which rule would answer a request, or why none."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from emulator.cli.main import (
    FINDINGS,
    check_files,
    check_provider,
    fail,
    find_scenarios,
    load_or_fail,
    provider_option,
    scenario_files,
    schemas_option,
    warn,
)
from emulator.cli.streams import show
from emulator.core.engine.engine import Engine
from emulator.core.engine.load import load_all
from emulator.core.journal.describe import describe
from emulator.core.printable import printable
from emulator.core.provider.folder import data_folder, load_providers
from emulator.core.provider.provider import Provider
from emulator.core.scenario.candidates import why_of
from emulator.core.scenario.session import DEFAULT, Options, Session, build_session
from emulator.core.values import Exchange, Request
from emulator.stores.memory import MemoryStore


@click.command("check", short_help="Check scenario files; tell which rule answers a request.")
@scenario_files
@click.option("--request", "request_file", metavar="FILE.json", type=click.Path(path_type=Path),
              help="A body, or {method, path, headers, body}: say which rule answers it, or why none.")  # fmt: skip
@click.option("--schema", is_flag=True, help="Write the JSON Schema of scenario files, for editors, and end.")
@provider_option
@schemas_option
def check_command(
    scenarios: tuple[Path, ...], request_file: Path | None, schema: bool, provider: str | None, schemas: Path | None
) -> None:
    """Check scenario files; with a request, tell which rule would answer it."""
    if schema:
        click.echo((data_folder("schemas") / "scenario.schema.json").read_bytes(), nl=False)
        return
    if not scenarios:
        fail("Name at least one scenario file.")
    scenarios = find_scenarios(scenarios)
    check_files([request_file] if request_file else [])
    providers = load_or_fail(lambda: load_providers(schemas))
    check_provider(provider, providers)
    options = Options(provider=provider)
    loaded = load_or_fail(lambda: load_all(scenarios, providers, provider))
    warn(loaded)
    session = load_or_fail(lambda: build_session(DEFAULT, "", providers, loaded, options, 0.0))
    if request_file is None:
        for scenario in loaded:
            show(f"{printable(scenario.file)}: ok, {len(scenario.rules)} rule{'s' * (len(scenario.rules) != 1)}")
        return
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
    return data if "body" in data or "path" in data else {"body": data}


def dry_run(providers: Mapping[str, Provider], session: Session, name: str, data: Mapping[str, Any]) -> Exchange:
    """Ask the engine what it would answer first of all."""
    headers = {str(key).lower(): str(value) for key, value in (data.get("headers") or {}).items()}
    body = json.dumps(data["body"]).encode() if "body" in data else b""
    path, _, query = str(data.get("path", "/chat/completions")).partition("?")
    if not any(way.is_tried(headers, query) for way in providers[name].accepts):
        more, asked = providers[name].accepts[0].write(min(session.settings[name].keys or ["check"]))
        headers, query = headers | more, f"{query}&{asked}" if query and asked else query or asked
    path = path.removeprefix(providers[name].base_path)
    method = str(data.get("method", "POST")).upper()
    request = Request(session.id, name, method, path, query, headers, body, 0.0, path, providers[name].base_url)
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
