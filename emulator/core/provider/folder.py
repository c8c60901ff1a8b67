"""Loading a provider's folder: every unknown key, unfilled hole, missing envelope and unlisted fact is a problem."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from emulator.core.durations import parse_duration
from emulator.core.errors import STATUS, Json, Problem, SourceError, nearest, shown
from emulator.core.provider import wording
from emulator.core.provider.conversation_rules import ConversationRule, read_rule
from emulator.core.provider.keys import read_way
from emulator.core.provider.operations import operation_problems
from emulator.core.provider.problems import data_problems
from emulator.core.provider.provider import (
    UNLIMITED,
    Fact,
    HeaderScope,
    Limit,
    Model,
    Operation,
    Provider,
    drawn_length,
    fill_text,
    holes,
    read_plan,
)
from emulator.core.provider.routes import Routes, parameters
from emulator.core.redaction import is_secret
from emulator.core.schema import schema as schemas
from emulator.core.schema.formats import data_folder as data_folder
from emulator.core.schema.formats import own_schema as own_schema
from emulator.core.schema.formats import schema_problems as schema_problems
from emulator.core.schema.schema import Schema
from emulator.core.source import Source, parse_source
from emulator.core.tree import walk
from emulator.core.wires.completion import KINDS
from emulator.core.wires.load import load_wire, wire_files
from emulator.core.wires.request import IN_PATH
from emulator.core.wires.samples import differences
from emulator.core.wires.wire import Wire

#: The request of an operation whose request is not described.
_ANYTHING: Mapping[str, Json] = {"type": "object", "properties": {}}


def load_providers(extra: Path | None = None) -> dict[str, Provider]:
    """Load the built-in providers and those of another folder of provider folders, the default first.

    Raises: SourceError, with all that is wrong in any of them.
    """
    folders = [data_folder("schemas")] + ([extra] if extra else [])
    providers: dict[str, Provider] = {}
    problems: list[Problem] = []
    loaded: dict[Path, Provider] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/provider.yaml")):
            try:
                path = file.parent.resolve()
                provider = loaded.get(path) or loaded.setdefault(path, load_provider(file.parent, loaded))
            except SourceError as error:
                problems += [item for item in error.problems if item not in problems]
            else:
                providers[provider.name] = provider
        if folder == extra and not any(folder.glob("*/provider.yaml")):
            problems.append(Problem(str(folder), 1, 1, "", "holds no provider; each has a folder with a provider.yaml"))
    if problems:
        raise SourceError(problems)
    return dict(sorted(providers.items(), key=lambda item: not item[1].default))


def load_provider(folder: Path | str, loaded: dict[Path, Provider] | None = None) -> Provider:
    """Compile a provider's folder; `loaded` has those that are compiled already, by their folders.

    Raises: SourceError, with file:line:col of an unknown key, a hole that nothing fills, a missing envelope, a fact
    that is named but not listed.
    """
    folder = Path(folder)
    file = folder / "provider.yaml"
    try:
        source = parse_source(file.read_bytes(), str(file))
    except OSError as error:
        raise SourceError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return _Loader(folder, source, {} if loaded is None else loaded).load()


class _Loader:
    """Checks a provider's folder as a whole and collects every problem before it gives up."""

    def __init__(self, folder: Path, source: Source, loaded: dict[Path, Provider]) -> None:
        self.folder = folder
        self.source = source
        self.data = source.data
        self.problems: list[Problem] = []
        self.headers: Schema | None = None
        self.loaded = loaded
        self.reference: Provider | None = None
        self.reference_muted: frozenset[str] = frozenset()

    def load(self) -> Provider:
        self.problems += schema_problems(own_schema("provider"), self.source)
        if not self.problems:
            self.check_name()
            self.check_keys()
            self.headers = self.schema(("request_headers",), self.data.get("request_headers"))
            self.check_headers()
            operations = self.operations()
            for path, message in operation_problems(self.data, operations):
                self.report(path, message)
            for path, message in data_problems(self.data):
                self.report(path, message)
            self.load_reference()
            self.check_facts(operations)
            self.check_wires(operations)
            self.check_kept(operations)
        if self.problems:
            raise SourceError(self.problems)
        return self.build(operations)

    def report(self, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.source.problem(path, message))

    def check_name(self) -> None:
        name = self.data["name"]
        if name != self.folder.resolve().name:
            self.report(("name",), f"must be the folder's name, '{self.folder.resolve().name}', not '{name}'")
        steps = _steps(self.data["base_url"])
        if steps is None:
            self.report(("base_url",), "must be a URL such as https://api.example.com/v1")
            return
        if name in ("v1", "s", *steps[:1]):
            self.report(("name",), f"'{name}' is a part of the addresses; choose another name")
        versions = self.data.get("versions")
        if versions and steps[-1:] != versions[:1]:
            message = f"must begin with the last part of base_url, {shown(steps[-1]) if steps else 'which has none'}"
            self.report(("versions",), f"{message}, not {shown(versions[0])}")

    def check_keys(self) -> None:
        """What holds a key is known by its name as a secret, so that it is shown nowhere."""
        for index, given in enumerate(self.data["auth"].get("accepts", ())):
            way = read_way(given)
            shows = {"bearer": False, "header": not is_secret(way.name), "query": not is_secret(way.name, "query")}
            if shows[way.kind]:
                message = (
                    f"'{way.name}' is not known as a secret, and would be shown; names with api-key, key, token are"
                )
                self.report(("auth", "accepts", index, way.kind), message)

    def check_headers(self) -> None:
        """The headers that a schema speaks of are in lower case, as they come."""
        for name in _named(self.headers.document) if self.headers else ():
            if name != name.lower():
                hint = f"{self.data['request_headers']} names the header {name}; write it in lower case, {name.lower()}"
                self.report(("request_headers",), hint)

    def operations(self) -> dict[str, Operation]:
        return {name: self.operation(name, data) for name, data in self.data["operations"].items()}

    def operation(self, name: str, data: Mapping[str, Json]) -> Operation:
        request, response, chunk = (
            self.schema(("operations", name, part), data.get(part)) for part in ("request", "response", "chunk")
        )
        shown = {part: _tree(paths) for part, paths in data.get("shown", {}).items()}
        return Operation(
            name, data["method"], data["path"], data["kind"], request.document if request else _ANYTHING, response,
            chunk, data.get("fact"), shown, {**self.data["ids"], **data.get("ids", {})}, data.get("streams_at"),
            data.get("body"), self.wire(name, data), self.rules(data), _places(data),
            tuple(data.get("models", {}).get("use", ())),
            _error_of(data.get("models", {"other": "invalid_request"}), "other"),
            {what: Limit(item["most"], *_error_of(item, "error")) for what, item in data.get("limits", {}).items()},
            data.get("categories", {}),
            data.get("of", ""), data.get("does", ""),
            (data["missing"]["error"], data["missing"]["message"]) if "missing" in data else None,
            data.get("refused", ""), data.get("page", {}), data.get("models", {}).get("unknown", ""),
        )  # fmt: skip

    def rules(self, data: Mapping[str, Json]) -> list[ConversationRule]:
        """Return the rules of a chat: the provider's, and its own."""
        given = [*self.data.get("conversation", ()), *data.get("conversation", ())]
        return [read_rule(item) for item in given] if data["kind"] == "chat" else []

    def wire(self, name: str, data: Mapping[str, Json]) -> Wire | None:
        """Load the wire that a chat names, or what counts a chat's tokens, or the usual one."""
        if data["kind"] not in ("chat", "tokens"):
            return None
        named = data.get("wire", _usual("$defs", "operation", "wire"))
        try:
            return load_wire(named, self.folder)
        except SourceError as error:
            self.problems += [item for item in error.problems if item not in self.problems]
        except KeyError:
            hint = nearest(named, wire_files(self.folder))
            self.report(("operations", name, "wire"), f"there is no wire '{named}'; {hint}")
        return None

    def schema(self, path: tuple[str | int, ...], name: str | None) -> Schema | None:
        """Read a JSON Schema beside provider.yaml; a problem is put in that file where it can be."""
        if name is None:
            return None
        file = self.folder / name
        try:
            document = json.loads(file.read_bytes())
            if not isinstance(document, Mapping):
                raise ValueError("must hold an object")
            return Schema(document, when_used=self.folder.parent == data_folder("schemas"))  # ours are tried by tests
        except FileNotFoundError:
            self.report(path, f"there is no file {name} in this folder")
        except (OSError, UnicodeDecodeError) as error:
            self.report(path, f"{name} cannot be read: {error}")
        except json.JSONDecodeError as error:
            self.problems.append(Problem(str(file), error.lineno, error.colno, "", f"is not JSON: {error.msg}"))
        except ValueError as error:
            self.problems.append(Problem(str(file), 1, 1, "", str(error)))
        return None

    def check_wires(self, operations: Mapping[str, Operation]) -> None:
        """Check that samples in an operation's wire are as its schemas say, and can be read; of ours, tests do it."""
        done = self.data["stream"].get("done")
        for operation in operations.values():
            if done is not None and operation.wire and operation.wire.last not in (done, ""):
                last = operation.wire.last
                self.report(("stream", "done"), f"must be as the wire ends a stream, '{last}', or left out")
            if operation.wire and operation.wire.request.model_in_path and "model" not in parameters(operation.path):
                message = f"lacks {IN_PATH}, where its wire '{operation.wire.name}' has the model"
                self.report(("operations", operation.name, "path"), message)
        if self.problems or self.folder.parent == data_folder("schemas"):
            return
        for name, operation in operations.items():
            if operation.wire and operation.response and operation.chunk:
                checks = (operation.response.violations, operation.chunk.violations)
                for message in differences(operation.wire, *checks, operation.takes_tools, _sample_id(operation)):
                    self.report(("operations", name, "wire"), message)

    def check_kept(self, operations: Mapping[str, Operation]) -> None:
        """Check that ids of items are there where a wire tells them, and that errors have names."""
        names = self.data["errors"]["names"]
        for name, operation in operations.items():
            if operation.wire and operation.wire.items and operation.kind == "chat":
                for kind in KINDS:
                    if kind not in operation.ids:
                        hint = f"lacks '{kind}': the wire '{operation.wire.name}' tells the id of each part"
                        self.report(("operations", name), f"ids {hint}")
            if operation.missing and operation.missing[0] not in names:
                hint = nearest(operation.missing[0], names)
                self.report(
                    ("operations", name, "missing", "error"), f"there is no error '{operation.missing[0]}'; {hint}"
                )
            keeping = [
                key for key, other in operations.items() if other.wire and other.wire.kept and other.kind == "chat"
            ]
            if operation.kind == "stored" and operation.of not in keeping:
                hint = nearest(operation.of, keeping)
                self.report(
                    ("operations", name, "of"), f"'{operation.of}' is no chat whose wire says how it is kept; {hint}"
                )

    def load_reference(self) -> None:
        """Load the API with which this one is compatible: beside this folder, or one of ours."""
        given = self.data.get("compatible_with")
        if given is None:
            return
        name, muted = (given, ()) if isinstance(given, str) else (given["provider"], given.get("except", ()))
        where = ("compatible_with",) if isinstance(given, str) else ("compatible_with", "provider")
        folders = [self.folder.resolve().parent / name, data_folder("schemas").resolve() / name]
        folder = next((item for item in folders if (item / "provider.yaml").is_file()), None)
        if folder is None or folder == self.folder.resolve():
            self.report(where, f"there is no other provider '{name}'")
            return
        if folder not in self.loaded:
            self.loaded[folder] = load_provider(folder, self.loaded)
        self.reference = self.loaded[folder]
        if self.reference.reference is not None:
            self.report(where, f"'{name}' is itself compatible with another; name that")
        for index, fact in enumerate(muted):
            if fact not in self.reference.facts:
                hint = f"'{name}' has no fact '{fact}'; {nearest(fact, self.reference.facts)}"
                self.report(("compatible_with", "except", index), hint)
        self.reference_muted = frozenset(muted)

    def check_facts(self, operations: Mapping[str, Operation]) -> None:
        """Every fact named anywhere in the folder is in the list, and none is listed twice."""
        ids: set[str] = set()
        for index, fact in enumerate(self.data["facts"]):
            if fact["id"] in ids:
                self.report(("facts", index, "id"), f"'{fact['id']}' stands here a second time")
            ids.add(fact["id"])
        for path, value in walk(self.data):
            named = path[-1:] in (("fact",), ("context_fact",)) and path[0] != "facts"
            if named and value not in ids:
                self.report(path, f"there is no fact '{value}'; {nearest(value, ids)}")
        for fact_id in sorted(set(schemas.facts_named(self.headers.document)) - ids if self.headers else ()):
            message = f"{self.data['request_headers']} rests on '{fact_id}', which is no fact"
            self.report(("request_headers",), message)
        for name, operation in operations.items():
            for part in ("request", "response", "chunk"):
                document = getattr(operation, part)
                document = document.document if isinstance(document, Schema) else document
                for fact_id in set(schemas.facts_named(document)) - ids:
                    message = f"{self.data['operations'][name][part]} rests on '{fact_id}', which is no fact"
                    self.report(("operations", name, part), message)

    def build(self, operations: Mapping[str, Operation]) -> Provider:
        data = self.data
        content_type = data.get("content_type", {"other": "note"})
        kept = data.get("idempotency")
        plans = {name: read_plan(name, item) for name, item in data["plans"]["list"].items()}
        return Provider(
            name=data["name"], title=data["title"], base_url=data["base_url"].rstrip("/"),
            versions=data.get("versions", ()),
            key_prefix=data["auth"]["key_prefix"], auth_fact=data["auth"].get("fact"),
            accepts=tuple(map(read_way, data["auth"].get("accepts", ["bearer"]))),
            request_headers=self.headers.document if self.headers else None, env=data.get("env", _usual("env")),
            key_missing=data["auth"].get("missing", "unauthorized"),
            key_wrong=data["auth"].get("wrong", "unauthorized"),
            content_type=(content_type["other"], content_type.get("fact")),
            malformed=data.get("malformed", "invalid_request"),
            unknown_path=data.get("unknown_path", "not_found"),
            wrong_method=data.get("wrong_method", "method_not_allowed"),
            nulls_fact=data.get("nulls", {}).get("fact"),
            context_error=data["models"].get("context", "invalid_request"),
            wordings=data["errors"].get("violations", {}),
            reference=self.reference, reference_muted=self.reference_muted,
            idempotency=(kept["header"].lower(), kept["hours"] * 3600.0, kept.get("fact")) if kept else None,
            models={item["id"]: _model(item) for item in data["models"]["list"]},
            models_open=data["models"]["open"], models_fact=data["models"].get("fact"),
            models_unknown=data["models"].get("unknown", "invalid_request"),
            auto=data["models"].get("auto"), auto_embedding=data["models"].get("embedding"),
            context_fact=data["models"].get("context_fact"),
            plans={"unlimited": UNLIMITED, **plans},
            default_plan=data["plans"]["default"],
            headers=tuple((item["name"], item["value"]) for item in data["headers"]), ids=data["ids"],
            envelope=data["errors"]["envelope"], detail=data["errors"].get("detail"),
            errors=_errors(data["errors"]["names"]), operations=operations, routes=Routes(operations.values()),
            tasks=data.get("tasks", {}),
            facts={item["id"]: Fact(**item) for item in data["facts"]}, default=data.get("default", False),
            model_entry=data["models"].get("entry", _usual("models", "entry")), header_scopes=_scopes(data["headers"]),
            over=data["plans"].get("over", {}), not_emulated=_not_emulated(data.get("not_emulated")),
        )  # fmt: skip


