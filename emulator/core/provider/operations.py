"""What can be wrong with a provider's operations: their paths, and what each kind needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.core.errors import Json, nearest
from emulator.core.provider.provider import MODEL_HOLES, Model, Operation, fill, holes, model_values
from emulator.core.provider.routes import parameters, shape
from emulator.core.tree import Path

#: Answers that are computed from the table of tasks.
_NEED_TASKS = ("recommendations", "rankings", "cost_forecast", "patterns")


def operation_problems(data: Mapping[str, Json], operations: Mapping[str, Operation]) -> Iterator[tuple[Path, str]]:
    """Yield each problem with its place in provider.yaml, whose data this is."""
    taken: dict[tuple[str, str], tuple[str, str]] = {}
    yield from _of_entry(data["models"].get("entry"))
    for name, operation in operations.items():
        if name == "any":
            yield ("operations", name), "'any' means all operations; choose another name"
        yield from _of_paths(operation, taken)
        yield from _of_kind(operation, data["operations"][name], bool(data.get("tasks")))
        if operation.kind == "body" and operation.body is not None:
            yield from _of_body(operation, data["models"]["list"][0])


def _of_paths(operation: Operation, taken: dict[tuple[str, str], tuple[str, str]]) -> Iterator[tuple[Path, str]]:
    names = parameters(operation.path)
    for key, path in (("path", operation.path), ("streams_at", operation.streams_at)):
        if path is None:
            continue
        place = ("operations", operation.name, key)
        other = taken.setdefault((operation.method, shape(path)), (operation.name, key))
        if other != (operation.name, key):
            yield place, f"{operation.method} {path} is the operation '{other[0]}' already"
        found = parameters(path)
        for name in sorted({name for name in found if found.count(name) > 1}):
            yield place, f"has {{{name}}} twice; give each parameter a name of its own"
        if sorted(found) != sorted(names):
            yield place, f"must have the parameters of path: {_listed(names)}, not {_listed(found)}"


def _of_kind(operation: Operation, given: Mapping[str, Json], has_tasks: bool) -> Iterator[tuple[Path, str]]:
    place, kind = ("operations", operation.name), operation.kind
    if kind in _NEED_TASKS and not has_tasks:
        yield (*place, "kind"), f"'{kind}' is computed from `tasks`, and there are none"
    if kind == "chat" and "chunk" not in given:
        yield place, "lacks 'chunk', the schema of what is streamed"
    if kind == "chat" and operation.method != "POST":
        yield (*place, "method"), f"must be POST where kind is chat, not {operation.method}"
    for key, only in (("limits", "embeddings"), ("categories", "moderations")):
        if key in given and kind != only:
            yield (*place, key), f"is for kind: {only}, not {kind}"
    if kind == "moderations" and "categories" not in given:
        yield place, "lacks 'categories', of which each result tells"
    for key in ("chunk", "streams_at"):
        if key in given and kind != "chat":
            yield (*place, key), f"is for what can be streamed, which is kind: chat, not {kind}"
    if "wire" in given and kind not in ("chat", "tokens"):
        yield (*place, "wire"), f"is for kinds chat and tokens, not {kind}"
    yield from _of_stored(operation, given)
    optional = {"response", "fact", *(("request",) if operation.method != "POST" else ())} if kind == "body" else set()
    optional |= {"request", "response"} if kind == "stored" else set()
    for key, what in (("request", "a schema"), ("response", "a schema"), ("fact", "what it rests on")):
        if key not in given and key not in optional:
            yield place, f"lacks '{key}', {what}"
    needs_body = kind in ("body", "tokens") or operation.does in ("forget", "list")
    if needs_body and "body" not in given:
        yield place, "lacks 'body', what it answers"
    if not needs_body and "body" in given:
        yield (*place, "body"), f"is for kinds body and tokens, and for stored that is to forget or list, not {kind}"


#: What stands beside kind: stored alone, and what each of them needs.
_OF_STORED = ("of", "does", "refused", "page")
_NEEDED = {"cancel": "refused", "list": "page"}


def _of_stored(operation: Operation, given: Mapping[str, Json]) -> Iterator[tuple[Path, str]]:
    place, stored = ("operations", operation.name), operation.kind == "stored"
    for key in _OF_STORED:
        if key in given and not stored:
            yield (*place, key), f"is for kind: stored, not {operation.kind}"
    if not stored:
        return
    for key in ("of", "does", "missing"):
        if key not in given:
            yield place, f"lacks '{key}', which kind: stored needs"
    for does, key in _NEEDED.items():
        if operation.does == does and key not in given:
            yield place, f"lacks '{key}', which `does: {does}` needs"
        if operation.does != does and key in given:
            yield (*place, key), f"is for `does: {does}`, not {operation.does}"
    if len(parameters(operation.path)) != 1:
        yield (*place, "path"), "must have one parameter, the id of an answer"


def _of_entry(entry: Json) -> Iterator[tuple[Path, str]]:
    """The holes of an entry of the list of models can be filled."""
    for name in holes(entry):
        if name not in MODEL_HOLES:
            yield ("models", "entry"), f"nothing fills ${{{name}}}; {nearest(name, MODEL_HOLES)}"


def _of_body(operation: Operation, first_model: Mapping[str, Json]) -> Iterator[tuple[Path, str]]:
    """The holes of a body can be filled, and filled it is as the response schema has it."""
    place, names = ("operations", operation.name, "body"), parameters(operation.path)
    model = Model(**{name: first_model[name] for name in MODEL_HOLES.values() if name in first_model})
    sample = {f"path.{name}": model.id if name == "model" else "sample" for name in names}
    if "model" in names:
        sample |= model_values(model)
    unknown = [name for name in holes(operation.body) if name not in sample]
    for name in unknown:
        yield place, f"nothing fills ${{{name}}}; {nearest(name, sample)}"
    if operation.response and not unknown:
        body = fill(operation.body, sample)
        for violation in () if operation.response.verdict(body) else operation.response.violations(body):
            where = f"{violation.path} " if violation.path else ""
            yield place, f"breaks its response schema: {where}{violation.message}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
