"""What is wrong in provider.yaml beyond its schema: names that are nowhere, holes that nothing fills."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence, Set
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


def data_problems(data: Data) -> Problems:
    """Yield what is wrong, with its path."""
    for find in (_of_tasks, _of_errors, _of_wordings, _of_conversations, _of_models_and_plans):
        yield from find(data)


def _of_tasks(data: Data) -> Problems:
    known = {name for item in data["models"]["list"] for name in item.get("capabilities", {})}
    for name, task in data.get("tasks", {}).items():
        if task["capability"] not in known:
            hint = nearest(task["capability"], known)
            yield ("tasks", name, "capability"), f"no model has '{task['capability']}'; {hint}"


def _of_errors(data: Data) -> Problems:
    wanted = set(holes([data["errors"]["envelope"], *data["errors"].get("envelopes", {}).values()]))
    for name, given in data["errors"]["names"].items():
        yield from _of_error(name, given, wanted)
    if "details" in {*wanted, *holes(list(_more(data)))} and "detail" not in data["errors"]:
        yield ("errors",), "lacks 'detail', the shape of one of ${details}"
    yield from _of_names(data)
    for more in _more(data):
        for name in holes(more):
            if name not in _MORE_HOLES:
                yield ("errors",), f"nothing fills ${{{name}}} in 'more'; {nearest(name, _MORE_HOLES)}"
    for name in holes(data["errors"].get("detail")):
        if name not in _DETAIL_HOLES:
            yield ("errors", "detail"), f"nothing fills ${{{name}}}; {nearest(name, _DETAIL_HOLES)}"


def _of_error(name: str, given: Mapping[str, Json], wanted: Set[str]) -> Problems:
    """Check that an error has what the envelope wants, and nothing that is used nowhere."""
    own = name in STATUS
    if not own and "like" not in given:
        hint = f"lacks 'like', one of the names that all providers have; {nearest(name, STATUS)}"
        yield ("errors", "names", name), hint
    elif own and "like" in given:
        hint = f"is for further names; '{name}' is one that all providers have"
        yield ("errors", "names", name, "like"), hint
    elif own and "message" not in given:
        yield ("errors", "names", name), "lacks 'message'"
    for key in sorted(wanted - _ENVELOPE_HOLES - given.keys()) if own else ():
        yield ("errors", "names", name), f"lacks '{key}', which the envelope has a hole for"
    for key in given.keys() - wanted - _ERROR_KEYS:
        yield ("errors", "names", name, key), f"is used nowhere: the envelope has no ${{{key}}}"


def _more(data: Data) -> Iterator[Json]:
    """Yield what errors tell besides their messages."""
    for part in ("names", "violations"):
        yield from (item["more"] for item in data["errors"].get(part, {}).values() if item.get("more"))


def _of_names(data: Data) -> Problems:
    """The errors and operations that are named beside their lists are there."""
    operations, errors = data["operations"], data["errors"]["names"]
    for path, value in walk(data):
        at, last = path[:1], path[-1:]
        of_operation = at == ("operations",) and path[2:3] in (("models",), ("limits",), ("query",))
        of_error = (of_operation and last in (("other",), ("unknown",), ("error",))) or path[:2] == ("plans", "over")
        if (of_error or path == ("not_emulated", "error")) and value not in errors:
            yield path, f"there is no error '{value}'; {nearest(value, errors)}"
        elif at == ("headers",) and path[2:3] in (("operations",), ("not_streamed",)) and value not in operations:
            yield path, f"there is no operation '{value}'; {nearest(value, operations)}"


def _of_wordings(data: Data) -> Problems:
    """What is said in place of our words has only holes that are filled; errors that are named exist."""
    names = data["errors"]["names"]
    for path in _ERRORS_NAMED:
        name: Json = functools.reduce(lambda part, step: part.get(step, {}), path, data)
        if name and name not in names and name != "note":
            yield path, f"there is no error '{name}'; {nearest(name, names)}"
    for name, given in names.items():
        for hole in holes(given.get("exact")):
            if hole not in _EXACT_HOLES:
                hint = f"nothing fills ${{{hole}}}; {nearest(hole, _EXACT_HOLES)}"
                yield ("errors", "names", name, "exact"), hint
    wordings: dict[tuple[str | int, ...], Mapping[str, Json]] = {
        ("errors", "violations", keyword): given for keyword, given in data["errors"].get("violations", {}).items()
    }
    for index, given in enumerate(data.get("header_exceptions", ())):
        wordings["header_exceptions", index] = given
    for operation, its in data["operations"].items():
        for index, given in enumerate(its.get("exceptions", ())):
            wordings["operations", operation, "exceptions", index] = given
    for where, given in wordings.items():
        for part in ("param", "message"):
            for hole in holes(given.get(part)):
                if hole not in wording.HOLES:
                    yield (*where, part), f"nothing fills ${{{hole}}}; {nearest(hole, wording.HOLES)}"


def _of_conversations(data: Data) -> Problems:
    """Each rule has what it looks at, and no more; its error exists, and some model has its trait."""
    names = data["errors"]["names"]
    traits = {trait for model in data["models"]["list"] for trait in model.get("traits", ())}
    lists: dict[tuple[str, ...], Sequence[Mapping[str, Json]]] = {
        ("conversation",): data.get("conversation", ()),
        **{
            ("operations", name, "conversation"): its.get("conversation", ())
            for name, its in data["operations"].items()
        },
    }
    for where, given in lists.items():
        for index, rule in enumerate(given):
            for part, message in rule_problems(rule):
                yield (*where, index, part), message
            if rule.get("error", "invalid_request") not in names:
                hint = f"there is no error '{rule['error']}'; {nearest(rule['error'], names)}"
                yield (*where, index, "error"), hint
            for part in ("trait", "without"):
                if part in rule and rule[part] not in traits:
                    hint = f"no model has '{rule[part]}'; {nearest(rule[part], traits)}"
                    yield (*where, index, part), hint


def _of_models_and_plans(data: Data) -> Problems:
    models = data["models"]
    ids = {item["id"] for item in models["list"]}
    for key in ("auto", "embedding"):
        if key in models and models[key] not in ids:
            yield ("models", key), f"'{models[key]}' is not in the list; {nearest(models[key], ids)}"
    plans = {"unlimited", *data["plans"]["list"]}
    listed = [item["id"] for item in models["list"]]
    for index, name in enumerate(listed):
        if name in listed[:index]:
            yield ("models", "list", index, "id"), f"'{name}' stands here a second time"
    default = data["plans"]["default"]
    if default not in plans:
        yield ("plans", "default"), f"there is no plan '{default}'; {nearest(default, plans)}"
