"""Valid values of a JSON Schema, as Hypothesis strategies.

    schema ──flatten──> alternatives (references and allOf merged, unions multiplied out) ──one strategy each──> one_of

What merging cannot express (`not`, `oneOf`, `if`, a second `pattern`) is left to the validator: every part that
combines others is filtered by its own verdict. Where `properties` are listed, only those are made. References are
unrolled to a depth; what would go on without end beyond it is left out, and is an error where it is required.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from hypothesis import strategies as st

from emulator.contract.generation.subschemas import COMBINES, Document, escape
from emulator.core.errors import Json
from emulator.core.wires.wire import Wire

Values: TypeAlias = st.SearchStrategy[Json]

MOST_ITEMS = 3
MOST_CHARACTERS = 12
#: Integers that every JSON reader keeps exact.
_MOST = 2**53 - 1

#: Texts that something once tripped over; drawing one costs a tenth of drawing characters.
_KNOWN_TEXTS = (
    "", " ", "Hello!", "Write a haiku about the sea.", "get_weather", "auto", "null", "0", "-1.5e3", "true", "[DONE]",
    "data: [DONE]\n\n", "${request.last_user}", "$${", "{}", '{"a": 1}', '"', "\\", "a\\u0000b", "\x00", "\x1f", "\x7f",
    "\r\n", "\t", "\u2028", "é", "e\u0301", "日本語", "שלום", "👩\u200d👧", "\ufeff", "\ufffd", "\U0010ffff", "x" * 300,
    "word " * 40, "../../etc/passwd", "<script>", "' OR 1=1 --", "%s%n", "%00", "__proto__",
)  # fmt: skip
_CHARACTERS = st.characters(exclude_categories=["Cs"])  # JSON cannot carry lone surrogates
_SHORT = st.text(_CHARACTERS, max_size=MOST_CHARACTERS)
#: Text of any kind that JSON can carry.
TEXTS = st.sampled_from(_KNOWN_TEXTS) | st.sampled_from(_KNOWN_TEXTS) | st.sampled_from(_KNOWN_TEXTS) | _SHORT
_SCALARS: Values = st.none() | st.booleans() | st.integers(-_MOST, _MOST) | st.floats(-1e9, 1e9) | TEXTS
#: Any JSON, small.
ANY_JSON: Values = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)


class Endless(ValueError):
    """A schema that only an endless value, or none at all, fits."""


def values(schema: Json, overrides: Mapping[str, Values] | None = None) -> Values:
    """Return a strategy of valid values.

    `overrides` replace the strategy at a pointer into the *value*, `*` standing for every item: `/model`,
    `/messages/*/role`. What they give must be valid too.
    Raises: UnsupportedKeyword; Endless.
    """
    found = _Compiler(Document(schema), overrides or {}).strategy(schema, "", 0)
    if found.is_empty:
        raise Endless("no finite value fits the schema of the whole")
    return found


def requests(schema: Json, models: Sequence[str], wire: Wire | None = None, most_tokens: int = 64) -> Values:
    """Return a strategy of request bodies that an endpoint serving `models` answers, within a small budget."""
    caps = wire.request.paths("cap") if wire else ()
    overrides: dict[str, Values] = {f"/{path.replace('.', '/')}": st.integers(1, most_tokens) for path in caps}
    if models:
        overrides |= {f"/{name}": st.sampled_from(models) for name in model_fields(wire)}
    good = Document(schema).verdict(schema)  # a conversation may need a message, and hold none but lost answers
    return values(schema, overrides).map(functools.partial(answered, wire)).filter(good)


def model_fields(wire: Wire | None) -> list[str]:
    """Return the fields of a body that name a model; none where its path does."""
    return wire.request.fields("model") if wire else ["model"]


def answered(wire: Wire | None, body: Json) -> Json:
    """Return a body as no schema can say: a tool message follows its call, and nothing is named that is not kept."""
    if wire is None or not isinstance(body, Mapping):
        return body
    form, at = wire.request, wire.request.fields("messages")[0]
    if form.previous(body):
        body = {name: item for name, item in body.items() if name not in form.fields("previous")}
    if form.references(body):
        body = {**body, at: [item for item in body[at] if not form.references({at: [item]})]}
    messages = body.get(at)
    if form.call_id is None or not isinstance(messages, list):
        return body
    kept: list[Json] = []
    open_calls: list[str] = []
    for message in messages:
        read = next(iter(form.messages({at: [message]})), None)
        if read is not None and read.role == "tool":
            if not open_calls:
                continue
            message = {**message, form.call_id: open_calls.pop(0)}
        else:
            open_calls = [ident for ident, _, _ in read.calls] if read else []
        kept.append(message)
    return {**body, at: kept}


class _Compiler:
    """Compiles one document; `at` is a pointer into the value, `depth` how many references led here.

    What no finite value fits has a strategy that is empty.
    """

    def __init__(self, document: Document, overrides: Mapping[str, Values]) -> None:
        self.document = document
        self.overrides = overrides
        self.made: dict[tuple[int, str, int], tuple[Json, Values]] = {}  # by the id of a part, which is held

    def strategy(self, part: Json, at: str, depth: int) -> Values:
        if at in self.overrides:
            return self.overrides[at]
        known = (id(part), at if self.overrides else "", depth)
        if known not in self.made:
            self.made[known] = part, self.compile(part, at, depth)
        return self.made[known][1]

    def compile(self, part: Json, at: str, depth: int) -> Values:
        flats = self.document.flatten(part, depth)
        strategy = st.one_of([found for flat, below in flats for found in self.kinds(flat, at, below)])
        combines = isinstance(part, Mapping) and not (COMBINES | {"pattern"}).isdisjoint(part)
        return strategy.filter(self.document.verdict(part)) if combines else strategy

    # One flat schema as strategies

    def kinds(self, flat: Mapping[str, Json], at: str, depth: int) -> list[Values]:
        """Return a strategy for each type that a flat schema allows."""
        if "const" in flat or "enum" in flat:
            verdict = self.document.verdict({key: item for key, item in flat.items() if key != "absent"})
            listed = [item for item in ([flat["const"]] if "const" in flat else flat["enum"]) if verdict(item)]
            return [st.sampled_from(listed)] if listed else []
        names = flat.get("type", list(_MAKERS))
        return [_MAKERS[name](self, flat, at, depth) for name in ([names] if isinstance(names, str) else names)]

    def object(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        properties, absent = flat.get("properties", {}), set(flat.get("absent", ()))
        required = list(dict.fromkeys(flat.get("required", ())))
        more = flat.get("additionalProperties", True)
        if not properties and not required:
            return st.just({}) if more is False else self.dictionary(flat, more, at, depth)
        fields = {
            name: self.strategy(properties.get(name, more), f"{at}/{escape(name)}", depth)
            for name in [*required, *properties]
            if name not in absent
        }
        if any(name in absent or fields[name].is_empty for name in required):
            return st.nothing()
        needed = {name: fields.pop(name) for name in required}
        return _objects(needed, {name: found for name, found in fields.items() if not found.is_empty})

    def dictionary(self, flat: Mapping[str, Json], more: Json, at: str, depth: int) -> Values:
        """Return a strategy of objects whose names are free."""
        names: st.SearchStrategy[str] = TEXTS
        if "propertyNames" in flat:
            names = names.filter(self.document.verdict(flat["propertyNames"]))
        most = min(flat.get("maxProperties", MOST_ITEMS), MOST_ITEMS)
        return st.dictionaries(names, self.extra(more, at, depth), max_size=most)

    def extra(self, more: Json, at: str, depth: int) -> Values:
        return ANY_JSON if more in (True, {}) else self.strategy(more, f"{at}/*", depth)

    def array(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        least, most = flat.get("minItems", 0), flat.get("maxItems", math.inf)
        items = self.extra(flat.get("items", True), at, depth)
        if items.is_empty:
            return st.nothing() if least else st.just([])
        return st.lists(items, min_size=least, max_size=int(min(most, least + MOST_ITEMS)))

    def string(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        least, most = flat.get("minLength", 0), flat.get("maxLength", math.inf)
        if "pattern" in flat:
            found = st.from_regex(flat["pattern"], alphabet=_CHARACTERS)
            return found.filter(lambda text: least <= len(text) <= most)
        if least == 0 and most >= MOST_CHARACTERS:
            return TEXTS
        most = int(min(most, least + MOST_CHARACTERS))
        return st.text(_CHARACTERS, min_size=least, max_size=most)

    def integer(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        over, under = flat.get("exclusiveMinimum", -_MOST - 1), flat.get("exclusiveMaximum", _MOST + 1)
        low = max(math.ceil(flat.get("minimum", -_MOST)), math.floor(over) + 1, -_MOST)
        high = min(math.floor(flat.get("maximum", _MOST)), math.ceil(under) - 1, _MOST)
        return st.integers(low, high) if low <= high else st.nothing()

    def number(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        low, high = flat.get("minimum"), flat.get("maximum")
        over, under = flat.get("exclusiveMinimum"), flat.get("exclusiveMaximum")
        bottom = max((item for item in (low, over) if item is not None), default=None)
        top = min((item for item in (high, under) if item is not None), default=None)
        return self.integer(flat, at, depth) | st.floats(
            bottom, top, allow_nan=False, allow_infinity=False,
            exclude_min=bottom is not None and bottom == over, exclude_max=top is not None and top == under,
        )  # fmt: skip

    def boolean(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        return st.booleans()

    def null(self, flat: Mapping[str, Json], at: str, depth: int) -> Values:
        return st.none()


@st.composite
def _objects(draw: st.DrawFn, needed: Mapping[str, Values], optional: Mapping[str, Values]) -> Json:
    """Draw the fields of an object, in the order of the schema: `fixed_dictionaries` shuffles, which costs a third."""
    value = {name: draw(found) for name, found in needed.items()}
    chosen = draw(st.integers(0, 2 ** len(optional) - 1))
    for index, (name, found) in enumerate(optional.items()):
        if chosen >> index & 1:
            value[name] = draw(found)
    return value


_MAKERS: Mapping[str, Callable[[_Compiler, Mapping[str, Json], str, int], Values]] = {
    "null": _Compiler.null,
    "boolean": _Compiler.boolean,
    "integer": _Compiler.integer,
    "number": _Compiler.number,
    "string": _Compiler.string,
    "array": _Compiler.array,
    "object": _Compiler.object,
}
