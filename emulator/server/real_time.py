"""The real clocks, whoever patches `time`: freezegun, time-machine, gevent, or virtual time.

They look for its functions in modules and change them there. A second `time`, which no module list has, keeps its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import ModuleType

#: The name of the thread that a server of ours runs in: virtual time leaves it alone.
SERVER_THREAD = "emulator-server"


def _second_time() -> ModuleType:
    spec = BuiltinImporter.find_spec("time")
    if spec is None or spec.loader is None:
        raise ImportError("this Python has no module `time` built in")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _second_time()
monotonic: Callable[[], float] = _time.monotonic


def now() -> float:
    """Return Unix seconds; time-machine changes the function itself, and gives a way past that."""
    machine = sys.modules.get("time_machine")
    hatch = machine.escape_hatch if machine else None
    return float(hatch.time.time() if hatch and hatch.is_travelling() else _time.time())
