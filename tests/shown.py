"""What the READMEs show: their fenced blocks, each with the file it stands in and the name it is labelled with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("README.md", "emulator/README.md", "scenarios/README.md", "schemas/README.md")
#: A fenced block; a line that is nothing but a name in backticks labels the one below it.
_BLOCK = re.compile(r"(?:^`([\w./-]+)`\n\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `label` is the file that it is, where it is one."""

    file: str
    line: int
    label: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a block of them, without their comments; a backslash joins lines."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [re.sub(r"\s+# .*| +(?= )", "", line) for line in lines]


def text_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def blocks(file: str) -> list[Block]:
    text = text_of(file)
    return [
        Block(file, text.count("\n", 0, found.start(2)) + 1, found[1] or "", found[2], found[3])
        for found in _BLOCK.finditer(text)
    ]


BLOCKS = [block for file in FILES for block in blocks(file)]
PROVIDER = {block.label: block.text for block in BLOCKS if block.label}


def write_provider(folder: Path) -> None:
    """Write the small provider of schemas/README.md as its blocks show it."""
    for name, text in PROVIDER.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
