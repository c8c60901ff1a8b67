"""Explaining what breaks a schema: from the errors of jsonschema to messages, each with its path, its fix and its fact.

In a union the branch is picked that the author meant, by type, const or enum.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from emulator.core.errors import Json, Violation, closest, many, nearest, shown
from emulator.core.schema.slow import tag_names
from emulator.core.secrets.texts import is_secret, redact, redact_text
from emulator.core.tree import listed, path_of

#: An error of jsonschema: its keyword, value, schema and place; its own types say less.
ValidationError: TypeAlias = Any

_FACT = re.compile(r"[a-z0-9-]+")
_MAX_VIOLATIONS = 50


def explain(errors: Iterable[ValidationError]) -> tuple[Violation, ...]:
    """Return one Violation a wrong value, in the order of the errors."""
    found: dict[tuple[str, str], Violation] = {}
    for error in errors:
        for violation in _explain(error):
            found.setdefault((violation.path, violation.message), violation)
        if len(found) >= _MAX_VIOLATIONS:
            break
    return tuple(found.values())


def fact_of(document: Mapping[str, Json]) -> str | None:
    """Return the fact that a schema's `$comment` names."""
    comment = document.get("$comment")
    match = _FACT.match(comment) if isinstance(comment, str) else None
    return match[0] if match and match[0] != "assumed" else None


def _explain(error: ValidationError) -> Iterator[Violation]:
    """Yield what is wrong at an error; of a union, what is wrong with the branch that was meant."""
    wanted = error.validator_value
    if error.validator in ("anyOf", "oneOf"):
        meant = _branch_meant(error)
        for item in meant:
            yield from _explain(item)
        if not meant:
            yield from _fits_no_branch(error)
    elif error.validator == "required":
        yield from (_violation(error, "is required", name) for name in wanted if name not in error.instance)
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extras = [name for name in error.instance if name not in known]
        for name in extras[:_MAX_VIOLATIONS]:
            message = f"is not known here; {nearest(name, known)}"
            yield _violation(error, message, name, keyword="additionalProperties", wanted=closest(name, known))
    elif error.validator == "not" and isinstance(wanted, Mapping) and "required" in wanted:
        yield from (_violation(error, _message(error), name) for name in wanted["required"])
    else:
        yield _violation(error, _message(error))


def _violation(
    error: ValidationError,
    message: str,
    *below: str,
    fact: str | None = None,
    keyword: str | None = None,
    wanted: Json = None,
) -> Violation:
    steps = (*error.absolute_path, *below)
    name = next((step for step in reversed(error.absolute_path) if isinstance(step, str)), "")
    if is_secret(name, "field") and isinstance(error.instance, str | int | float):
        message = message.replace(shown(error.instance), redact(str(error.instance)))
    message = redact_text(message)
    own = fact_of(error.schema) if isinstance(error.schema, Mapping) else None
    if keyword is None:
        keyword, wanted = _keyword(error), error.validator_value
    return Violation(path_of(steps), message, fact or own, steps, keyword, wanted, error.instance)


def _keyword(error: ValidationError) -> str:
    """Return what an error breaks: of a range whose numbers, of a field's name that it is the name."""
    keyword = str(error.validator)
    where = list(error.absolute_schema_path)
    if keyword in _RANGES:
        kinds = error.schema.get("type", ())
        return f"{keyword}_integer" if "integer" in listed(kinds) else keyword
    return "propertyNames" if where[-2:-1] == ["propertyNames"] else keyword


_RANGES = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


# Unions


def _branch_meant(error: ValidationError) -> Sequence[ValidationError]:
    """Return the errors of the branch that was meant: the fewest, where nothing shows that another one was."""
    if all(map(_lacks_fields, error.context)):
        return ()
    tags = tag_names(error.validator_value)
    branches = [list(items) for _, items in groupby(error.context, lambda item: next(iter(item.schema_path), -1))]
    meant = [items for items in branches if not any(_rules_out(item, tags) for item in items)]
    return min(meant, key=len, default=())


