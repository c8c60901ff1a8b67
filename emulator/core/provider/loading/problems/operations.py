"""What can be wrong with a provider's operations: their paths, and what each kind needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from emulator.core.errors import Json
from emulator.core.provider.holes import drawn_length, fill, fill_text, holes
from emulator.core.provider.loading.problems.data import Data, Problems, unfilled, unknown
from emulator.core.provider.model import ABOUT, MODEL_HOLES, Model, model_values
from emulator.core.provider.operation import Operation
from emulator.core.provider.routes import parameters, shape
from emulator.core.schema.defaults import echoed
from emulator.core.wires.completion import Completion
from emulator.core.wires.loading.samples import differences, unmarked
from emulator.core.wires.request.form import IN_PATH
from emulator.core.wires.scope import AnswerValues

#: Answers that are computed from the table of tasks.
_NEED_TASKS = ("recommendations", "rankings", "cost_forecast", "patterns")


def operation_problems(data: Data, operations: Mapping[str, Operation]) -> Problems:
    """Yield each problem with its place in provider.yaml, whose data this is."""
    taken: dict[tuple[str, str], tuple[str, str]] = {}
    yield from _of_entry(data["models"], data["models"].get("entry"), ("models", "entry"))
    for name, its in data["operations"].items():
        yield from _of_entry(data["models"], its.get("entry"), ("operations", name, "entry"))
    for name, operation in operations.items():
        if name == "any":
            yield ("operations", name), "'any' means all operations; choose another name"
        yield from _of_paths(operation, taken)
        yield from _of_kind(operation, data["operations"][name], bool(data.get("tasks")))
        if operation.kind == "body" and operation.body is not None:
            yield from _of_body(operation, data["models"]["list"][0])


def _of_paths(operation: Operation, taken: dict[tuple[str, str], tuple[str, str]]) -> Problems:
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


def _of_kind(operation: Operation, given: Mapping[str, Json], has_tasks: bool) -> Problems:
    place, kind = ("operations", operation.name), operation.kind
    if kind in _NEED_TASKS and not has_tasks:
        yield (*place, "kind"), f"'{kind}' is computed from `tasks`, and there are none"
    if kind == "chat" and operation.method != "POST":
        yield (*place, "method"), f"must be POST where kind is chat, not {operation.method}"
    for key, kinds in _FOR.items():
        if key in given and kind not in kinds:
            told = f"kinds {' and '.join(kinds)}" if kinds[1:] else f"kind: {kinds[0]}"
            told = f"what can be streamed, which is {told}" if key in ("chunk", "streams_at") else told
            yield (*place, key), f"is for {told}, not {kind}"
    yield from _of_fields(operation)
    optional = {"response", "fact", *(("request",) if operation.method != "POST" else ())} if kind == "body" else set()
    optional |= {"request", "response"} if kind == "stored" else set()
    for key, what in {**_NEEDS.get(kind, {}), **_USUAL}.items():
        if key not in given and key not in optional:
            yield place, f"lacks '{key}', {what}"
    if kind == "stored":
        yield from _of_stored(operation, given)
    needs_body = (
        kind in ("body", "tokens")
        or operation.does in ("forget", "list", "index")
        or bool({"page", "vectors"} & given.keys())
    )
    if needs_body and "body" not in given:
        yield place, "lacks 'body', what it answers"
    if not needs_body and "body" in given and kind != "models":
        hint = "is for kinds body and tokens, for stored that is to forget or list, and where there is a page"
        yield (*place, "body"), f"{hint}, not {kind}"


_USUAL = {"request": "a schema", "response": "a schema", "fact": "what it rests on"}
#: What some deeds with kept answers need, and what is for those alone.
_NEEDED = {"cancel": "refused", "list": "page", "index": "page"}
_ALLOWED = {"refused": ("cancel", "show"), "page": ("list", "index"), "replay": ("show",)}


def _of_fields(operation: Operation) -> Problems:
    """The fields of a request that are named are there."""
    named = [("no_effect", name) for name in operation.no_effect]
    named += [("fallbacks", operation.fallbacks.field)] if operation.fallbacks else []
    for key, name in named if operation.asked else ():
        fields = operation.request.get("properties", {})
        yield from unknown(("operations", operation.name, key), name, fields, "the request has no '{}'")


def _of_stored(operation: Operation, given: Mapping[str, Json]) -> Problems:
    place = ("operations", operation.name)
    for does, key in _NEEDED.items():
        if operation.does == does and key not in given:
            yield place, f"lacks '{key}', which `does: {does}` needs"
    for key, allowed in _ALLOWED.items():
        if operation.does not in allowed and key in given:
            yield (*place, key), f"is for `does: {' or '.join(allowed)}`, not {operation.does}"
    if operation.replay and not operation.refused:
        yield place, "lacks 'refused', which `replay` needs"
    wanted = 0 if operation.does == "index" else 1
    if len(parameters(operation.path)) != wanted:
        yield (*place, "path"), f"must have {'no' if not wanted else 'one'} parameter{', the id of an answer' * wanted}"


def _of_entry(models: Mapping[str, Json], entry: Json, place: tuple[str, ...]) -> Problems:
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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def wire_problems(data: Data, operations: Mapping[str, Operation]) -> Problems:
    """Yield where an operation and its wire do not go together."""
    done = data["stream"].get("done")
    for operation in operations.values():
        if done is not None and operation.wire and operation.wire.last not in (done, ""):
            last = operation.wire.last
            yield ("stream", "done"), f"must be as the wire ends a stream, '{last}', or left out"
        if operation.wire and operation.wire.request.model_in_path and "model" not in parameters(operation.path):
            message = f"lacks {IN_PATH}, where its wire '{operation.wire.name}' has the model"
            yield ("operations", operation.name, "path"), message


def sample_problems(operations: Mapping[str, Operation]) -> Problems:
    """Yield where samples in an operation's wire are not as its schemas say, or cannot be read."""
    for name, operation in operations.items():
        if operation.wire and operation.response and operation.chunk:
            checks = (operation.response.violations, operation.chunk.violations)
            written = partial(sample_values, operation)
            for message in differences(operation.wire, *checks, operation.takes_tools, written):
                yield ("operations", name, "wire"), message
            shown = partial(operation.as_shown, part="chunk")
            for message in unmarked(operation.wire, shown, operation.takes_tools, written):
                yield ("operations", name, "shown", "chunk"), message


