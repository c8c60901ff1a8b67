"""A local emulator of OpenAI-compatible chat APIs, for tests. Names are resolved when first used: importing is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.core.errors import SourceError as SourceError
    from emulator.core.provider import Provider, load_provider as load_provider
    from emulator.core.scenario import Scenario
    from emulator.server.background import Emulator as Emulator

__all__ = ["Emulator", "SourceError", "load_provider", "load_scenario"]

_HOMES = {
    "Emulator": "emulator.server.background",
    "SourceError": "emulator.core.errors",
    "load_provider": "emulator.core.provider",
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
    from emulator.core.load import load_scenario as load
    from emulator.core.provider import load_providers

    return load(path, load_providers() if providers is None else providers)