def _lacks_fields(error: ValidationError) -> bool:
    if error.validator == "anyOf":
        return bool(error.context) and all(map(_lacks_fields, error.context))
    return bool(error.validator == "required")


def _rules_out(error: ValidationError, tags: Collection[str]) -> bool:
    """Tell whether an error in a branch shows that another branch was meant: its type, or a tag one level down."""
    depth = len(error.path)
    if error.validator not in ("const", "enum"):
        return depth == 0 and error.validator == "type"
    return depth == 0 or (depth == 1 and error.path[0] in tags)


def _fits_no_branch(error: ValidationError) -> Iterator[Violation]:
    """Say what a value that fits no branch of a union lacks, or could have been."""
    is_object = isinstance(error.instance, Mapping)
    missing = _missing_everywhere(error) if is_object else []
    tags = _tags(error)
    if missing:
        yield from (_violation(error, "is required", name, keyword="required") for name in missing)
    elif not is_object and error.schema.get("type") == "object":
        return  # it was told so
    elif not tags and is_object and all(map(_requires, error.validator_value)):
        yield _violation(error, _one_of_fields(error))
    elif not tags and error.validator == "oneOf":
        yield _violation(error, "fits more than one of the shapes allowed here")
    else:
        yield _none_of_the_words(error, tags)


def _missing_everywhere(error: ValidationError) -> list[str]:
    """Return the fields that an object lacks and every branch of a union requires, such as their tag."""
    branches = [item.get("required", ()) if isinstance(item, Mapping) else () for item in error.validator_value]
    return [name for name in branches[0] if name not in error.instance and all(name in names for names in branches)]


def _tags(error: ValidationError) -> list[ValidationError]:
    """Return the errors that rule branches out, as deep in the value as any of them are."""
    names = tag_names(error.validator_value)
    rulers = [item for item in error.context if _rules_out(item, names)]
    deepest = max((len(item.path) for item in rulers), default=0)
    return [item for item in rulers if len(item.path) == deepest]


def _none_of_the_words(error: ValidationError, tags: Sequence[ValidationError]) -> Violation:
    names = [str(word) for item in tags for word in listed(item.validator_value)]
    words = ", ".join(dict.fromkeys(_KINDS.get(name, f"'{name}'") for name in names))
    place = tags[0] if tags else error
    facts = [fact_of(item.schema) for item in (error, *tags) if isinstance(item.schema, Mapping)]
    message = f"must be one of: {words}; not {shown(place.instance)}{_hint(place.instance, names)}"
    keyword, wanted = _wanted(place.instance, tags)
    return _violation(place, message, fact=next(filter(None, facts), None), keyword=keyword, wanted=wanted)


def _wanted(value: Json, tags: Sequence[ValidationError]) -> tuple[str, list[Json]]:
    """Return what a value that fits no branch breaks: the words that are good here, or the types."""
    words: list[Json] = []
    types: list[str] = []
    for item in tags:
        (types if item.validator == "type" else words).extend(listed(item.validator_value))
    if words and (not types or isinstance(value, str)):
        return "enum", [item for index, item in enumerate(words) if item not in words[:index]]
    return "type", list(dict.fromkeys([*types, *(["string"] if words else [])]))


def _requires(branch: Json) -> bool:
    return isinstance(branch, Mapping) and ("required" in branch or all(map(_requires, branch.get("anyOf", [False]))))


def _one_of_fields(error: ValidationError) -> str:
    """Say which fields a union of `required` chooses among."""
    options = [option for branch in error.validator_value for option in branch.get("anyOf", [branch])]
    names = [name for option in options for name in option.get("required", [])]
    have = [name for name in names if name in error.instance]
    return f"{' and '.join(have)} do not go together" if len(have) > 1 else "needs one of: " + ", ".join(names)


_KINDS = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def _kinds(names: str | Sequence[str]) -> str:
    return " or ".join(_KINDS[name] for name in listed(names))


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
    "minProperties": lambda wanted, value: f"must have at least {many(wanted, 'field')}",
    "maxProperties": lambda wanted, value: f"must have at most {many(wanted, 'field')}, not {len(value)}",
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
