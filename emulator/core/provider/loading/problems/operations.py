"""What can be wrong with a provider's operations: their paths, and what each kind needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.core.errors import Json
from emulator.core.provider.holes import fill, holes
from emulator.core.provider.loading.problems.names import Data, Problems, found, unfilled, unknown
from emulator.core.provider.model import ABOUT, MODEL_HOLES, Model, model_values
from emulator.core.provider.operation import Operation
from emulator.core.provider.routes import parameters, shape

#: Answers that are computed from the table of tasks.
_NEED_TASKS = ("recommendations", "rankings", "cost_forecast", "patterns")
#: What stands beside some kinds alone, and what kinds need beside them.
_FOR: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("limits", "vectors"), ("embeddings",)), "categories": ("moderations",), "entry": ("models",),
    **dict.fromkeys(("chunk", "streams_at", "unasked", "fallbacks"), ("chat",)), "wire": ("chat", "tokens"),
    **dict.fromkeys(("of", "does", "refused", "replay"), ("stored",)), "page": ("stored", "models"),
}  # fmt: skip
_NEEDS: Mapping[str, Mapping[str, str]] = {
    "chat": {"chunk": "the schema of what is streamed"},
    "moderations": {"categories": "of which each result tells"},
    "stored": dict.fromkeys(("of", "does", "missing"), "which kind: stored needs"),
}
_USUAL = {"request": "a schema", "response": "a schema", "fact": "what it rests on"}
#: What some deeds with kept answers need, and what is for those alone.
_NEEDED = {"cancel": "refused", "list": "page", "index": "page"}
_ALLOWED = {"refused": ("cancel", "show"), "page": ("list", "index"), "replay": ("show",)}


def operation_problems(data: Data, operations: Mapping[str, Operation]) -> Problems:
    """Yield each problem with its place in provider.yaml, whose data this is."""
    taken: dict[tuple[str, str], tuple[str, str]] = {}
    keeping = [name for name, its in operations.items() if its.kind == "chat" and its.wire and its.wire.kept]
    for where in ("models.entry", "operations.*.entry"):
        for place, entry in found(data, where):
            yield from _of_entry(data["models"], entry, place)
    for name, operation in operations.items():
        if name == "any":
            yield ("operations", name), "'any' means all operations; choose another name"
        yield from _of_paths(operation, taken)
        yield from _of_kind(operation, data["operations"][name], bool(data.get("tasks")))
        yield from _of_fields(operation)
        if operation.kind == "body" and operation.body is not None:
            yield from _of_body(operation, data["models"]["list"][0])
        if operation.kind == "stored":
            yield from _of_stored(operation, data["operations"][name], keeping)


def _of_paths(operation: Operation, taken: dict[tuple[str, str], tuple[str, str]]) -> Problems:
    names = parameters(operation.path)
    for key, path in (("path", operation.path), ("streams_at", operation.streams_at)):
        if path is None:
            continue
        place = ("operations", operation.name, key)
        other = taken.setdefault((operation.method, shape(path)), (operation.name, key))
        if other != (operation.name, key):
            yield place, f"{operation.method} {path} is the operation '{other[0]}' already"
        own = parameters(path)
        for name in sorted({name for name in own if own.count(name) > 1}):
            yield place, f"has {{{name}}} twice; give each parameter a name of its own"
        if sorted(own) != sorted(names):
            yield place, f"must have the parameters of path: {_listed(names)}, not {_listed(own)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _of_kind(operation: Operation, given: Mapping[str, Json], has_tasks: bool) -> Problems:
    place, kind = ("operations", operation.name), operation.kind
    if kind in _NEED_TASKS and not has_tasks:
        yield (*place, "kind"), f"'{kind}' is computed from `tasks`, and there are none"
    if kind == "chat" and operation.method != "POST":
        yield (*place, "method"), f"must be POST where kind is chat, not {operation.method}"
    for key in [key for key, kinds in _FOR.items() if key in given and kind not in kinds]:
        told = f"kinds {' and '.join(_FOR[key])}" if _FOR[key][1:] else f"kind: {_FOR[key][0]}"
        told = f"what can be streamed, which is {told}" if key in ("chunk", "streams_at") else told
        yield (*place, key), f"is for {told}, not {kind}"
    optional = {"body": {"response", "fact"}, "stored": {"request", "response"}}.get(kind, set())
    optional |= {"request"} if kind == "body" and operation.method != "POST" else set()
    for key, what in {**_NEEDS.get(kind, {}), **_USUAL}.items():
        if key not in given and key not in optional:
            yield place, f"lacks '{key}', {what}"
    answers = kind in ("body", "tokens") or operation.does in ("forget", "list", "index")
    needs_body = answers or not {"page", "vectors"}.isdisjoint(given)
    if needs_body and "body" not in given:
        yield place, "lacks 'body', what it answers"
    if not needs_body and "body" in given and kind != "models":
        hint = "is for kinds body and tokens, for stored that is to forget or list, and where there is a page"
        yield (*place, "body"), f"{hint}, not {kind}"


def _of_fields(operation: Operation) -> Problems:
    """The fields of a request that are named are there."""
    named = [("no_effect", name) for name in operation.no_effect]
    named += [("fallbacks", operation.fallbacks.models)] if operation.fallbacks else []
    for key, name in named if operation.asked else ():
        fields = operation.request.get("properties", {})
        yield from unknown(("operations", operation.name, key), name, fields, "the request has no '{}'")


def _of_stored(operation: Operation, given: Mapping[str, Json], keeping: Sequence[str]) -> Problems:
    place, does = ("operations", operation.name), operation.does
    if does in _NEEDED and _NEEDED[does] not in given:
        yield place, f"lacks '{_NEEDED[does]}', which `does: {does}` needs"
    for key, allowed in _ALLOWED.items():
        if does not in allowed and key in given:
            yield (*place, key), f"is for `does: {' or '.join(allowed)}`, not {does}"
    if operation.replay and not operation.refused:
        yield place, "lacks 'refused', which `replay` needs"
    wanted = 0 if does == "index" else 1
    if len(parameters(operation.path)) != wanted:
        yield (*place, "path"), f"must have {'no' if not wanted else 'one'} parameter{', the id of an answer' * wanted}"
    yield from unknown((*place, "of"), operation.of, keeping, "'{}' is no chat whose wire says how it is kept")


def _of_entry(models: Mapping[str, Json], entry: Json, place: tuple[str | int, ...]) -> Problems:
    """The holes of an entry of the list of models can be filled, of each model."""
    about = [name for name in holes(entry) if name.startswith(ABOUT)]
    yield from unfilled(place, entry, {*MODEL_HOLES, *about})
    for index, model in enumerate(models["list"]):
        for name in [hole.removeprefix(ABOUT) for hole in about]:
            if name not in model.get("about", {}):
                hint = f"lacks '{name}' in its `about`, which the entry of the list has a hole for"
                yield ("models", "list", index), hint


def _of_body(operation: Operation, first_model: Mapping[str, Json]) -> Problems:
    """The holes of a body can be filled, and filled it is as the response schema has it."""
    place, names = ("operations", operation.name, "body"), parameters(operation.path)
    given = (*MODEL_HOLES.values(), "about")
    model = Model(**{name: first_model[name] for name in given if name in first_model})
    sample = {f"path.{name}": model.id if name == "model" else "sample" for name in names}
    if "model" in names or operation.takes("model"):
        sample |= model_values(model)
    yield from unfilled(place, operation.body, sample)
    if operation.response and sample.keys() >= {*holes(operation.body)}:
        body = fill(operation.body, sample)
        for violation in () if operation.response.verdict(body) else operation.response.violations(body):
            where = f"{violation.path} " if violation.path else ""
            yield place, f"breaks its response schema: {where}{violation.message}"
