"""Wires for tests: the one that is shipped, and those of the made-up APIs beside this file."""

from __future__ import annotations

from pathlib import Path

from emulator.core.provider.loading.folder import load_providers
from emulator.core.schema.formats import data_folder
from emulator.core.wires.loading.files import wire_files

#: A folder of providers, and of the wires that they name.
SCHEMAS = Path(__file__).parent / "schemas"
OPENAI = wire_files(data_folder("schemas") / "none").load("openai-chat")
RESPONSES = wire_files(data_folder("schemas") / "none").load("openai-responses")
BLOCKS, TURNS, THREADS, DIALOGS = (
    wire_files(SCHEMAS / "none").load(name) for name in ("blocks", "turns", "threads", "dialogs")
)
WIRES = {wire.name: wire for wire in (OPENAI, RESPONSES, BLOCKS, TURNS, THREADS)}
PROVIDERS = load_providers(SCHEMAS)
OPENAI_CHAT = wire_files(data_folder("schemas") / "openai").load("openai-chat")
