"""What is wrong in provider.yaml beyond its schema: names that are nowhere, holes that nothing fills."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import TypeAlias

from emulator.core.errors import STATUS, Json, nearest
from emulator.core.provider import wording
from emulator.core.provider.conversation.rules import rule_problems
from emulator.core.provider.holes import holes
from emulator.core.tree import Path, walk

Data: TypeAlias = Mapping[str, Json]
Problems: TypeAlias = Iterator[tuple[Path, str]]

_ENVELOPE_HOLES = {"message", "param", "details", "request_id", "status", "more"}
_DETAIL_HOLES = {"field", "message"}
#: What the exact text of an error can name.
_EXACT_HOLES = ("key", "model", "limit", "given", "used", "wait", "seconds", "reason", "version", "method")
#: What JSON beside the message can tell.
_MORE_HOLES = {*_ENVELOPE_HOLES - {"more"}, "type", "code", "model", "limit", "seconds"}
#: What an error can have beside the values of the envelope's holes.
_ERROR_KEYS = {
    "message", "retry_after", "retry_in", "fact", "documented", "status", "like", "exact", "empty", "text", "final",
}  # fmt: skip
#: Where provider.yaml names an error.
_ERRORS_NAMED: Sequence[tuple[str, ...]] = (
    ("models", "unknown"), ("models", "context"), ("auth", "missing"), ("auth", "wrong"), ("content_type", "other"),
    ("malformed",), ("unknown_path",), ("wrong_method",), ("auth", "elsewhere", "bearer"),
)  # fmt: skip


def unknown(place: Path, name: str, known: Collection[str], what: str = "there is no error '{}'") -> Problems:
    """Yield that a name is none of those that are known; `what` says so, with {} for it."""
    if name not in known:
        yield place, f"{what.format(name)}; {nearest(name, known)}"


def unfilled(place: Path, shape: Json, known: Collection[str], where: str = "") -> Problems:
    """Yield the holes of a shape that nothing fills."""
    for hole in holes(shape):
        yield from unknown(place, hole, known, f"nothing fills ${{{{{{}}}}}}{where}")


def data_problems(data: Data) -> Problems:
    """Yield what is wrong, with its path."""
    for find in (_of_tasks, _of_errors, _of_wordings, _of_conversations, _of_models_and_plans):
        yield from find(data)


def _of_tasks(data: Data) -> Problems:
    known = {name for item in data["models"]["list"] for name in item.get("capabilities", {})}
    for name, task in data.get("tasks", {}).items():
        yield from unknown(("tasks", name, "capability"), task["capability"], known, "no model has '{}'")


def _of_errors(data: Data) -> Problems:
    wanted = set(holes([data["errors"]["envelope"], *data["errors"].get("envelopes", {}).values()]))
    for name, given in data["errors"]["names"].items():
        yield from _of_error(name, given, wanted)
    if "details" in {*wanted, *holes(list(_more(data)))} and "detail" not in data["errors"]:
        yield ("errors",), "lacks 'detail', the shape of one of ${details}"
    yield from _of_names(data)
    for more in _more(data):
        yield from unfilled(("errors",), more, _MORE_HOLES, " in 'more'")
    yield from unfilled(("errors", "detail"), data["errors"].get("detail"), _DETAIL_HOLES)


def _of_error(name: str, given: Mapping[str, Json], wanted: Set[str]) -> Problems:
    """Check that an error has what the envelope wants, and nothing that is used nowhere."""
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


def _more(data: Data) -> Iterator[Json]:
    """Yield what errors tell besides their messages."""
    for part in ("names", "violations"):
        yield from (item["more"] for item in data["errors"].get(part, {}).values() if item.get("more"))


def _of_names(data: Data) -> Problems:
    """The errors and operations that are named beside their lists are there."""
    for path, value in walk(data):
        at, last = path[:1], path[-1:]
        of_operation = at == ("operations",) and path[2:3] in (("models",), ("limits",), ("query",))
        of_error = (of_operation and last in (("other",), ("unknown",), ("error",))) or path[:2] == ("plans", "over")
        of_error = of_error or path[2:4] == ("fallbacks", "not_after")
        if of_error or path == ("not_emulated", "error"):
            yield from unknown(path, value, data["errors"]["names"])
        elif at == ("headers",) and path[2:3] in (("operations",), ("not_streamed",)):
            yield from unknown(path, value, data["operations"], "there is no operation '{}'")


def _of_wordings(data: Data) -> Problems:
    """What is said in place of our words has only holes that are filled; errors that are named exist."""
    names = data["errors"]["names"]
    for path in _ERRORS_NAMED:
        name: Json = functools.reduce(lambda part, step: part.get(step, {}), path, data)
        yield from unknown(path, name, names) if name and name != "note" else ()
    for name, given in names.items():
        yield from unfilled(("errors", "names", name, "exact"), given.get("exact"), _EXACT_HOLES)
    wordings: dict[Path, Mapping[str, Json]] = {
        ("errors", "violations", keyword): given for keyword, given in data["errors"].get("violations", {}).items()
    }
    wordings |= {where: given for key in ("header_exceptions", "exceptions") for where, given in _listed(data, key)}
    for where, given in wordings.items():
        for part in ("param", "message"):
            yield from unfilled((*where, part), given.get(part), wording.HOLES)


def _of_conversations(data: Data) -> Problems:
    """Each rule has what it looks at, and no more; its error exists, and some model has its trait."""
    traits = {trait for model in data["models"]["list"] for trait in model.get("traits", ())}
    for where, rule in _listed(data, "conversation"):
        yield from (((*where, part), message) for part, message in rule_problems(rule))
        yield from unknown((*where, "error"), rule.get("error", "invalid_request"), data["errors"]["names"])
        for part in ("trait", "without"):
            yield from unknown((*where, part), rule[part], traits, "no model has '{}'") if part in rule else ()


def _listed(data: Data, key: str) -> Iterator[tuple[Path, Mapping[str, Json]]]:
    """Yield the items of a list that stands in the whole, and in operations, with their places."""
    holders: dict[Path, Data] = {("operations", name): its for name, its in data["operations"].items()}
    for place, holder in {(): data, **holders}.items():
        yield from (((*place, key, index), item) for index, item in enumerate(holder.get(key, ())))


def _of_models_and_plans(data: Data) -> Problems:
    models, default = data["models"], data["plans"]["default"]
    listed = [item["id"] for item in models["list"]]
    for key in ("auto", "embedding"):
        yield from unknown(("models", key), models[key], listed, "'{}' is not in the list") if key in models else ()
    for index, name in enumerate(listed):
        if name in listed[:index]:
            yield ("models", "list", index, "id"), f"'{name}' stands here a second time"
    yield from unknown(("plans", "default"), default, {"unlimited", *data["plans"]["list"]}, "there is no plan '{}'")