def kept_problems(data: Data, operations: Mapping[str, Operation]) -> Problems:
    """Yield ids of items that are not there where a wire tells them, and errors without a name."""
    names = data["errors"]["names"]
    for name, operation in operations.items():
        if operation.wire and operation.wire.items and operation.kind == "chat":
            for kind in ("reasoning", *operation.wire.request.kinds):
                if kind not in operation.ids:
                    hint = f"lacks '{kind}': the wire '{operation.wire.name}' tells the id of each part"
                    yield ("operations", name), f"ids {hint}"
        named = {"missing": operation.missing, "missing_item": operation.missing_item, "context": operation.context}
        for key, error in ((key, given[0]) for key, given in named.items() if given):
            yield from unknown(("operations", name, key, "error"), error, names)
        keeping = [key for key, other in operations.items() if other.wire and other.wire.kept and other.kind == "chat"]
        if operation.kind == "stored":
            what = "'{}' is no chat whose wire says how it is kept"
            yield from unknown(("operations", name, "of"), operation.of, keeping, what)


def sample_values(operation: Operation, sample: Completion) -> AnswerValues:
    """Return a sample as the operation answers it: with ids of its forms, and what it repeats of an empty request."""
    wire = operation.wire
    items = [_sample_id(operation, part.kind) for part in sample.parts] if wire and wire.items else ()
    echo = echoed(operation.request, {}, wire.echoes if wire else (), {})
    return AnswerValues(sample, _sample_id(operation, "response"), 1_800_000_000, "a-model", items=items, echo=echo)


def _sample_id(operation: Operation, kind: str) -> str:
    """Return an id as an answer can have it."""
    form = operation.ids.get(kind, "")
    return fill_text(form, {hole: "0" * drawn_length(hole)[1] for hole in holes(form)})
