"""Embeddings: a vector for each input, given or computed from its text."""

from __future__ import annotations

import base64
import functools
import math
import re
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b, shake_256
from itertools import chain

from emulator.core.answer.render import PLAIN, Rendered, Turn, render_json
from emulator.core.errors import Json, Refusal, Violation, shown
from emulator.core.provider.conversation.rule import Selector
from emulator.core.provider.holes import fill
from emulator.core.provider.model import Model
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.scenario.scenario import Reply
from emulator.core.tokens import count
from emulator.core.tree import compact
from emulator.core.values import Call, Note

DIMENSIONS = 1536
MAX_DIMENSIONS = 8192
#: What one request may embed, and how many numbers an answer may hold: as much as OpenAI's largest model gives for it.
MAX_INPUTS = 2048
MAX_NUMBERS = MAX_INPUTS * 3072


def asked(operation: Operation, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what a body asks for in one form: its `input`, and how many `dimensions`."""
    form = operation.vectors
    if "text" not in form:
        return body
    items = [place.value for place in Selector(form["each"]).find(body)] if "each" in form else [body]
    items = [item for item in items if isinstance(item, Mapping)]
    found: dict[str, Json] = {"input": [_joined(form["text"], item) for item in items]}
    sizes = [place.value for item in items for place in Selector(form["dimensions"]).find(item)]
    return found | ({"dimensions": max(sizes)} if sizes and all(isinstance(size, int) for size in sizes) else {})


def _joined(at: str, item: Mapping[str, Json]) -> str:
    return "\n".join(place.value for place in Selector(at).find(item) if isinstance(place.value, str))


def check_inputs(operation: Operation, body: Mapping[str, Json]) -> None:
    """Refuse more inputs than one request may have, whatever they are.

    Raises: Refusal invalid_request.
    """
    given = _inputs(asked(operation, body))
    if len(given) > MAX_INPUTS:
        _refuse(f"must have at most {MAX_INPUTS} items, not {len(given)} (a bound of the emulator's, assumed)")


def _check_form(body: Mapping[str, Json], model: Model | None) -> None:
    """Refuse what no vector can have, where the docs don't name these fields, as OpenAI's format has them.

    Raises: Refusal invalid_request.
    """
    asked, most = body.get("dimensions"), (model.dimensions if model else None) or MAX_DIMENSIONS
    if asked is not None and not 1 <= (_whole(asked) or 0) <= most:
        _refuse(f"must be a whole number from 1 to {most}, not {shown(asked)} (assumed)", "dimensions")
    if body.get("encoding_format") not in (None, "float", "base64"):
        _refuse(f"must be 'float' or 'base64', not {shown(body['encoding_format'])} (assumed)", "encoding_format")


def _whole(value: Json) -> int | None:
    """Return a whole number as JSON Schema has them: 8.0 is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == int(value) else None


def _refuse(message: str, path: str = "input") -> None:
    raise Refusal("invalid_request", details=[Violation(path, message)])


def render_embedding(turn: Turn, content: Json, reply: Reply) -> Rendered:
    """Render an `embedding` reply: a vector, a list of them, or `auto`; what was too few is noted.

    Raises: Refusal invalid_request, where the vectors hold too many numbers.
    """
    body = asked(turn.operation, turn.call.body)
    inputs = embedding_inputs(body)
    model = turn.provider.models.get(turn.model)
    given = [] if content == "auto" else content if isinstance(content[0], list) else [content] * len(inputs)
    size = max(map(len, given)) if given else dimensions(body, model)
    if len(inputs) > 1 and len(inputs) * size > MAX_NUMBERS:
        few = max(1, MAX_NUMBERS // size)
        _refuse(
            f"must have at most {few} items for vectors of {size} numbers, not {len(inputs)}: an answer holds "
            f"{MAX_NUMBERS} numbers (a bound of the emulator's, assumed)"
        )
    found = [given[min(index, len(given) - 1)] for index in range(len(inputs))] if given else None
    found = found or vectors(inputs, body, turn.model, model)
    tokens = sum(counted(body)) if turn.operation.limits else sum(map(count, inputs))
    rendered = render_embeddings(turn, found, tokens, reply)
    if not given or len(given) == len(inputs):
        return rendered
    message = f"the reply has {len(given)} vectors for {len(inputs)} inputs; the last one is used for the rest"
    return replace(rendered, notes=(Note(None, "reply", message),))


def check_vectors(provider: Provider, operation: Operation, call: Call, muted: Collection[str]) -> None:
    """Refuse more tokens than the operation takes, of one input or of all, and vectors that the model does not make.

    Raises: Refusal.
    """
    body = asked(operation, call.body)
    found = counted(body) if operation.limits else []
    for what, given in (("input_tokens", max(found, default=0)), ("total_tokens", sum(found))):
        limit = operation.limits.get(what)
        if limit and given > limit.most and limit.fact not in muted:
            values: dict[str, Json] = {"model": call.model, "limit": limit.most, "given": given}
            raise provider.refuse(limit.error, "", (), limit.fact, None, **values)
    model, size = provider.models.get(call.model), body.get("dimensions")
    if model and model.dimensions and size is not None:
        _check_dimensions(model, size)
    _check_form(body, model)
    if other := other_model(operation, call.body, call.model):
        raise Refusal("invalid_request", details=[other])


def other_model(operation: Operation, body: Mapping[str, Json], model: str) -> Violation | None:
    """Return what is wrong where an input names another model than the path."""
    for place in Selector(operation.vectors["model"]).find(body) if "model" in operation.vectors else ():
        if isinstance(place.value, str) and place.value.rpartition("/")[2] != model:
            message = f"must be the model of the path, not {shown(place.value)}"
            return Violation(place.path, message, operation.fact)
    return None


def _check_dimensions(model: Model, asked: Json) -> None:
    if not model.shortens:
        raise Refusal("invalid_request", details=[Violation("dimensions", f"{model.id} has no such parameter")])
    if (_whole(asked) or 0) > (model.dimensions or 0):
        message = f"must be at most {model.dimensions} with {model.id}, not {asked}"
        raise Refusal("invalid_request", details=[Violation("dimensions", message)])


def _inputs(body: Mapping[str, Json]) -> Sequence[Json]:
    """Return what is embedded, each by itself; a list of numbers is one text in tokens."""
    given = body.get("input", "")
    return given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]


def counted(body: Mapping[str, Json]) -> list[int]:
    """Return the tokens of each input: those of a list of tokens are as many as there are numbers."""
    return [count(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 0
            for item in _inputs(body)]  # fmt: skip


def embedding_inputs(body: Mapping[str, Json]) -> list[str]:
    """Return each input as text; token numbers are written out."""
    return [item if isinstance(item, str) else compact(item) for item in _inputs(body)]


def dimensions(body: Mapping[str, Json], model: Model | None = None) -> int:
    """Return how many numbers a vector has: those asked for, where that makes sense, or those of the model."""
    asked = _whole(body.get("dimensions"))
    usual = (model.dimensions if model else None) or DIMENSIONS
    return asked if asked is not None and 0 < asked <= MAX_DIMENSIONS else usual


def vectors(texts: Iterable[str], body: Mapping[str, Json], name: str, model: Model | None = None) -> list[list[float]]:
    """Return a unit vector for each text: the same text and model, the same vector; shared words make it nearer."""
    return [vector(name, text, dimensions(body, model)) for text in texts]


def render_embeddings(turn: Turn, vectors: Sequence[Sequence[float]], tokens: int, reply: Reply = PLAIN) -> Rendered:
    """Render one vector for each input, as floats or in base64 as the call asked."""
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    if turn.operation.vectors:
        items = [fill(turn.operation.vectors["item"], {"vector": list(vector)}) for vector in vectors]
        values = {"items": items, "item": items[0] if items else None, "model": turn.model, "tokens": tokens}
        body = fill(turn.operation.body, values)
        return Rendered(render_json(turn, body, reply), usage, tokens)
    encode = _base64 if turn.call.body.get("encoding_format") == "base64" else list
    data = [{"object": "embedding", "index": index, "embedding": encode(row)} for index, row in enumerate(vectors)]
    body = {"object": "list", "data": data, "model": turn.model, "usage": usage}
    return Rendered(render_json(turn, body, reply), usage, tokens)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def told_usage(bodies: Sequence[Json]) -> dict[str, int] | None:
    """Return the usage that an upstream's answer tells."""
    told: list[Json] = [body.get("usage") for body in bodies if isinstance(body, Mapping)]
    usage = next((item for item in told if isinstance(item, Mapping)), {})
    names = ("prompt_tokens", "total_tokens")
    return {name: usage[name] for name in names if isinstance(usage.get(name), int)} or None


def told_model(bodies: Sequence[Mapping[str, Json]]) -> str | None:
    return next((body["model"] for body in bodies if isinstance(body.get("model"), str)), None)


# Vectors: of length 1, the same for the same text, and nearer to those of texts that share words
#
# A vector is the sum of two. One is drawn from the whole text, so that no two texts have the same. The other is a
# hashed bag of words: each word, without its ending too, and its beginning have a few places. Longer words weigh more.

#: The length of what is drawn from the whole text; the words have the rest.
OWN = 0.25
#: How many places a word has, how many letters its beginning, and from how many letters on a word weighs no more.
PLACES, BEGINNING, LONG = 6, 5, 8
#: How many characters of a text are read for its words.
MOST_READ = 8_000

_ENDING = re.compile(r"(?<=...)(ing|ed|es|s)$")
_WORD = re.compile(r"[^\W_]+")


def vector(model: str, text: str, size: int) -> list[float]:
    """Return a vector of so many numbers, to eight places as models give them."""
    words = _bag(model, text, size)
    if not words:
        return _drawn(f"{model}\x1f{text}", size, 1.0)
    found = _drawn(f"{model}\x1f{text}", size, OWN)
    both = sum(found[place] * value for place, value in words.items())
    weight = math.sqrt(both * both + 1 - OWN * OWN) - both  # with which the length of the sum is 1
    for place, value in words.items():
        found[place] = round(found[place] + weight * value, 8)
    return found


def _bag(model: str, text: str, size: int) -> dict[int, float]:
    """Return the places of a text's words, as a vector of length 1; nothing, where it has none."""
    found: dict[int, float] = {}
    for feature, number in Counter(_features(text[:MOST_READ])).items():
        weight = math.sqrt(number) * min(len(feature), LONG)
        for place, sign in _places(f"{model}\x1f{feature}", size):
            found[place] = found.get(place, 0.0) + sign * weight
    length = math.sqrt(sum(value * value for value in found.values()))
    return {place: value / length for place, value in found.items()} if length > 1e-6 else {}


def _features(text: str) -> Iterator[str]:
    """Yield each word, without its ending too, and its beginning; of one that is not in ASCII, each two characters."""
    for word in _WORD.findall(text.lower()):
        if word.isascii():
            yield from dict.fromkeys((word, _ENDING.sub("", word), word[:BEGINNING]))
        else:
            yield word
            yield from (word[index : index + 2] for index in range(len(word) - 1))


@functools.lru_cache(maxsize=20_000)
def _places(feature: str, size: int) -> list[tuple[int, int]]:
    digest = blake2b(feature.encode(errors="surrogatepass"), digest_size=4 * PLACES).digest()
    numbers = (int.from_bytes(digest[index : index + 4]) for index in range(0, len(digest), 4))
    return [((number >> 1) % size, 1 if number & 1 else -1) for number in numbers]


def _drawn(text: str, size: int, length: float) -> list[float]:
    """Draw each two numbers as a point of a circle: the length of the whole is then known without being computed."""
    *digest, last = shake_256(text.encode(errors="surrogatepass")).digest(size // 2 + 1)
    numbers = list(chain.from_iterable(map(_circle(size, length).__getitem__, digest)))
    if size % 2:
        numbers.append(round(math.copysign(length * size**-0.5, last - 127.5), 8))
    return numbers


@functools.lru_cache(maxsize=16)
def _circle(size: int, length: float) -> list[tuple[float, float]]:
    """Return the points that a byte can draw for vectors of a size."""
    radius, turn = length * math.sqrt(2 / size), math.tau / 256
    return [(round(radius * math.cos(turn * byte), 8), round(radius * math.sin(turn * byte), 8)) for byte in range(256)]
