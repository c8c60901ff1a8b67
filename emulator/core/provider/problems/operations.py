"""What can be wrong with a provider's operations: their paths, and what each kind needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from emulator.core.errors import Json, nearest
from emulator.core.provider.holes import drawn_length, fill, fill_text, holes
from emulator.core.provider.model import ABOUT, MODEL_HOLES, Model, model_values
from emulator.core.provider.operation import Operation
from emulator.core.provider.problems.data import Data, Problems
from emulator.core.provider.routes import parameters, shape
from emulator.core.schema.defaults import echoed
from emulator.core.wires.completion import Completion
from emulator.core.wires.loading.samples import differences
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


def _of_kind(operation: Operation, given: Mapping[str, Json], has_tasks: bool) -> Problems:
    place, kind = ("operations", operation.name), operation.kind
    if kind in _NEED_TASKS and not has_tasks:
        yield (*place, "kind"), f"'{kind}' is computed from `tasks`, and there are none"
    if kind == "chat" and "chunk" not in given:
        yield place, "lacks 'chunk', the schema of what is streamed"
    if kind == "chat" and operation.method != "POST":
        yield (*place, "method"), f"must be POST where kind is chat, not {operation.method}"
    of_kinds = (
        ("limits", "embeddings"),
        ("vectors", "embeddings"),
        ("categories", "moderations"),
        ("entry", "models"),
        ("unasked", "chat"),
    )
    for key, only in of_kinds:
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


#: What stands beside kind: stored alone, and what each of them needs.
_OF_STORED = ("of", "does", "refused", "replay")
_NEEDED = {"cancel": "refused", "list": "page", "index": "page"}
_ALLOWED = {"refused": ("cancel", "show"), "page": ("list", "index"), "replay": ("show",)}


def _of_stored(operation: Operation, given: Mapping[str, Json]) -> Problems:
    place, stored = ("operations", operation.name), operation.kind == "stored"
    if "page" in given and operation.kind not in ("stored", "models"):
        yield (*place, "page"), f"is for kinds stored and models, not {operation.kind}"
    for key in _OF_STORED:
        if key in given and not stored:
            yield (*place, key), f"is for kind: stored, not {operation.kind}"
    if "page" in given and operation.kind not in ("stored", "models"):
        yield (*place, "page"), f"is for kinds stored and models, not {operation.kind}"
    if not stored:
        return
    for key in ("of", "does", "missing"):
        if key not in given:
            yield place, f"lacks '{key}', which kind: stored needs"
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
    wanted = list(holes(entry))
    for name in wanted:
        if name not in MODEL_HOLES and not name.startswith(ABOUT):
            yield place, f"nothing fills ${{{name}}}; {nearest(name, MODEL_HOLES)}"
    for index, model in enumerate(models["list"]):
        for name in wanted:
            if name.startswith(ABOUT) and name.removeprefix(ABOUT) not in model.get("about", {}):
                hint = f"lacks '{name.removeprefix(ABOUT)}' in its `about`, which the entry of the list has a hole for"
                yield ("models", "list", index), hint


def _of_body(operation: Operation, first_model: Mapping[str, Json]) -> Problems:
    """The holes of a body can be filled, and filled it is as the response schema has it."""
    place, names = ("operations", operation.name, "body"), parameters(operation.path)
    given = (*MODEL_HOLES.values(), "about")
    model = Model(**{name: first_model[name] for name in given if name in first_model})
    sample = {f"path.{name}": model.id if name == "model" else "sample" for name in names}
    if "model" in names or operation.takes("model"):
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


def kept_problems(data: Data, operations: Mapping[str, Operation]) -> Problems:
    """Yield ids of items that are not there where a wire tells them, and errors without a name."""
    names = data["errors"]["names"]
    for name, operation in operations.items():
        if operation.wire and operation.wire.items and operation.kind == "chat":
            for kind in ("reasoning", *operation.wire.request.kinds):
                if kind not in operation.ids:
                    hint = f"lacks '{kind}': the wire '{operation.wire.name}' tells the id of each part"
                    yield ("operations", name), f"ids {hint}"
        for key, error in _errors(operation):
            if error not in names:
                yield ("operations", name, key, "error"), f"there is no error '{error}'; {nearest(error, names)}"
        keeping = [key for key, other in operations.items() if other.wire and other.wire.kept and other.kind == "chat"]
        if operation.kind == "stored" and operation.of not in keeping:
            hint = nearest(operation.of, keeping)
            yield ("operations", name, "of"), f"'{operation.of}' is no chat whose wire says how it is kept; {hint}"


def _errors(operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield the errors that an operation names, with the keys that name them."""
    named = {"missing": operation.missing, "missing_item": operation.missing_item, "context": operation.context}
    yield from ((key, given[0]) for key, given in named.items() if given)


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
