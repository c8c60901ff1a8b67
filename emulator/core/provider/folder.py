"""Loading a provider's folder: every unknown key, unfilled hole, missing envelope and unlisted fact is a problem."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from emulator.core.durations import parse_duration
from emulator.core.errors import STATUS, Json, Problem, SourceError, nearest, shown
from emulator.core.provider.keys import read_way
from emulator.core.provider.operations import operation_problems
from emulator.core.provider.provider import UNLIMITED, Fact, Model, Operation, Provider, fill_text, holes, read_plan
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

#: What the holes of an id can be filled with.
_DRAWN = {"alnum": "a" * 24, "hex": "0" * 24, "ulid": "0" * 26}
_ENVELOPE_HOLES = {"message", "param", "details", "request_id", "status"}
#: The request of an operation whose request is not described.
_ANYTHING: Mapping[str, Json] = {"type": "object", "properties": {}}
#: What leads a client to an API that is like OpenAI's.
_ENV = {"OPENAI_BASE_URL": "${base_url}", "OPENAI_API_KEY": "${key}"}
_DETAIL_HOLES = {"field", "message"}


def load_providers(extra: Path | None = None) -> dict[str, Provider]:
    """Load the built-in providers and those of another folder of provider folders, the default first.

    Raises: SourceError, with all that is wrong in any of them.
    """
    folders = [data_folder("schemas")] + ([extra] if extra else [])
    providers: dict[str, Provider] = {}
    problems: list[Problem] = []
    for folder in folders:
        for file in sorted(folder.glob("*/provider.yaml")):
            try:
                provider = load_provider(file.parent)
            except SourceError as error:
                problems += error.problems
            else:
                providers[provider.name] = provider
        if folder == extra and not any(folder.glob("*/provider.yaml")):
            problems.append(Problem(str(folder), 1, 1, "", "holds no provider; each has a folder with a provider.yaml"))
    if problems:
        raise SourceError(problems)
    return dict(sorted(providers.items(), key=lambda item: not item[1].default))


def load_provider(folder: Path | str) -> Provider:
    """Compile a provider's folder.

    Raises: SourceError, with file:line:col of an unknown key, a hole that nothing fills, a missing envelope, a fact
    that is named but not listed.
    """
    folder = Path(folder)
    file = folder / "provider.yaml"
    try:
        source = parse_source(file.read_bytes(), str(file))
    except OSError as error:
        raise SourceError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return _Loader(folder, source).load()


class _Loader:
    """Checks a provider's folder as a whole and collects every problem before it gives up."""

    def __init__(self, folder: Path, source: Source) -> None:
        self.folder = folder
        self.source = source
        self.data = source.data
        self.problems: list[Problem] = []
        self.headers: Schema | None = None

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
            self.check_tasks()
            self.check_errors()
            self.check_models_and_plans()
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
            data.get("body"), self.wire(name, data), data.get("of", ""), data.get("does", ""),
            (data["missing"]["error"], data["missing"]["message"]) if "missing" in data else None,
            data.get("refused", ""), data.get("page", {}),
        )  # fmt: skip

    def wire(self, name: str, data: Mapping[str, Json]) -> Wire | None:
        """Load the wire that a chat names, or what counts a chat's tokens, or the usual one."""
        if data["kind"] not in ("chat", "tokens"):
            return None
        properties = own_schema("provider").document["$defs"]["operation"]["properties"]
        named = data.get("wire", properties["wire"]["default"])
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
            return Schema(document)
        except FileNotFoundError:
            self.report(path, f"there is no file {name} in this folder")
        except (OSError, UnicodeDecodeError) as error:
            self.report(path, f"{name} cannot be read: {error}")
        except json.JSONDecodeError as error:
            self.problems.append(Problem(str(file), error.lineno, error.colno, "", f"is not JSON: {error.msg}"))
        except ValueError as error:
            self.problems.append(Problem(str(file), 1, 1, "", str(error)))
        return None

    def check_tasks(self) -> None:
        known = {name for item in self.data["models"]["list"] for name in item.get("capabilities", {})}
        for name, task in self.data.get("tasks", {}).items():
            if task["capability"] not in known:
                hint = nearest(task["capability"], known)
                self.report(("tasks", name, "capability"), f"no model has '{task['capability']}'; {hint}")

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

    def check_errors(self) -> None:
        names = self.data["errors"]["names"]
        wanted = set(holes(self.data["errors"]["envelope"]))
        for name, given in names.items():
            own = name in STATUS
            if not own and "like" not in given:
                hint = f"lacks 'like', one of the names that all providers have; {nearest(name, STATUS)}"
                self.report(("errors", "names", name), hint)
            elif own and "like" in given:
                hint = f"is for further names; '{name}' is one that all providers have"
                self.report(("errors", "names", name, "like"), hint)
            elif own and "message" not in given:
                self.report(("errors", "names", name), "lacks 'message'")
            for key in sorted(wanted - _ENVELOPE_HOLES - set(given)) if own else ():
                self.report(("errors", "names", name), f"lacks '{key}', which the envelope has a hole for")
            for key in set(given) - wanted - {"message", "fact", "documented", "status", "like"}:
                self.report(("errors", "names", name, key), f"is used nowhere: the envelope has no ${{{key}}}")
        if "details" in wanted and "detail" not in self.data["errors"]:
            self.report(("errors",), "lacks 'detail', the shape of one of ${details}")

        for name in holes(self.data["errors"].get("detail")):
            if name not in _DETAIL_HOLES:
                self.report(("errors", "detail"), f"nothing fills ${{{name}}}; {nearest(name, _DETAIL_HOLES)}")

    def check_models_and_plans(self) -> None:
        models = self.data["models"]
        names = self.data["errors"]["names"]
        unknown = models.get("unknown", "invalid_request")
        if unknown not in names:
            self.report(("models", "unknown"), f"there is no error '{unknown}'; {nearest(unknown, names)}")
        ids = {item["id"] for item in models["list"]}
        for key in ("auto", "embedding"):
            if key in models and models[key] not in ids:
                self.report(("models", key), f"'{models[key]}' is not in the list; {nearest(models[key], ids)}")
        plans = {"unlimited", *self.data["plans"]["list"]}
        listed = [item["id"] for item in models["list"]]
        for index, name in enumerate(listed):
            if name in listed[:index]:
                self.report(("models", "list", index, "id"), f"'{name}' stands here a second time")
        default = self.data["plans"]["default"]
        if default not in plans:
            self.report(("plans", "default"), f"there is no plan '{default}'; {nearest(default, plans)}")

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
            request_headers=self.headers.document if self.headers else None, env=data.get("env", _ENV),
            content_type=(content_type["other"], content_type.get("fact")),
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
        )  # fmt: skip


def _errors(names: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """Return all errors, each with its status; a further name has what it leaves out of the one that it is like."""
    found = {name: {"status": status, **names[name]} for name, status in STATUS.items()}
    for name, given in names.items():
        if name not in STATUS:
            found[name] = {**found[given["like"]], "documented": False, **given}
    return found


def _sample_id(operation: Operation) -> str:
    """Return an id as an answer can have it."""
    return fill_text(operation.ids["response"], _DRAWN)


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
    return Model(**{name: value for name, value in item.items() if name != "pace"}, **pace)
