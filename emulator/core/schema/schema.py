"""JSON Schema (draft 2020-12): a fast verdict, and on a miss a message a person can act on.

Every constraint of a provider names the fact it rests on in its `$comment` (`FACT: words`), so a miss carries the fact
and a fact can be muted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import jsonschema_rs

from emulator.core.errors import Json, Violation, shown
from emulator.core.schema.bounds import BACKTRACKS, looks_around, patterns, schema_parts
from emulator.core.schema.explain import explain, fact_of
from emulator.core.tree import path_of as path_of

#: What is left of a subschema when the fact it rests on is muted: what describes, not what constrains.
_DESCRIBES = {"$schema", "$id", "$defs", "$comment", "title", "description", "properties", "items", "examples"}
#: Keywords whose values are data.
_DATA = ("default", "const", "enum")


class Schema:
    """A compiled schema. `verdict` is cheap; `violations` explains, and costs a hundred times as much."""

    __slots__ = ("_looks", "_old", "_oracle", "_pattern_bytes", "_read", "document", "errors", "verdict")

    document: Json
    verdict: Callable[[Json], bool]
    errors: Callable[[Json], Iterable[Any]]

    def __init__(
        self, document: Json | Callable[[], Json], pattern_bytes: int | None = None, foreign: bool = False
    ) -> None:
        """Compile a document, or let the first use read and compile it where it is given by what reads it.

        `pattern_bytes` bounds what each compiled pattern takes. One that is `foreign` may be of draft-07, and its
        patterns may look around.
        Raises: ValueError, if the document is no JSON Schema or refers outside itself.
        """
        self._pattern_bytes = pattern_bytes
        self._old = foreign and is_draft_07(document)
        self._looks = foreign and any(map(looks_around, patterns(schema_parts(document))))
        self._oracle: Any = None
        if callable(document):
            self._read = document
        else:
            self.document = document
            self._compile()

    def __getattr__(self, name: str) -> Any:
        if name == "document":
            self.document = self._read()
        elif name in ("verdict", "errors"):
            self._compile()
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def _compile(self) -> None:
        try:
            dialect = jsonschema_rs.Draft7Validator if self._old else jsonschema_rs.Draft202012Validator
            validator = dialect(
                self.document,
                retriever=_retrieve_nothing,
                validate_formats=False,  # as in draft 2020-12
                pattern_options=_engine(self._pattern_bytes, self._looks),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(f"is no JSON Schema: {str(error).splitlines()[0]}") from None
        except BaseException as error:  # the compiler panics on a few malformed schemas; that is bad input too
            if type(error).__name__ != "PanicException":
                raise
            raise ValueError("is no JSON Schema: it cannot be compiled") from None
        self.verdict, self.errors = validator.is_valid, validator.iter_errors

    def violations(self, value: Json) -> tuple[Violation, ...]:
        """Explain what breaks the schema: one Violation a value, in the order of the document."""
        return explain(self.oracle.iter_errors(value))

    @property
    def oracle(self) -> Any:
        """The same schema in jsonschema, imported when it is first needed."""
        from emulator.core.schema.slow import oracle

        if self._oracle is None:
            self._oracle = oracle(self.document, self._old)
        return self._oracle


def is_draft_07(document: Json) -> bool:
    """Tell whether a document says that it is draft-07, or says nothing and has a list as `items`, as only that has."""
    named = document.get("$schema") if isinstance(document, Mapping) else None
    if isinstance(named, str):
        return "draft-07" in named or "draft-06" in named
    left: list[Json] = [document]
    while left:
        part = left.pop()
        if isinstance(part, Mapping):
            if isinstance(part.get("items"), list) and "prefixItems" not in part:
                return True
            left += [value for name, value in part.items() if name not in ("const", "enum", "default", "examples")]
        elif isinstance(part, list):
            left += part
    return False


class NoPattern(ValueError):
    """A text that is no pattern, or too large a one."""


def _engine(size: int | None, looks: bool = False) -> Any:
    """Return how patterns are compiled: in linear time, or for those that look around with so many steps at most."""
    if looks:
        return jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS, size_limit=size)
    return jsonschema_rs.RegexOptions(size_limit=size)


def compile_pattern(pattern: str, size: int | None = None, looks: bool = False) -> Callable[[str], bool]:
    """Compile a regular expression of Rust's linear-time syntax that searches; `size` bounds its bytes compiled.

    Raises: NoPattern, for what is malformed and, unless it `looks`, for look-around and back-references.
    """
    options = _engine(size, looks)
    try:
        validator = jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        message = f"{shown(pattern)} is no regular expression of linear time (no look-around, no back-references)"
        raise NoPattern(message) from None
    return cast(Callable[[str], bool], validator.is_valid)


def rewritten(document: Json, change: Callable[[Mapping[str, Json]], Mapping[str, Json]]) -> Json:
    """Return a schema in which each object is changed, but for what stands in data."""
    if isinstance(document, list):
        return [rewritten(item, change) for item in document]
    if not isinstance(document, Mapping):
        return document
    return {key: item if key in _DATA else rewritten(item, change) for key, item in change(document).items()}


def strict(document: Json) -> Json:
    """Return a schema that also refuses undocumented fields, wherever fields are listed."""
    closed = {"additionalProperties": False}

    def close(part: Mapping[str, Json]) -> Mapping[str, Json]:
        return {**part, **closed, **part} if isinstance(part.get("properties"), Mapping) and "type" in part else part

    return rewritten(document, close)


def open_world(document: Json) -> Json:
    """Return a schema without its lists of the only fields that there may be."""
    left_out = ("additionalProperties", False)
    return rewritten(document, lambda part: {key: item for key, item in part.items() if (key, item) != left_out})


def placed(document: Json, place: str) -> Json:
    """Return a schema as a part of another: it has no name of its own, and refers to itself by its place."""

    def moved(part: Mapping[str, Json]) -> Mapping[str, Json]:
        to = part.get("$ref")
        return {**part, "$ref": place + to[1:]} if isinstance(to, str) and to[:1] == "#" else part

    own = document.items() if isinstance(document, Mapping) else ()
    return rewritten({name: item for name, item in own if name not in ("$schema", "$id")} if own else document, moved)


def every(*documents: Json) -> Json:
    """Return a schema that all of some documents must hold in; each keeps its own definitions."""
    return {"allOf": [{"$id": f"urn:{number}", **item} for number, item in enumerate(documents)]}


def mute(document: Json, facts: frozenset[str]) -> Json:
    """Return a schema without the constraints that rest on `facts`."""

    def muted(part: Mapping[str, Json]) -> Mapping[str, Json]:
        return part if fact_of(part) not in facts else {key: item for key, item in part.items() if key in _DESCRIBES}

    return rewritten(document, muted) if facts else document


def defaults(document: Json) -> dict[str, Json]:
    """Return the documented defaults of a body's own fields."""
    return {name: item["default"] for name, item in _with_default(document)}


