"""JSON Schema (draft 2020-12): a fast verdict, and on a miss a message a person can act on.

Every constraint of a provider names the fact it rests on in its `$comment` (`FACT: words`), so a miss carries the fact
and a fact can be muted. In a union the branch is picked that the author meant, by type, const or enum.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import jsonschema_rs

from emulator.core.errors import Json, Violation, closest, nearest, shown
from emulator.core.tree import path_of as path_of
from emulator.core.tree import walk

#: An error of jsonschema: its keyword, value, schema and place; its own types say less.
ValidationError: TypeAlias = Any

#: What is left of a subschema when the fact it rests on is muted: what describes, not what constrains.
_DESCRIBES = {"$schema", "$id", "$defs", "$comment", "title", "description", "properties", "items", "examples"}
_FACT = re.compile(r"[a-z0-9-]+")
_MAX_VIOLATIONS = 50


class Schema:
    """A compiled schema. `verdict` is cheap; `violations` explains, and costs a hundred times as much."""

    __slots__ = ("_oracle", "document", "errors", "verdict")

    def __init__(self, document: Json) -> None:
        """Raises: ValueError, if the document is no JSON Schema or refers outside itself."""
        self.document = document
        try:
            options = jsonschema_rs.RegexOptions()  # linear time: a pattern from a request cannot hang us
            validator = jsonschema_rs.Draft202012Validator(
                document, retriever=_retrieve_nothing, pattern_options=options
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(f"is no JSON Schema: {str(error).splitlines()[0]}") from None
        except BaseException as error:  # the compiler panics on a few malformed schemas; that is bad input too
            if type(error).__name__ != "PanicException":
                raise
            raise ValueError("is no JSON Schema: it cannot be compiled") from None
        self.verdict: Callable[[Json], bool] = validator.is_valid
        self.errors: Callable[[Json], Iterable[Any]] = validator.iter_errors
        self._oracle: Any = None

    def violations(self, value: Json) -> tuple[Violation, ...]:
        """Explain what breaks the schema: one Violation a value, in the order of the document."""
        found: dict[tuple[str, str], Violation] = {}
        for error in self.oracle.iter_errors(value):
            for violation in _explain(error):
                found.setdefault((violation.path, violation.message), violation)
            if len(found) >= _MAX_VIOLATIONS:
                break
        return tuple(found.values())

    @property
    def oracle(self) -> Any:
        """The same schema in jsonschema, imported when it is first needed."""
        if self._oracle is None:
            from jsonschema import Draft202012Validator
            from referencing import Registry

            self._oracle = Draft202012Validator(self.document, registry=Registry())
        return self._oracle


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Compile a regular expression of Rust's linear-time syntax that searches.

    Raises: ValueError, for what that syntax lacks (look-around, back-references) or what is malformed.
    """
    options = jsonschema_rs.RegexOptions()
    try:
        validator = jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        message = f"{shown(pattern)} is no regular expression of linear time (no look-around, no back-references)"
        raise ValueError(message) from None
    return cast(Callable[[str], bool], validator.is_valid)


def strict(document: Json) -> Json:
    """Return a schema that also refuses undocumented fields, wherever fields are listed."""
    if isinstance(document, list):
        return [strict(item) for item in document]
    if not isinstance(document, Mapping):
        return document
    result = {key: item if key in ("default", "const", "enum") else strict(item) for key, item in document.items()}
    if isinstance(document.get("properties"), Mapping) and "type" in document:
        result.setdefault("additionalProperties", False)
    return result


def mute(document: Json, facts: frozenset[str]) -> Json:
    """Return a schema without the constraints that rest on `facts`."""
    if isinstance(document, list):
        return [mute(item, facts) for item in document]
    if not isinstance(document, Mapping):
        return document
    muted = _fact(document) in facts
    return {key: mute(item, facts) for key, item in document.items() if not muted or key in _DESCRIBES}


def defaults(document: Json) -> dict[str, Json]:
    """Return the documented defaults of a body's own fields."""
    return {name: item["default"] for name, item in _with_default(document)}


