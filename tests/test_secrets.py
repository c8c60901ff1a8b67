"""Redaction: which headers hold secrets, and what is shown where an upstream repeats one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from build import make_world

from emulator.core.journal import describe
from emulator.core.secrets import is_secret, redact, redact_header
from emulator.core.wire import Frame, Timeline

KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True), ("authentication", True), ("x-auth", True), ("x-auth-key", True), ("key", True),
        ("x-my-key", True), ("ocp-apim-subscription-key", True), ("x-functions-key", True), ("x-session-token", True),
        ("idempotency-key", False), ("x-ratelimit-remaining-tokens", False), ("x-author", False), ("keyboard", False),
        ("x-request-id", False), ("monkey", False),
    ],
)  # fmt: skip
def test_a_name_says_whether_a_header_holds_a_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_the_query_of_a_referer_is_redacted() -> None:
    assert redact_header("Referer", f"http://a.test/?q=1&api_key={KEY}") == f"http://a.test/?q=1&api_key={redact(KEY)}"


@pytest.mark.parametrize("proxied", [True, False])
def test_what_an_upstream_repeats_of_a_key_is_redacted_in_the_journal(proxied: bool) -> None:
    data = b'{"error": {"message": "Incorrect API key provided: %b"}}' % KEY.encode()
    timeline = Timeline(401, (("x-debug", f"key {KEY}"),), (Frame(0.0, data, "body"),), length=len(data))
    world = make_world()
    exchange = world.send(key=KEY)
    shown = describe(replace(exchange, timeline=timeline, proxied=proxied))
    stream = describe(replace(exchange, timeline=replace(timeline, stream=True), proxied=proxied))
    assert (KEY not in f"{shown}{stream}") is proxied
