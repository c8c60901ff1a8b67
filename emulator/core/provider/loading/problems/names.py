"""What is wrong in provider.yaml beyond its schema: names that are nowhere or twice, holes that nothing fills."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any, TypeAlias

from emulator.core.errors import STATUS, Json, nearest
from emulator.core.provider import wording
from emulator.core.provider.conversation.rules import rule_problems
from emulator.core.provider.holes import holes
from emulator.core.tree import Path, walk

Data: TypeAlias = Mapping[str, Json]
Problems: TypeAlias = Iterator[tuple[Path, str]]

_ENVELOPE_HOLES = {"message", "param", "details", "request_id", "status", "more"}
#: What JSON beside the message can tell.
_MORE_HOLES = {*_ENVELOPE_HOLES - {"more"}, "type", "code", "model", "limit", "seconds"}
#: What an error can have beside the values of the envelope's holes.
_ERROR_KEYS = {
    "message", "retry_after", "retry_in", "fact", "documented", "status", "like", "exact", "empty", "text", "final",
    "below",
}  # fmt: skip
#: Where texts have holes, `*` for each item, and what fills them.
_HOLES: Mapping[str, Collection[str]] = {
    "errors.names.*.exact": (
        "key", "model", "limit", "given", "used", "wait", "seconds", "reason", "version", "method"),
    "errors.detail": ("field", "message"),
    **{f"{place}.{part}": wording.HOLES for part in ("param", "message")
       for place in ("errors.violations.*", "header_exceptions.*", "operations.*.exceptions.*")},
}  # fmt: skip
_RULES = ("conversation.*", "operations.*.conversation.*")
#: Where errors are named.
_ERRORS = (
    "models.unknown", "models.context", "auth.missing", "auth.wrong", "auth.elsewhere.bearer", "malformed",
    "unknown_path", "wrong_method", "not_emulated.error", "plans.over.*", *(f"{rule}.error" for rule in _RULES),
    *(f"operations.*.{place}" for place in (
        "models.other", "models.unknown", "limits.*.error", "query.error", "query.others.*", "context.error",
        "missing.error", "missing_item.error", "fallbacks.not_after.*")),
)  # fmt: skip


def found(data: Json, place: str) -> Iterator[tuple[Path, Json]]:
    """Yield what is at a dotted place, with its path; `*` is each item."""
    step, _, below = place.partition(".")
    items: Any = enumerate(data) if isinstance(data, list) else data.items() if isinstance(data, Mapping) else ()
    for key, item in items:
        if step in ("*", key):
            yield from (((key, *path), value) for path, value in (found(item, below) if below else [((), item)]))


def unknown(place: Path, name: str, known: Collection[str], what: str = "there is no error '{}'") -> Problems:
    """Yield that a name is none of those that are known; `what` says so, with {} for it."""
    if name not in known:
        yield place, f"{what.format(name)}; {nearest(name, known)}"


def unfilled(place: Path, shape: Json, known: Collection[str], where: str = "") -> Problems:
    """Yield the holes of a shape that nothing fills."""
    for hole in holes(shape):
        yield from unknown(place, hole, known, f"nothing fills ${{{{{{}}}}}}{where}")


def name_problems(data: Data) -> Problems:
    """Yield what is wrong, with its path."""
    yield from _of_errors(data)
    for known, what, places in _named(data):
        for place in places:
            for path, name in found(data, place):
                yield from unknown(path, name, known, what)
    facts = [(path, value) for path, value in walk(data) if path[-1:] in (("fact",), ("context_fact",))]
    facts += [(path, path[-1]) for path, _ in found(data, "operations.*.query.others.*")]
    for path, value in facts:
        if path[0] != "facts":
            yield from unknown(path, value, [fact["id"] for fact in data["facts"]], "there is no fact '{}'")
    for place, filled in _HOLES.items():
        for path, shape in found(data, place):
            yield from unfilled(path, shape, filled)
    for place in _RULES:
        for path, rule in found(data, place):
            yield from (((*path, part), message) for part, message in rule_problems(rule))
    yield from _twice(data, "models.list.*.id")
    yield from _twice(data, "facts.*.id")


def _named(data: Data) -> Iterator[tuple[Collection[str], str, Sequence[str]]]:
    """Yield what can be named, what is said of a name that is none of it, and where such names are."""
    errors, models = data["errors"]["names"], data["models"]["list"]
    yield errors, "there is no error '{}'", _ERRORS
    yield {*errors, "note"}, "there is no error '{}'", ("content_type.other",)
    yield data["operations"], "there is no operation '{}'", ("headers.*.operations.*", "headers.*.not_streamed.*")
    yield [model["id"] for model in models], "'{}' is not in the list", ("models.auto", "models.embedding")
    yield {"unlimited", *data["plans"]["list"]}, "there is no plan '{}'", ("plans.default",)
    capabilities = {name for model in models for name in model.get("capabilities", ())}
    yield capabilities, "no model has '{}'", ("tasks.*.capability",)
    traits = {trait for model in models for trait in model.get("traits", ())}
    yield traits, "no model has '{}'", [f"{rule}.{part}" for rule in _RULES for part in ("trait", "without")]


def _twice(data: Data, place: str) -> Problems:
    """Yield the names that stand in a list a second time."""
    seen = set[str]()
    for path, name in found(data, place):
        if name in seen:
            yield path, f"'{name}' stands here a second time"
        seen.add(name)


def _of_errors(data: Data) -> Problems:
    """Errors have what the envelope asks for; it has the shape of what it tells."""
    errors = data["errors"]
    wanted = set(holes([errors["envelope"], *errors.get("envelopes", {}).values()]))
    for name, given in errors["names"].items():
        yield from _of_error(name, given, wanted)
    places = ("names.*.more", "names.*.below.*.more", "violations.*.more")
    more = [shape for place in places for _, shape in found(errors, place)]
    if "details" in {*wanted, *holes(more)} and "detail" not in errors:
        yield ("errors",), "lacks 'detail', the shape of one of ${details}"
    yield from unfilled(("errors",), more, _MORE_HOLES, " in 'more'")


def _of_error(name: str, given: Mapping[str, Json], wanted: Set[str]) -> Problems:
    """An error has what the envelope wants, and nothing that is used nowhere."""
    place, own = ("errors", "names", name), name in STATUS
    if not own and "like" not in given:
        yield place, f"lacks 'like', one of the names that all providers have; {nearest(name, STATUS)}"
    elif own and "like" in given:
        yield (*place, "like"), f"is for further names; '{name}' is one that all providers have"
    elif own and "message" not in given:
        yield place, "lacks 'message'"
    for key in sorted(wanted - _ENVELOPE_HOLES - given.keys()) if own else ():
        yield place, f"lacks '{key}', which the envelope has a hole for"
    for key in given.keys() - wanted - _ERROR_KEYS:
        yield (*place, key), f"is used nowhere: the envelope has no ${{{key}}}"