def default_facts(document: Json) -> dict[str, str]:
    """Return, for each field with a documented default, the fact it rests on."""
    return {name: fact_of(item) or "" for name, item in _with_default(document)}


def _with_default(document: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for name, item in document.get("properties", {}).items():
        if isinstance(item, Mapping) and "default" in item:
            yield name, item


def facts_named(document: Json) -> Iterator[str]:
    """Yield every fact that a `$comment` names."""
    return (fact for part in schema_parts(document) if isinstance(part, Mapping) and (fact := fact_of(part)))


def required(document: Json) -> set[str]:
    """Return the fields of a body that must be there."""
    parts = [document, *document.get("allOf", ())] if document else []
    return {name for part in parts for name in part.get("required", ())}


def undocumented(strict_schema: Schema, value: Json) -> list[str]:
    """Return the paths of fields that only a strict schema refuses, in a value that the documented one accepts."""
    return [path for error in strict_schema.errors(value) for path in _unexpected(error) or ()]


def _unexpected(error: Any) -> list[str] | None:
    """Return the undocumented fields behind an error of the fast validator; None if it is about something else."""
    kind = error.kind
    if kind.name == "additionalProperties":
        return [path_of([*error.instance_path, name]) for name in kind.unexpected]
    for branch in getattr(kind, "context", ()):
        found = [_unexpected(item) for item in branch]
        if found and None not in found:
            return [path for paths in found for path in paths or ()]
    return None


def _retrieve_nothing(uri: str) -> Json:
    raise ValueError(f"{uri} is outside the document")
