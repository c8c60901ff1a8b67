"""Chaos: which of a scenario's errors and faults strike an answer. Drawn by (seed, rule, n): the same again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from emulator.core.faults.faults import Fault
from emulator.core.frozen import frozen
from emulator.core.scenario.note_names import CHAOS_ERROR
from emulator.core.scenario.scenario import Chaos, Reply
from emulator.core.seeded_random import Draw
from emulator.core.values import Call, Note


@frozen
class Strikes:
    """What strikes one answer: an error that takes its place, and faults, by what they are drawn by."""

    error: Reply | None = None
    faults: Mapping[str, Fault] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)  # FILE:LINE of each fault, and of "error"

    @property
    def any(self) -> bool:
        return self.error is not None or bool(self.faults)

    def notes(self, idle: Sequence[str], drawn_by: str) -> list[Note]:
        """Return a note for each that struck; `idle` are the faults that had nothing to act on."""
        what = {"error": (CHAOS_ERROR, f"the error {self.error.content['name']}")} if self.error else {}
        what |= {label: ("chaos", f"the fault {fault.kind}") for label, fault in self.faults.items()}
        return [
            Note(None, path, f"{text} had nothing to act on here")
            if label in idle
            else Note(None, path, f"{text} struck ({self.at[label]}; {drawn_by} bring it again)")
            for label, (path, text) in what.items()
        ]


NONE = Strikes()


def strikes(chaos: Sequence[Chaos], call: Call, draw: Draw) -> Strikes:
    """Draw what strikes: the first error that does, and every fault."""
    if not chaos:
        return NONE
    for condition in (condition for item in chaos for condition in item.conditions):
        condition.allowed.restart()
    struck = {
        f"chaos/{index}": item
        for index, item in enumerate(chaos)
        if draw.uniform(f"chaos/{index}") < item.chance and all(condition.holds(call) for condition in item.conditions)
    }
    errors = [(item.strike, item.at) for item in struck.values() if isinstance(item.strike, Reply)]
    error, at = errors[0] if errors else (None, "")
    faults = {label: item.strike for label, item in struck.items() if isinstance(item.strike, Fault)}
    return Strikes(error, faults, {"error": at} | {label: item.at for label, item in struck.items()})
