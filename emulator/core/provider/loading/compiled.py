"""The data of a provider's folder, once nothing is wrong in it, compiled to a Provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from emulator.core.durations import parse_duration
from emulator.core.errors import STATUS, Json
from emulator.core.provider.conversation.rules import read_rule
from emulator.core.provider.fact import Fact
from emulator.core.provider.keys import read_way
from emulator.core.provider.model import Model
from emulator.core.provider.operation import Fallbacks, Limit, Operation
from emulator.core.provider.plans import UNLIMITED, HeaderScope, read_plan
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Routes
from emulator.core.schema.formats import own_schema
from emulator.core.schema.schema import Schema
from emulator.core.tree import at, nested
from emulator.core.wires.request.paths import condition_of
from emulator.core.wires.wire import Wire


def compile_operation(
    name: str,
    data: Mapping[str, Json],
    common: Mapping[str, Json],
    wire: Callable[[], Wire] | None,
    *schemas: Schema | None,
) -> Operation:
    """Return an operation with its schemas: request, response, chunk, query; `common` is what is said of all."""
    request, response, chunk, query = schemas
    rules = [*common.get("conversation", ()), *data.get("conversation", ())] if data["kind"] == "chat" else []
    shown = {part: nested((path, {}) for path in paths) for part, paths in data.get("shown", {}).items()}
    models, query_data, names = data.get("models", {}), data.get("query", {}), ("missing", "missing_item")
    missing: Json = {name: (data[name]["error"], data[name]["message"]) for name in names if name in data}
    return Operation(
        name=name, asked=request, response=response, chunk=chunk, fact=data.get("fact"), shown=shown,
        ids={**common["ids"], **data.get("ids", {})}, read_wire=wire, conversation=list(map(read_rule, rules)),
        uses=tuple(models.get("use", ())),
        other_model=_error_of(data.get("models", {"other": "invalid_request"}), "other"),
        limits={what: Limit(**item) for what, item in data.get("limits", {}).items()},
        context=_error_of(data["context"], "error") if "context" in data else None,
        unknown_model=models.get("unknown", ""), query=query,
        query_error=query_data.get("error", "invalid_request"), query_errors=query_data.get("others", {}),
        unasked=tuple((condition_of(item["when"]), item["body"]) for item in data.get("unasked", ())),
        fallbacks=Fallbacks(**data["fallbacks"]) if "fallbacks" in data else None,
        **missing, **{name: data[name] for name in _OF_OPERATION if name in data},
    )  # fmt: skip


#: What an operation has as it is given.
_OF_OPERATION = ("method", "path", "kind", "streams_at", "body", "categories", "of", "does", "refused", "page",
                 "replay", "vectors", "entry", "exceptions", "no_effect")  # fmt: skip


def compile_provider(
    data: Mapping[str, Json],
    operations: Mapping[str, Operation],
    beside: Mapping[str, Schema | None],
    reference: Provider | None,
    reference_muted: frozenset[str],
) -> Provider:
    """Return the provider; `beside` are the schemas of what stands beside a body.

    `reference` is the one with which it is compatible, but for what is muted.
    """
    auth, errors = data["auth"], data["errors"]
    kept, refills = data.get("idempotency"), "refills" in data["plans"]
    plans = {name: read_plan(name, item, refills) for name, item in data["plans"]["list"].items()}
    given = {name: at(data, place.split("."), ...) for name, place in _PLACES.items()}
    return Provider(
        base_url=data["base_url"].rstrip("/"),
        accepts=tuple(map(read_way, auth.get("accepts", ["bearer"]))),
        elsewhere=tuple((read_way(way), name) for way, name in auth.get("elsewhere", {}).items()),
        also_read={way: item["fact"] for way, item in data.get("also_read", {}).items()},
        env=data.get("env", usual("env")), content_type=_error_of(data.get("content_type", {"other": "note"}), "other"),
        reference=reference, reference_muted=reference_muted,
        idempotency=(kept["header"].lower(), kept["hours"] * 3600.0, kept.get("fact")) if kept else None,
        models=_models(data["models"]), plans={"unlimited": UNLIMITED, **plans}, refills=refills,
        headers=tuple((item["name"], item["value"]) for item in data["headers"]),
        header_scopes=_scopes(data["headers"]),
        errors=_errors(errors["names"]), operations=operations, routes=Routes(operations.values()),
        facts={item["id"]: Fact(**item) for item in data["facts"]},
        model_entry=data["models"].get("entry", usual("models", "entry")),
        retry_ms="retry_after_ms" in errors, comment=_comment(data["stream"].get("comment")),
        **{name: value for name, value in given.items() if value is not ...},
        **{part: schema.document for part, schema in beside.items() if schema},
    )  # fmt: skip


#: What a provider has as it is given, and where it stands.
_PLACES: Mapping[str, str] = {
    **{name: name for name in ("name", "title", "versions", "malformed", "unknown_path", "wrong_method", "ids", "tasks",
                               "default", "header_exceptions", "not_emulated")},
    "key_prefix": "auth.key_prefix", "auth_fact": "auth.fact", "key_optional": "auth.optional",
    "key_missing": "auth.missing", "key_wrong": "auth.wrong", "nulls_fact": "nulls.fact",
    "auto": "models.auto", "auto_embedding": "models.embedding", "models_open": "models.open",
    "models_closed": "models.closed_by_scenario", "models_fact": "models.fact", "models_unknown": "models.unknown",
    "context_error": "models.context", "context_fact": "models.context_fact", "context_of": "models.context_of",
    "envelope": "errors.envelope", "envelopes": "errors.envelopes", "error_paths": "errors.paths",
    "detail": "errors.detail", "wordings": "errors.violations", "default_plan": "plans.default", "over": "plans.over",
}  # fmt: skip


def usual(*names: str) -> Json:
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


def _comment(given: Mapping[str, Json] | None) -> tuple[bytes, float] | None:
    return (b": %b\n\n" % given["text"].encode(), parse_duration(given["every"])) if given else None


def _errors(names: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """Return all errors, each with its status; a further name has what it leaves out of the one that it is like."""
    found = {name: {"status": status, **names[name]} for name, status in STATUS.items()}
    for name, given in names.items():
        if name not in STATUS:
            found[name] = {**found[given["like"]], "documented": False, **given}
    return found


def _models(data: Mapping[str, Json]) -> dict[str, Model]:
    """Return the models by id; where an id without a tag means one with it, both name the model."""
    found = {item["id"]: _model(item) for item in data["list"]}
    tag = f":{data['default_tag']}" if "default_tag" in data else None
    short = {name.removesuffix(tag): model for name, model in found.items() if tag and name.endswith(tag)}
    return found | {name: replace(model, id=name, listed=False) for name, model in short.items()}


def _model(item: Mapping[str, Json]) -> Model:
    pace: dict[str, Json] = {name: parse_duration(wait) for name, wait in item.get("pace", {}).items()}
    given = {name: value for name, value in item.items() if name not in ("pace", "traits")}
    return Model(**given, **pace, traits=frozenset(item.get("traits", ())))
