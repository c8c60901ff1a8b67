"""One thing that the independent endpoint gets wrong, and how it is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from independent.endpoint import Spoil


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong: the case that must find it, how it comes about, and a part of what the case says of it."""

    fact: str
    what: str
    spoil: Spoil
    says: str
    outcome: Literal["failed", "observed"] = "failed"
