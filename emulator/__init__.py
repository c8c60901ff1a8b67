"""A local emulator of OpenAI-compatible chat APIs, for tests. Importing costs nothing: names load when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.core.errors import SourceError as SourceError
    from emulator.core.provider.loading.folder import load_provider as load_provider
    from emulator.core.provider.provider import Provider
    from emulator.core.scenario.scenario import Scenario
    from emulator.testing.emulator import Emulator as Emulator

__all__ = ["Emulator", "SourceError", "load_provider", "load_scenario"]

_HOMES = {
    "Emulator": "emulator.testing.emulator",
    "SourceError": "emulator.core.errors",
    "load_provider": "emulator.core.provider.loading.folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emulator' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def load_scenario(path: str, providers: dict[str, Provider] | None = None) -> Scenario:
    """Load a scenario file for the built-in providers, or for those given.

    Raises: SourceError, with every problem of the file.
    """
    from emulator.core.engine.load import load_scenario as load
    from emulator.core.provider.loading.folder import load_providers

    return load(path, load_providers() if providers is None else providers)
