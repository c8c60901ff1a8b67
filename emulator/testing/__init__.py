"""What a test holds: the pytest plugin, a session, its journal, virtual time, the control client.

Names load when they are first used: a run that uses none of it pays nothing for the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.testing.client import Control as Control
    from emulator.testing.client import ControlError as ControlError
    from emulator.testing.clock import Clock as Clock
    from emulator.testing.emulator import Emulator as Emulator
    from emulator.testing.journal import Exchange as Exchange
    from emulator.testing.journal import Journal as Journal
    from emulator.testing.route import Route as Route
    from emulator.testing.session import EmulatedSession as EmulatedSession
    from emulator.testing.unittest_case import EmulatorTestCase as EmulatorTestCase
    from emulator.testing.virtual_time import VirtualTime as VirtualTime

_HOMES = {
    "Clock": "clock", "Control": "client", "ControlError": "client", "EmulatedSession": "session",
    "Emulator": "emulator", "EmulatorTestCase": "unittest_case", "Exchange": "journal", "Journal": "journal",
    "Route": "route", "VirtualTime": "virtual_time",
}  # fmt: skip

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'emulator.testing' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"emulator.testing.{_HOMES[name]}"), name)
