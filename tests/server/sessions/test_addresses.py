"""Addresses: which session and which provider a path means, and what is said where it means none."""

from __future__ import annotations

import pytest
from build import PROVIDERS

from emulator.core.scenario.session import Options
from emulator.server.own_errors import OwnError
from emulator.server.sessions.live import LiveSessions
from emulator.server.setup import Setup, make_live_sessions

ORIGIN = "http://h"


def make(provider: str | None = None) -> LiveSessions:
    return make_live_sessions(Setup(options=Options(provider=provider)))


def routed(sessions: LiveSessions, path: str, **headers: str) -> tuple[str, str, str, str]:
    found = sessions.locate(path, headers, ORIGIN)
    return found.live.session.id, found.provider, found.path, found.base_url


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/beatra/v1/chat/completions", ("beatra", "/chat/completions", "http://h/beatra/v1")),
        ("/beatra/v1", ("beatra", "/", "http://h/beatra/v1")),
        ("/beatra/v1/v1/chat", ("beatra", "/v1/chat", "http://h/beatra/v1")),
        ("/beatra/chat/completions", ("beatra", "/../chat/completions", "http://h/beatra/v1")),
    ],
)
def test_a_path_names_its_provider(path: str, found: tuple[str, str, str]) -> None:
    assert routed(make(), path) == ("default", *found)


@pytest.mark.parametrize(
    ("provider", "host", "found"),
    [
        ("braintwin", "", "braintwin"),
        ("braintwin", "api.beatra.ai", "braintwin"),
        (None, "api.beatra.ai", "beatra"),
        (None, "API.Beatra.AI:443", "beatra"),
        (None, "brivionix.com", "brivionix"),
    ],
    ids=["session", "session-first", "host", "host-with-port", "another-host"],
)
def test_a_path_that_names_no_provider_means_the_sessions_or_the_hosts(
    provider: str | None, host: str, found: str
) -> None:
    assert routed(make(provider), "/v1/models", host=host) == ("default", found, "/models", "http://h/v1")


def test_where_there_is_one_provider_it_is_meant() -> None:
    sessions = make()
    sessions.engine.providers = {"beatra": sessions.providers["beatra"]}
    assert routed(sessions, "/v1/models")[1] == "beatra"


def test_where_one_provider_has_a_path_it_is_meant() -> None:
    path = "/v1/intelligence/rankings"
    assert routed(make(), path, host="elsewhere") == (
        "default",
        "brainstormrouter",
        "/intelligence/rankings",
        "http://h/v1",
    )


def test_of_several_that_have_a_path_the_default_is_meant() -> None:
    assert routed(make(), "/v1/models", host="elsewhere") == ("default", "openai", "/models", "http://h/v1")


def test_what_an_api_has_and_the_emulator_has_not_is_of_the_api() -> None:
    assert routed(make(), "/v1/files/f1", host="elsewhere") == ("default", "openai", "/files/f1", "http://h/v1")


BASES = "The base URLs are: " + ", ".join(f"http://h/{name}{item.base_path}" for name, item in PROVIDERS.items()) + "."

ALONE = "For /v1 alone, name one provider: in the scenario, or by --provider."


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", f"There is nothing at /. {BASES} The inspector is at http://h/_emulator/."),
        ("", f"There is nothing at . {BASES}"),
        (
            "/v1/chat/completion",
            f"There is nothing at /v1/chat/completion. {BASES} {ALONE}",
        ),
        ("/betra/v1/models", f"There is nothing at /betra/v1/models (did you mean 'beatra'?). {BASES}"),
        ("/s", f"There is nothing at /s. {BASES}"),
        ("/" + "x" * 300, f"There is nothing at /{'x' * 199}. {BASES}"),
    ],
    ids=["root", "nothing", "v1", "misspelt", "s", "long"],
)
def test_an_address_of_nothing_lists_the_base_urls(path: str, message: str) -> None:
    with pytest.raises(OwnError) as caught:
        make().locate(path, {"host": "elsewhere"}, ORIGIN)
    assert (caught.value.status, caught.value.code, caught.value.message) == (404, "emulator_no_provider", message)


@pytest.mark.parametrize(
    ("provider", "path", "meant"),
    [
        ("beatra", "/chat/completions", " (did you mean http://h/v1/chat/completions?)"),
        ("beatra", "/nothing", ""),
        (None, "/chat/completions", ""),
        (None, "/v1/beatra/chat/completions", " (did you mean http://h/beatra/v1/chat/completions?)"),
        (None, "/v1/beatra/v1/models", ""),
        (None, "/api/brainstormrouter/v1/models", " (did you mean http://h/brainstormrouter/v1/models?)"),
    ],
)
def test_a_path_without_v1_or_in_another_order_is_told_the_right_url(
    provider: str | None, path: str, meant: str
) -> None:
    with pytest.raises(OwnError) as caught:
        make(provider).locate(path, {"host": "elsewhere"}, ORIGIN)
    assert caught.value.message.startswith(f"There is nothing at {path}{meant}. {BASES}")


def test_a_session_is_named_by_path_or_by_its_generated_key() -> None:
    sessions = make()
    one, two = (sessions.open(None, Options()).session for _ in range(2))
    key = f"Bearer {two.api_key}"
    base = f"http://h/s/{one.id}"
    assert routed(sessions, f"/s/{one.id}/beatra/v1/x", authorization=key) == (
        one.id,
        "beatra",
        "/x",
        f"{base}/beatra/v1",
    )
    assert routed(sessions, "/beatra/v1/x", authorization=key)[0] == two.id
    assert routed(sessions, "/beatra/v1/x", authorization="Bearer other")[0] == "default"
    assert routed(sessions, f"/s/{one.id}/v1/x", host="api.beatra.ai") == (one.id, "beatra", "/x", f"{base}/v1")


def test_a_deleted_sessions_key_means_the_default_session() -> None:
    sessions = make()
    session = sessions.open(None, Options()).session
    sessions.delete(session.id)
    assert routed(sessions, "/beatra/v1/x", authorization=f"Bearer {session.api_key}")[0] == "default"


def test_an_unknown_session() -> None:
    with pytest.raises(OwnError) as caught:
        make().locate("/s/nope/beatra/v1", {}, ORIGIN)
    assert (caught.value.code, caught.value.message) == ("emulator_unknown_session", "There is no session 'nope'.")


def test_base_urls_are_of_the_providers_that_a_session_is_for() -> None:
    sessions = make()
    session = sessions.open(None, Options(provider="beatra")).session
    assert sessions.base_urls(session, ORIGIN) == {"beatra": f"http://h/s/{session.id}/beatra/v1"}
    assert list(sessions.base_urls(sessions.by_id["default"].session, ORIGIN)) == [*PROVIDERS]