def _usual(*names: str) -> Json:
    """Return what the schema of provider.yaml says of a key that is left out."""
    found: Json = own_schema("provider").document
    for name in names:
        found = found[name] if name in found else found["properties"][name]
    return found["default"]


def _error_of(item: Mapping[str, Json], key: str) -> tuple[str, str | None]:
    return item[key], item.get("fact")


def _scopes(headers: Sequence[Mapping[str, Json]]) -> dict[str, HeaderScope]:
    """Return which answers have a header, for those that not all have."""
    keys = ("operations", "not_on", "not_streamed")
    return {
        item["name"]: HeaderScope(*(frozenset(item.get(key, ())) for key in keys))
        for item in headers
        if any(key in item for key in keys)
    }


def _not_emulated(given: Mapping[str, Json] | None) -> tuple[Sequence[str], str]:
    return (tuple(given["paths"]), given["error"]) if given else ((), "not_found")


def _errors(names: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """Return all errors, each with its status; a further name has what it leaves out of the one that it is like."""
    found = {name: {"status": status, **names[name]} for name, status in STATUS.items()}
    for name, given in names.items():
        if name not in STATUS:
            found[name] = {**found[given["like"]], "documented": False, **given}
    return found


def _sample_id(operation: Operation) -> str:
    """Return an id as an answer can have it."""
    form = operation.ids["response"]
    return fill_text(form, {hole: "0" * drawn_length(hole)[1] for hole in holes(form)})


def _named(document: Json) -> set[str]:
    """Return the fields that a schema names, wherever it does."""
    if isinstance(document, list):
        return set().union(*map(_named, document))
    if not isinstance(document, Mapping):
        return set()
    own = {*document.get("properties", ()), *document.get("required", ())}
    return own.union(*map(_named, document.values()))


def _steps(url: str) -> list[str] | None:
    """Return the parts of a URL's path; None for what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return None
    return [step for step in parts.path.split("/") if step] if parts.netloc else None


def _tree(paths: Sequence[str]) -> dict[str, Json]:
    tree: dict[str, Json] = {}
    for path in paths:
        node = tree
        for step in path.split("."):
            node = node.setdefault(step, {})
    return tree


def _model(item: Mapping[str, Json]) -> Model:
    pace: dict[str, Json] = {name: parse_duration(wait) for name, wait in item.get("pace", {}).items()}
    given = {name: value for name, value in item.items() if name not in ("pace", "traits")}
    return Model(**given, **pace, traits=frozenset(item.get("traits", ())))


def _places(data: Mapping[str, Json]) -> list[wording.PlaceWording]:
    """Return what an operation says otherwise of some places."""
    return [
        wording.PlaceWording(item["at"], item.get("on", ()), item.get("given", ()), item)
        for item in data.get("exceptions", ())
    ]
