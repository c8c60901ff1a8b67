"""What the independent endpoint's models say: the same to the same question. A token is a word."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping

from independent.values import Json

WORDS = ["amber", "birch", "cloud", "delta", "ember", "field", "grove", "harbor", "island", "jasper", "kettle"]
DIMENSIONS = 16


def tokens(text: str) -> list[str]:
    """Split a text into its tokens, which together are the text."""
    return re.findall(r"\s*\S+", text)


def reply(*about: Json) -> list[str]:
    """Return the tokens of a text of 40 to 60 words that depends on all it is told."""
    draw = random.Random(repr(about))
    return tokens(" ".join(draw.choices(WORDS, k=draw.randint(40, 60))) + ".")


def arguments(schema: Mapping[str, Json]) -> Json:
    """Return a value of a tool's parameters."""
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: arguments(item) for name, item in schema.get("properties", {}).items()}
    return {"string": "Zürich", "integer": 3, "number": 0.5, "boolean": True, "array": []}.get(kind)


def vector(text: str, size: int = DIMENSIONS) -> list[float]:
    """Return a text's unit vector."""
    draw = random.Random(text)
    values = [draw.gauss(0, 1) for _ in range(size)]
    length = math.hypot(*values)
    return [value / length for value in values]
