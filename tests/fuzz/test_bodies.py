"""Any bytes as a body: a clear answer, never a crash, a hang or a 5xx of ours."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.contract.generation.strategies import ANY_JSON, requests
from emulator.core.provider.loading.folder import load_providers

from .cases import EDITS, case, edited, fuzz, kept
from .conftest import Server

PROVIDERS = load_providers()
KEYED = {"authorization": "Bearer any", "content-type": "application/json"}
TARGETS = [
    f"/{provider.name}/v1{operation.path}"
    for provider in PROVIDERS.values()
    for operation in provider.operations.values()
    if operation.method == "POST"
]
BODIES = [
    orjson.dumps(body)
    for body in (
        {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 3},
        {"model": "auto", "messages": [{"role": "user", "content": "é👩"}], "temperature": 0.5, "n": 2, "stop": ["a"]},
        {"model": "auto", "input": ["x", "y"], "encoding_format": "base64", "dimensions": 4},
        {"tasks": [{"type": "chat", "estimated_tokens": 10}], "strategy": "combined"},
    )
]
BODY = st.binary(max_size=200) | st.builds(edited, st.sampled_from(BODIES), EDITS)


LARGE = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 20_000,
    "digits": b'{"model": "gpt-4", "messages": [], "max_tokens": ' + b"9" * 5_000 + b"}",
}


@fuzz(2_000)
@given(BODY, st.sampled_from(TARGETS))
def test_any_body_gets_a_clear_answer(server: Server, body: bytes, target: str) -> None:
    check_body(server, body, target)


@pytest.mark.parametrize("body", [*kept("bodies"), *(pytest.param(body, id=name) for name, body in LARGE.items())])
def test_a_kept_body_gets_a_clear_answer(server: Server, body: bytes) -> None:
    check_body(server, body, *TARGETS)


def check_body(server: Server, body: bytes, *targets: str) -> None:
    """Send a body to operations that take one."""
    connection = server.connect()
    with case("bodies", body, server.spent):
        for target in targets:
            connection.request("POST", target, body, KEYED)
            response = connection.getresponse()
            data = response.read()
            assert response.status < 500, data
            assert response.headers["x-emulator-error"] is None
            if response.headers["content-type"] == "application/json":
                orjson.loads(data)
    connection.close()


# Bodies that an SDK could send, with anything in the customary fields


CHAT = PROVIDERS["brivionix"].operations["chat"]


@fuzz(500)
@given(
    requests(CHAT.request, ["gpt-5.4"], CHAT.wire),
    st.dictionaries(
        st.sampled_from(
            ["stream_options", "n", "stop", "response_format", "dimensions", "encoding_format", "tool_choice"]
        ),
        ANY_JSON
        | st.sampled_from([10**9, 1e300, {"include_usage": 1}, [""], {"type": "json_schema", "json_schema": []}]),
    ),
)
def test_anything_in_customary_fields_is_answered(server: Server, body: Any, more: Any) -> None:
    data = json.dumps({**body, **more}).encode()
    connection = server.connect()
    with case("bodies", data, server.spent):
        connection.request("POST", "/brivionix/v1/chat/completions", data, KEYED)
        response = connection.getresponse()
        answer = response.read()
        assert response.status in (200, 400), answer
        assert response.headers["x-emulator-error"] is None
        assert len(answer) < 5_000_000
    connection.close()
