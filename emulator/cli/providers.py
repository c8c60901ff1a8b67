"""`emulator providers`: what is emulated, and for one provider all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.main import check_provider, load_or_fail, schemas_option

if TYPE_CHECKING:
    from emulator.core.errors import Json
    from emulator.core.provider.fact import Fact
    from emulator.core.provider.provider import Provider


@click.command("providers", short_help="Tell what is emulated, or every fact about one provider.")
@click.argument("name", required=False)
@schemas_option
def providers_command(name: str | None, schemas: Path | None) -> None:
    """Tell what is emulated; for one provider its endpoints, plans, errors, and documented and assumed facts."""
    from emulator.core.errors import many
    from emulator.core.provider.loading.folder import load_providers

    known = load_or_fail(lambda: load_providers(schemas))
    if name is None:
        for item in known.values():
            assumed = sum(fact.assumed for fact in item.facts.values())
            count = f"{len(item.facts) - assumed} documented facts, {assumed} assumed"
            operations = many(len(item.operations), "operation")
            click.echo(f"{item.name:<18} {item.base_url:<42} {operations}, {count}")
        return
    check_provider(name, known)
    _tell(known[name])


def _tell(item: Provider) -> None:
    from emulator.core.schema.formats import data_folder

    def section(title: str, lines: Sequence[str]) -> None:
        click.echo(f"\n{title}")
        for line in lines or ["  none"]:
            click.echo(f"  {line}" if lines else line)

    click.echo(f"{item.title}: {item.base_url}")
    section("Endpoints", [
        f"{route.operation.method:<5} {path}{f' (streams of {route.operation.name})' if route.streams else ''}"
        for path, methods in item.routes.by_path.items() for route in methods.values()
    ])  # fmt: skip
    section("Models", [f"{model.id}{' (assumed)' if model.assumed else ''}" for model in item.models.values()])
    section("Plans", [
        f"{plan.name}{' (default)' if plan.name == item.default_plan else ''}: "
        f"{plan.requests or 'any number of'} requests, {plan.tokens or 'any number of'} tokens a minute"
        for plan in item.plans.values()
    ])  # fmt: skip
    section("Documented errors", [_error(name, how) for name, how in item.errors.items() if how.get("documented")])
    further = [(name, given) for name, given in item.errors.items() if "like" in given and not given["documented"]]
    if further:
        section("Further errors", [_error(name, given) for name, given in further])
    section("Documented headers", [name for name, _ in item.headers])
    library = sorted(data_folder("scenarios").glob(f"{item.name}/*.yaml"))
    section("Scenarios in the library, for serve and check", [f"{item.name}/{file.name}" for file in library])
    for assumed, title in ((False, "Documented facts"), (True, "Assumed, where the docs are silent")):
        rows = [fact for fact in item.facts.values() if fact.assumed is assumed]
        section(title, [
            f"{fact.id} [{_known_from(fact)}] {fact.text}{f' (assumed: {fact.note})' if fact.note else ''}"
            for fact in rows
        ])  # fmt: skip


def _error(name: str, given: Mapping[str, Json]) -> str:
    """Name an error, with its status where that is not the usual one, and what it is like."""
    from emulator.core.errors import STATUS

    told = [str(given["status"])] if given["status"] != STATUS.get(name) else []
    told += [f"like {given['like']}"] if "like" in given else []
    return f"{name} ({', '.join(told)})" if told else name


def _known_from(fact: Fact) -> str:
    return fact.source if fact.evidence == "docs" else f"{fact.source}; {fact.evidence}"
