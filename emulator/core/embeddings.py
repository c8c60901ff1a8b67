"""Embeddings: a vector for each input, given or computed from its text."""

from __future__ import annotations

import array
import base64
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import shake_256

from emulator.core.chat import compact
from emulator.core.errors import Json
from emulator.core.render import PLAIN, Rendered, Turn, render_json
from emulator.core.scenario import Reply
from emulator.core.tokens import count
from emulator.core.wire import Note

DIMENSIONS = 1536
MAX_DIMENSIONS = 8192


def render_embedding(turn: Turn, content: Json, reply: Reply) -> Rendered:
    """Render an `embedding` reply: a vector, a list of them, or `auto`; what was too few is noted."""
    inputs = embedding_inputs(turn.call.body)
    if content == "auto":
        found = vectors(inputs, turn.call.body, turn.model)
    elif isinstance(content[0], list):
        found = [content[min(index, len(content) - 1)] for index in range(len(inputs))]
    else:
        found = [content] * len(inputs)
    rendered = render_embeddings(turn, found, input_tokens(inputs), reply)
    if content == "auto" or not isinstance(content[0], list) or len(content) == len(inputs):
        return rendered
    message = f"the reply has {len(content)} vectors for {len(inputs)} inputs; the last one is used for the rest"
    return replace(rendered, notes=(Note(None, "reply", message),))


def embedding_inputs(body: Mapping[str, Json]) -> list[str]:
    """Return each input as text; token numbers are written out."""
    given = body.get("input", "")
    if isinstance(given, list) and given and not all(isinstance(item, int) for item in given):
        return [item if isinstance(item, str) else compact(item) for item in given]
    return [given if isinstance(given, str) else compact(given)]


def vectors(inputs: Iterable[str], body: Mapping[str, Json], model: str) -> list[list[float]]:
    """Return a unit vector for each text: the same text and model, the same vector."""
    asked = body.get("dimensions")
    size = asked if isinstance(asked, int) and 0 < asked <= MAX_DIMENSIONS else DIMENSIONS
    return [_vector(f"{model}\x1f{text}", size) for text in inputs]


def _vector(text: str, size: int) -> list[float]:
    numbers = array.array("h", shake_256(text.encode()).digest(2 * size))
    return unit_vector(numbers)


def input_tokens(inputs: Iterable[str]) -> int:
    """Estimate the tokens of what is embedded."""
    return sum(count(text) for text in inputs)


def render_embeddings(turn: Turn, vectors: Sequence[Sequence[float]], tokens: int, reply: Reply = PLAIN) -> Rendered:
    """Render one vector for each input, as floats or in base64 as the call asked."""
    encode = _base64 if turn.call.body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": turn.model, "usage": usage}
    return Rendered(render_json(turn, body, reply), usage, tokens)


def unit_vector(values: Sequence[float]) -> list[float]:
    """Scale to length 1; a vector of zeros stays."""
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else list(values)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
