"""The OpenAPI document of each provider: valid, whole, and what the emulator itself goes by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import jsonschema
import pytest
from build import NAMES, PROVIDERS, body_of, chat, chunks_of, headers_of, make_session
from openapi_spec_validator import OpenAPIV31SpecValidator

from emulator.core.errors import STATUS
from emulator.core.provider.openapi import openapi
from emulator.core.schema.schema import Schema
from emulator.core.tree import walk

URL = "http://127.0.0.1:4010/x/v1"


def document(provider: str = "beatra") -> dict[str, Any]:
    made: dict[str, Any] = openapi(PROVIDERS[provider], "1.2", URL)
    return made


def check(made: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": made["components"]}).validate(value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_document_is_valid(provider: str) -> None:
    assert list(OpenAPIV31SpecValidator(document(provider)).iter_errors()) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_operation_is_in_it(provider: str) -> None:
    made = document(provider)
    shown = {
        (path, method, item["operationId"])
        for path, methods in made["paths"].items()
        for method, item in methods.items()
    }
    operations = PROVIDERS[provider].operations.values()
    streams = {(item.streams_at, "post", f"{item.name}_streamed") for item in operations if item.streams_at}
    assert shown == {(item.path, item.method.lower(), item.name) for item in operations} | streams
    facts = {value for path, value in walk(made) if path[-1] == "x-fact"}
    assert facts <= PROVIDERS[provider].facts.keys()


def test_what_an_operation_says() -> None:
    made = document()
    operation = made["paths"]["/chat/completions"]["post"]
    assert made["info"] == {
        "title": "Beatra", "version": "1.2", "description": "What the docs of Beatra say, as the emulator checks it.",
    }  # fmt: skip
    assert [item["url"] for item in made["servers"]] == [URL, "https://api.beatra.ai/v1"]
    assert operation["parameters"] == [
        {"name": "idempotency-key", "in": "header", "required": False, "schema": {"type": "string", "format": "uuid"},
         "x-fact": "be-idempotency"},
    ]  # fmt: skip
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/chat.request"}}
    }
    assert operation["responses"]["200"]["headers"] == {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    assert sorted(operation["responses"]["200"]["content"]) == ["application/json", "text/event-stream"]
    assert operation["responses"]["429"] == {"$ref": "#/components/responses/rate_limited"}
    documented = {name for name, item in made["components"]["responses"].items() if item["x-documented"]}
    assert documented == {"invalid_request", "rate_limited", "model_unavailable"}


def test_a_key_and_a_count_are_said_as_they_are() -> None:
    made = document("brainstormrouter")
    assert made["components"]["securitySchemes"]["bearer"] == {
        "type": "http", "scheme": "bearer",
        "description": "Each request carries a Bearer token in the Authorization header; keys begin with br-.",
    }  # fmt: skip
    assert made["components"]["headers"]["X-RateLimit-Reset"] == {
        "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }  # fmt: skip
    assert made["paths"]["/intelligence/recommendations"]["get"]["parameters"] == [
        {"name": "task", "in": "query", "required": True,
         "schema": {"description": "What the models are wanted for", "type": "string",
                    "$comment": "br-recommendations: a description in words"}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "left_out"),
    [
        ("beatra", {"unsupported_media_type"}),
        ("brivionix", {"idempotency_in_progress", "idempotency_mismatch"}),
        ("braintwin", {"unsupported_media_type", "idempotency_in_progress", "idempotency_mismatch"}),
    ],
)
def test_errors_that_a_provider_never_answers_with_are_left_out(provider: str, left_out: set[str]) -> None:
    assert STATUS.keys() - document(provider)["components"]["responses"].keys() == left_out


@pytest.mark.parametrize("provider", NAMES)
def test_answers_are_as_the_document_says(provider: str) -> None:
    made, live = document(provider), make_session(plan="unlimited")
    schemas = made["components"]["schemas"]
    check(made, schemas["chat.request"], chat(provider))
    check(made, schemas["chat.response"], body_of(live.send(provider)))
    for chunk in chunks_of(live.send(provider, chat(provider, stream=True))):
        check(made, schemas["chat.chunk"], chunk)


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("name", STATUS)
def test_errors_have_the_form_that_the_document_gives(provider: str, name: str) -> None:
    made = document(provider)
    answered = make_session({"rules": [{"reply": {"error": name}}]}, plan="unlimited").send(provider)
    if name in made["components"]["responses"]:
        response = made["components"]["responses"][name]
        check(made, response["content"]["application/json"]["schema"], body_of(answered))
        assert {header.lower() for header in response["headers"]} <= headers_of(answered).keys()
        with pytest.raises(jsonschema.ValidationError):
            check(made, response["content"]["application/json"]["schema"], {**body_of(answered), "more": 1})


def test_only_ids_that_the_docs_list_are_good_where_they_list_all() -> None:
    made = document("braintwin")
    with pytest.raises(jsonschema.ValidationError):
        check(made, made["components"]["schemas"]["chat.request"], chat("braintwin", model="gpt-9"))
    made = document("brainstormrouter")
    check(made, made["components"]["schemas"]["chat.request"], chat("brainstormrouter", model="gpt-9"))


def test_references_inside_a_schema_go_along() -> None:
    beatra = PROVIDERS["beatra"]
    request = {
        "$schema": "x", "$id": "urn:x", "type": "object", "$defs": {"a": {"type": "string"}},
        "required": ["model"], "properties": {"model": {"$ref": "#/$defs/a"}},
    }  # fmt: skip
    given = replace(beatra, operations={"chat": replace(beatra.operations["chat"], asked=Schema(lambda: request))})
    made = openapi(given, "1", URL)
    schema = made["components"]["schemas"]["chat.request"]
    assert schema["properties"]["model"]["$ref"] == "#/components/schemas/chat.request/$defs/a"
    assert not schema.keys() & {"$schema", "$id"}
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_it_is_served_with_the_address_that_was_asked(emulator_url: str) -> None:
    answer = httpx2.get(f"{emulator_url}/_emulator/openapi/beatra.json", trust_env=False)
    assert (answer.status_code, answer.json()["servers"][0]["url"]) == (200, f"{emulator_url}/beatra/v1")
    missing = httpx2.get(f"{emulator_url}/_emulator/openapi/betra.json", trust_env=False)
    assert (missing.status_code, missing.json()["error"]["message"]) == (
        404, "There is no provider 'betra'; did you mean 'beatra'?",
    )  # fmt: skip
