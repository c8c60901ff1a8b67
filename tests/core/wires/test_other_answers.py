"""Answers of an API itself are read, whatever it has in fields that tell nothing of what was said."""

from __future__ import annotations

import re

import orjson
import pytest
from build import PROVIDERS

from emulator.core.wires.completion import Completion, Part
from emulator.core.wires.scope import AnswerValues
from emulator.core.wires.wire import Wire

SAYING = AnswerValues(Completion((Part("text", "Hello there."),), "stop"), "id-1", 1_800_000_000, "a-model")
OURS = re.compile(rb'"(fp_[a-z]+|Emulator)"')
#: The wires whose answers have a fingerprint, or say who made them.
WIRES = {
    f"{provider.name}-{operation.name}": operation.wire
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    if operation.kind == "chat" and operation.wire and OURS.search(operation.wire.whole(SAYING))
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_another_fingerprint_or_maker_is_as_good(wire: Wire) -> None:
    read = wire.read(orjson.loads(OURS.sub(b'"fp_8802369eaa"', wire.whole(SAYING))))
    assert (read.text(), read.finish, read.unread) == ("Hello there.", "stop", False)
