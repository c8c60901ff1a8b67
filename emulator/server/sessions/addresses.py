"""Addresses: which provider a path is for, its place below the base URL, and what was meant where it is for none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from emulator.core.errors import closest
from emulator.core.provider.provider import Provider

Providers = Mapping[str, Provider]


def find_place(
    providers: Providers, prefix: str, steps: Sequence[str], implied: str | None
) -> tuple[str, str, str] | None:
    """Return provider, path below its base URL, and that URL; `implied` is the provider of a path that names none."""
    if steps and steps[0] in providers:
        named = providers[steps[0]]
        below = named.below(steps[1:])
        if below is None and len(steps) > 1:
            below = "/" + "/".join(["..", *steps[1:]])
        return (named.name, below, f"{prefix}/{named.name}{named.base_path}") if below else None
    bare = [providers[implied]] if implied else _with_path(providers, steps)
    bare = bare if len(bare) == 1 else [item for item in bare if item.default]
    if len(bare) != 1 or not steps or steps[0] not in bare[0].first_steps:
        return None
    below = bare[0].below(steps)
    return (bare[0].name, below, f"{prefix}{bare[0].base_path}") if below else None


def _with_path(providers: Providers, steps: Sequence[str]) -> list[Provider]:
    """Return the providers that have a path, where none is named."""
    return [
        item
        for item in providers.values()
        if (below := item.below(steps)) and (item.routes.find(below) or item.is_not_emulated(below))
    ]


def implied_provider(providers: Providers, headers: Mapping[str, str]) -> str | None:
    """Return the provider whose documented host is in the Host header, or the only one."""
    host = headers.get("host", "").partition(":")[0].lower()
    for provider in providers.values():
        if provider.host.partition(":")[0].lower() == host:
            return provider.name
    return next(iter(providers)) if len(providers) == 1 else None


def nowhere(providers: Providers, path: str, prefix: str, steps: Sequence[str], implied: str | None) -> str:
    """Say that a path leads to no provider, what was meant, and which base URLs are good."""
    bases = ", ".join(f"{prefix}/{name}{provider.base_path}" for name, provider in providers.items())
    meant = _meant(providers, prefix, steps, implied)
    message = f"There is nothing at {path[:200]}{meant}. The base URLs are: {bases}."
    if path == "/":
        message += f" The inspector is at {prefix}/_emulator/."
    if steps and any(steps[0] in provider.first_steps for provider in providers.values()):
        message += f" For /{steps[0]} alone, name one provider: in the scenario, or by --provider."
    return message


def _meant(providers: Providers, prefix: str, steps: Sequence[str], implied: str | None) -> str:
    """Name the URL of a path whose parts stand in another order, or lack some, or the nearest provider's name."""
    named = next((step for step in steps if step in providers), implied)
    if named:
        rest = steps[steps.index(named) + 1 :] if named in steps else steps
        provider = providers[named]
        at = "/" + "/".join(step for step in rest if step not in (*provider.base_path.split("/"), *provider.versions))
        base_url = f"{prefix}{'' if named == implied else f'/{named}'}{provider.base_path}"
        return f" (did you mean {base_url}{at}?)" if provider.routes.find(at) else ""
    close = closest(steps[0], providers) if steps else None
    return f" (did you mean '{close}'?)" if close else ""


def decoded(path: str) -> str:
    """Return a path with its escapes undone but for those of / and %: what was one step stays one."""
    if "%" not in path:
        return path
    return "/".join(unquote(step).replace("%", "%25").replace("/", "%2F") for step in path.split("/"))