def default_facts(document: Json) -> dict[str, str]:
    """Return, for each field with a documented default, the fact it rests on."""
    return {name: _fact(item) or "" for name, item in _with_default(document)}


def _with_default(document: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for name, item in document.get("properties", {}).items():
        if isinstance(item, Mapping) and "default" in item:
            yield name, item


def facts_named(document: Json) -> Iterator[str]:
    """Yield every fact that a `$comment` names."""
    for path, comment in walk(document):
        if path[-1:] == ("$comment",) and (fact := _fact({"$comment": comment})):
            yield fact


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


def _fact(document: Mapping[str, Json]) -> str | None:
    comment = document.get("$comment")
    match = _FACT.match(comment) if isinstance(comment, str) else None
    return match[0] if match and match[0] != "assumed" else None


# Unions: from an error of jsonschema to the errors of the branch that was meant.


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        yield error
        return
    if all(
        item.validator == "required"
        or (item.validator == "anyOf" and item.context and all(inner.validator == "required" for inner in item.context))
        for item in error.context
    ):
        yield error
        return
    branches: dict[int, list[ValidationError]] = {}
    for item in error.context:
        branches.setdefault(next(iter(item.schema_path), -1), []).append(item)
    meant = [errors for errors in branches.values() if not any(_rules_out(item) for item in errors)]
    if not meant:
        yield error
        return
    for item in min(meant, key=len):
        yield from _leaves(item)


def _rules_out(error: ValidationError) -> bool:
    """Tell whether an error in a branch shows that another branch was meant: its type, or a tag one level down."""
    depth = len(error.path)
    if error.validator == "type":
        return depth == 0
    return error.validator in ("const", "enum") and depth <= 1


def _explain(error: ValidationError) -> Iterator[Violation]:
    for leaf in _leaves(error):
        path = list(leaf.absolute_path)
        fact = _fact(leaf.schema) if isinstance(leaf.schema, Mapping) else None
        if leaf.validator == "required":
            missing = [name for name in leaf.validator_value if name not in leaf.instance]
            for name in missing:
                yield _violation([*path, name], "is required", fact)
        elif leaf.validator == "additionalProperties":
            known = leaf.schema.get("properties", {})
            for name in _extras(leaf)[:_MAX_VIOLATIONS]:
                yield _violation([*path, name], f"is not known here; {nearest(name, known)}", fact)
        elif leaf.validator == "not" and _requires(leaf.validator_value) and "required" in leaf.validator_value:
            for name in leaf.validator_value["required"]:
                yield _violation([*path, name], _message(leaf), fact)
        elif leaf.validator in ("anyOf", "oneOf"):
            missing = _missing_everywhere(leaf)
            for name in missing:
                yield _violation([*path, name], "is required", fact)
            if not missing and (isinstance(leaf.instance, Mapping) or leaf.schema.get("type") != "object"):
                yield _no_branch(leaf, path, fact)  # what should be an object and is none was told so
        else:
            yield _violation(path, _message(leaf), fact)


def _violation(steps: list[str | int], message: str, fact: str | None) -> Violation:
    return Violation(path_of(steps), message, fact, tuple(steps))


def _extras(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {})
    return [name for name in error.instance if name not in known]


def _missing_everywhere(error: ValidationError) -> list[str]:
    """Return the fields that a value lacks and every branch of a union requires, such as their tag."""
    branches = [item.get("required", ()) for item in error.validator_value if isinstance(item, Mapping)]
    if not isinstance(error.instance, Mapping) or len(branches) < len(error.validator_value):
        return []
    return [name for name in branches[0] if name not in error.instance and all(name in names for names in branches)]


def _no_branch(error: ValidationError, path: list[str | int], fact: str | None) -> Violation:
    """Say what a value that fits no branch of a union could have been."""
    rulers = [item for item in error.context or () if _rules_out(item)]
    deepest = max((len(item.path) for item in rulers), default=0)
    tags = [item for item in rulers if len(item.path) == deepest]
    names: list[str] = []
    for item in tags:
        value = item.validator_value
        names += [str(name) for name in value] if isinstance(value, list) else [str(value)]
    words = ", ".join(dict.fromkeys(_KINDS.get(name, f"'{name}'") for name in names))
    value = tags[0].instance if tags else error.instance
    step = list(tags[0].path) if tags else []
    fact = fact or next((_fact(item.schema) for item in tags if isinstance(item.schema, Mapping)), None)
    if not tags and isinstance(error.instance, Mapping) and all(map(_requires, error.validator_value)):
        return _violation(path, _one_of_fields(error), fact)
    if not tags and error.validator == "oneOf":
        return _violation(path, "fits more than one of the shapes allowed here", fact)
    return _violation([*path, *step], f"must be one of: {words}; not {shown(value)}{_hint(value, names)}", fact)


def _requires(branch: Json) -> bool:
    return isinstance(branch, Mapping) and ("required" in branch or all(map(_requires, branch.get("anyOf", [False]))))


def _one_of_fields(error: ValidationError) -> str:
    """Say which fields a union of `required` chooses among."""
    names: list[str] = []
    for branch in error.validator_value:
        for option in branch.get("anyOf", [branch]):
            names += option.get("required", [])
    have = [name for name in names if name in error.instance]
    if len(have) > 1:
        return f"{' and '.join(have)} do not go together"
    return "needs one of: " + ", ".join(names)


_KINDS = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def _kinds(names: str | Sequence[str]) -> str:
    names = [names] if isinstance(names, str) else names
    return " or ".join(_KINDS[name] for name in names)


def _message(error: ValidationError) -> str:
    wanted, value = error.validator_value, error.instance
    if error.schema is False or error.validator == "not":
        comment = error.schema.get("$comment", "") if isinstance(error.schema, Mapping) else ""
        return "is not allowed here" + (f" ({comment.partition(':')[2].strip()})" if ":" in comment else "")
    if error.validator == "pattern" and "description" in error.schema:
        return f"is not right: {shown(value)}. {error.schema['description']}"
    phrase = _PHRASES.get(str(error.validator))
    return phrase(wanted, value) if phrase else str(error.message)[:200]


_PHRASES: Mapping[str, Callable[[Any, Any], str]] = {
    "type": lambda wanted, value: f"must be {_kinds(wanted)}, not {shown(value)}",
    "const": lambda wanted, value: f"must be {shown(wanted)}, not {shown(value)}",
    "enum": lambda wanted, value: _enum(wanted, value),
    "minimum": lambda wanted, value: f"must be at least {wanted}, not {shown(value)}",
    "maximum": lambda wanted, value: f"must be at most {wanted}, not {shown(value)}",
    "exclusiveMinimum": lambda wanted, value: f"must be over {wanted}, not {shown(value)}",
    "exclusiveMaximum": lambda wanted, value: f"must be under {wanted}, not {shown(value)}",
    "minLength": lambda wanted, value: (
        "must not be empty" if wanted == 1 else f"must have at least {wanted} characters, not {len(value)}"
    ),
    "maxLength": lambda wanted, value: f"must have at most {wanted} characters, not {len(value)}",
    "minItems": lambda wanted, value: "must not be empty" if wanted == 1 else f"must have at least {wanted} items",
    "maxItems": lambda wanted, value: f"must have at most {wanted} items, not {len(value)}",
    "minProperties": lambda wanted, value: f"must have at least {wanted} field{'s' * (wanted != 1)}",
    "maxProperties": lambda wanted, value: f"must have at most {wanted} field{'s' * (wanted != 1)}, not {len(value)}",
    "pattern": lambda wanted, value: f"must match {wanted}, not {shown(value)}",
    "dependentRequired": lambda wanted, value: "lacks a field that goes with another",
    "uniqueItems": lambda wanted, value: "must not hold the same item twice",
}


def _enum(wanted: Sequence[Json], value: Json) -> str:
    hint = _hint(value, [item for item in wanted if isinstance(item, str)])
    return f"must be one of {', '.join(map(shown, wanted))}; not {shown(value)}{hint}"


def _hint(value: Json, names: Sequence[str]) -> str:
    close = closest(value, names) if isinstance(value, str) else None
    return f"; did you mean '{close}'?" if close else ""
