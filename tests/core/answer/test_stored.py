"""Answers that are kept: chat completions, items that requests refer to, conversations, streams asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from build import NOW, EngineSession, body_of, make_request, make_session

from emulator.core.engine import stored_lookup, understand
from emulator.core.store import at_once
from emulator.core.stored_answers import Keeping
from emulator.core.values import Exchange
from emulator.core.wires.sse import payload

MODEL = "gpt-4o"


def ask(
    live: EngineSession, path: str, body: Any = None, method: str = "POST", at: float = NOW, **query: Any
) -> Exchange:
    """Answer a request as a server does, with what it names recalled."""
    raw = b"" if body is None else orjson.dumps(body)
    exchange = live.answer(make_request("openai", raw=raw, path=path, method=method, query=urlencode(query), at=at))
    operation = live.engine.providers["openai"].operations.get(exchange.claim.operation or "")
    if operation and operation.response and exchange.timeline.status == 200 and not exchange.timeline.stream:
        assert not operation.response.violations(body_of(exchange))
    return exchange


def get(live: EngineSession, path: str, at: float = NOW, **query: Any) -> Any:
    return body_of(ask(live, path, method="GET", at=at, **query))


def events_of(exchange: Exchange) -> list[Any]:
    return [orjson.loads(payload(frame.data)) for frame in exchange.timeline.frames]


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "store": True, **fields}


def responses(given: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": given, **fields}


def texts(exchange: Exchange) -> list[tuple[str, str]]:
    assert exchange.claim.call
    return [(message.role, message.text) for message in exchange.claim.call.messages]


def error_of(exchange: Exchange) -> tuple[int, Any, Any]:
    error = body_of(exchange)["error"]
    return exchange.timeline.status, error["param"], error["message"]


@pytest.fixture
def live() -> EngineSession:
    return make_session(
        {"provider": "openai", "rules": [{"when": {"operation": "chat"}, "reply": {"text": "One two."}}]}
    )


# Chat completions


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_completion_is_kept_with_its_metadata(live: EngineSession, stream: bool) -> None:
    exchange = ask(live, "/chat/completions", chat(metadata={"a": "b"}, stream=stream, n=2))
    ident = (events_of(replace(exchange, timeline=replace(exchange.timeline, frames=exchange.timeline.frames[:1])))
             if stream else [body_of(exchange)])[0]["id"]  # fmt: skip
    shown = get(live, f"/chat/completions/{ident}")
    assert (shown["object"], shown["id"], shown["metadata"]) == ("chat.completion", ident, {"a": "b"})
    assert [choice["message"]["content"] for choice in shown["choices"]] == ["One two.", "One two."]
    assert shown["usage"]["completion_tokens"] == 6
    if not stream:
        assert shown == body_of(exchange) | {"metadata": {"a": "b"}}


@pytest.mark.parametrize(
    "body",
    [chat(store=False), chat(store=None), {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}],
    ids=["false", "null", "left out"],
)
def test_what_is_not_to_be_stored_is_not_there(live: EngineSession, body: Any) -> None:
    ident = body_of(ask(live, "/chat/completions", body))["id"]
    missing = ask(live, f"/chat/completions/{ident}", method="GET")
    assert error_of(missing) == (404, None, f"Chat completion with id '{ident}' not found.")


def test_a_completion_is_no_response(live: EngineSession) -> None:
    ident = body_of(ask(live, "/chat/completions", chat()))["id"]
    other = body_of(ask(live, "/responses", responses()))["id"]
    for path in (f"/responses/{ident}", f"/chat/completions/{other}"):
        assert ask(live, path, method="GET").timeline.status == 404
    refused = ask(live, "/responses", responses(previous_response_id=ident))
    assert error_of(refused)[:2] == (400, "previous_response_id")


def test_a_completion_is_updated_and_deleted(live: EngineSession) -> None:
    ident = body_of(ask(live, "/chat/completions", chat(metadata={"a": "b"})))["id"]
    path = f"/chat/completions/{ident}"
    updated = ask(live, path, {"metadata": {"c": "d"}})
    assert updated.keeping == Keeping("change", ident, data='{"metadata":{"c":"d"}}')
    assert body_of(updated)["metadata"] == get(live, path)["metadata"] == {"c": "d"}
    assert body_of(ask(live, path, {"metadata": None}))["metadata"] == get(live, path)["metadata"] == {}
    assert ask(live, path, {}).timeline.status == 400
    assert ask(live, path, {"metadata": {"c": 5}}).timeline.status == 400
    assert body_of(ask(live, path, method="DELETE")) == {
        "object": "chat.completion.deleted",
        "id": ident,
        "deleted": True,
    }
    assert ask(live, path, method="GET").timeline.status == 404
    assert ask(live, path, method="DELETE").timeline.status == 404


@pytest.fixture
def five(live: EngineSession) -> tuple[EngineSession, list[str]]:
    """Return a session with five completions, and their ids; the second is of another model, the third has metadata."""
    fields: Sequence[dict[str, Any]] = (
        {},
        {"model": "gpt-4o-mini"},
        {"metadata": {"k": "v"}},
        {},
        {"metadata": {"k": "w"}},
    )
    made = [ask(live, "/chat/completions", chat(str(number), **given)) for number, given in enumerate(fields)]
    ask(live, "/responses", responses())
    return live, [body_of(item)["id"] for item in made]


@pytest.mark.parametrize(
    ("query", "wanted", "more"),
    [
        ({}, [0, 1, 2, 3, 4], False),
        ({"limit": 2}, [0, 1], True),
        ({"limit": 5}, [0, 1, 2, 3, 4], False),
        ({"order": "desc", "limit": 2}, [4, 3], True),
        ({"after": 1, "limit": 2}, [2, 3], True),
        ({"after": 1, "order": "desc"}, [0], False),
        ({"after": 4}, [], False),
        ({"model": "gpt-4o-mini"}, [1], False),
        ({"metadata[k]": "v"}, [2], False),
        ({"metadata[k]": "v", "model": "gpt-4o-mini"}, [], False),
        ({"model": "gpt-4o", "limit": 3}, [0, 2, 3], True),
        ({"model[x]": "1"}, [0, 1, 2, 3, 4], False),
        ({"metadata": "v"}, [0, 1, 2, 3, 4], False),
    ],
    ids=str,
)
def test_completions_are_listed(
    five: tuple[EngineSession, list[str]], query: dict[str, Any], wanted: list[int], more: bool
) -> None:
    live, ids = five
    asked = query | ({"after": ids[query["after"]]} if "after" in query else {})
    listed = get(live, "/chat/completions", **asked)
    found = [item["id"] for item in listed["data"]]
    assert found == [ids[index] for index in wanted]
    assert (listed["first_id"], listed["last_id"]) == ((found[0], found[-1]) if found else (None, None))
    assert (listed["object"], listed["has_more"]) == ("list", more)


def test_metadata_that_is_no_object_is_not_looked_into() -> None:
    live = make_session({"provider": "openai", "validation": "off", "rules": [{"reply": {"text": "x"}}]})
    ask(live, "/chat/completions", chat(metadata="v"))
    assert get(live, "/chat/completions", **{"metadata[v]": "v"})["data"] == []


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"order": "up"}], ids=str)
def test_a_list_is_asked_for_as_documented(live: EngineSession, query: dict[str, Any]) -> None:
    assert ask(live, "/chat/completions", method="GET", **query).timeline.status == 400


def test_nothing_is_listed_where_nothing_is_kept(live: EngineSession) -> None:
    assert get(live, "/chat/completions") == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip


def test_the_messages_of_a_completion_are_listed(live: EngineSession) -> None:
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    ident = body_of(ask(live, "/chat/completions", {"model": MODEL, "messages": messages, "store": True}))["id"]
    path = f"/chat/completions/{ident}/messages"
    listed = get(live, path)
    assert listed["data"] == [
        {"id": f"{ident}-{index}", "content_parts": None, **message} for index, message in enumerate(messages)
    ]
    assert [item["id"] for item in get(live, path, after=f"{ident}-0")["data"]] == [f"{ident}-1"]


# Pages of items


def test_only_the_items_of_a_page_are_rendered(live: EngineSession) -> None:
    given = [{"role": "user", "content": str(number)} for number in range(50)]
    ident = body_of(ask(live, "/responses", responses(given)))["id"]
    path = f"/responses/{ident}/input_items"
    first = get(live, path, limit=2, order="asc")
    assert [item["content"][0]["text"] for item in first["data"]] == ["0", "1"]
    assert first["has_more"] is True
    next_page = get(live, path, limit=2, order="asc", after=first["last_id"])
    assert [item["content"][0]["text"] for item in next_page["data"]] == ["2", "3"]
    newest = get(live, path, limit=1)
    assert [item["content"][0]["text"] for item in newest["data"]] == ["49"]
    shown = ask(live, path, method="GET", limit=1)
    assert len(shown.request.recalled) < 500  # of the request, the page alone


@pytest.mark.parametrize("path", ["/responses/{}/input_items", "/chat/completions"], ids=["items", "answers"])
def test_an_unknown_id_begins_no_page(live: EngineSession, path: str) -> None:
    ident = body_of(ask(live, "/responses", responses()))["id"]
    refused = ask(live, path.format(ident), method="GET", after="no-such-id")
    assert error_of(refused) == (400, "after", "after: there is nothing with the id 'no-such-id' in this list")


# What a request refers to


def test_an_item_of_a_kept_answer_may_be_referred_to(live: EngineSession) -> None:
    first, second = (body_of(ask(live, "/responses", responses(text))) for text in ("one", "two"))
    items = [answer["output"][0] for answer in (second, first)]
    given = [{"type": "item_reference", "id": item["id"]} for item in items]
    third = ask(
        live, "/responses", responses([{"role": "user", "content": "x"}, *given, {"role": "user", "content": "y"}])
    )
    said = [("assistant", item["content"][0]["text"]) for item in items]
    assert texts(third) == [("user", "x"), *said, ("user", "y")]
    listed = get(live, f"/responses/{body_of(third)['id']}/input_items", order="asc")["data"]
    assert [item["id"] for item in listed[1:3]] == [item["id"] for item in items]
    fourth = ask(live, "/responses", responses("z", previous_response_id=body_of(third)["id"]))
    assert texts(fourth)[:4] == texts(third)


def test_an_item_that_is_not_kept_is_not_found(live: EngineSession) -> None:
    unstored = body_of(ask(live, "/responses", responses(store=False)))["output"][0]["id"]
    refused = ask(live, "/responses", responses([{"type": "item_reference", "id": unstored}]))
    status, param, message = error_of(refused)
    assert (status, param) == (404, "input")
    assert message.startswith(
        f"Item with id '{unstored}' not found. Items are not persisted when `store` is set to false."
    )


def test_what_is_referred_to_is_no_larger_than_a_body_may_be(live: EngineSession, monkeypatch: Any) -> None:
    items = [body_of(ask(live, "/responses", responses()))["output"][0] for _ in range(3)]
    monkeypatch.setattr(understand, "MOST_REFERRED_TO", 2 * len(orjson.dumps(items[0])))
    references = [{"type": "item_reference", "id": item["id"]} for item in items]
    assert ask(live, "/responses", responses(references[:2])).timeline.status == 200
    refused = ask(live, "/responses", responses(references))
    assert (refused.timeline.status, error_of(refused)[1]) == (413, None)


def test_so_many_bytes_are_read_for_an_item(live: EngineSession, monkeypatch: Any) -> None:
    first, second = (ask(live, "/responses", responses(text)) for text in ("one", "two"))
    older, newer = (body_of(made)["output"][0]["id"] for made in (first, second))
    monkeypatch.setattr(stored_lookup, "MOST_READ", 10)
    assert ask(live, "/responses", responses([{"type": "item_reference", "id": older}])).timeline.status == 404
    assert ask(live, "/responses", responses([{"type": "item_reference", "id": newer}])).timeline.status == 200


def test_what_cannot_be_wanted_is_not_read(five: tuple[EngineSession, list[str]], monkeypatch: Any) -> None:
    live, ids = five
    read: list[str] = []
    whole = stored_lookup._whole

    def counted(exchange: Exchange, wire: Any) -> Any:
        answer = whole(exchange, wire)
        read.append((answer[0] or {}).get("id", ""))
        return answer

    monkeypatch.setattr(stored_lookup, "_whole", counted)
    refused = ask(live, "/responses", responses([{"type": "item_reference", "id": "msg_none"}]))
    assert (refused.timeline.status, read) == (404, [])
    get(live, "/chat/completions", **{"metadata[k]": "v"})
    assert read == [ids[2]]
    read.clear()
    get(live, "/chat/completions", model="gpt-4o-mini")
    assert read == [ids[1]]


# Conversations


@pytest.mark.parametrize("named", ["conv_1", {"id": "conv_1"}], ids=["id", "object"])
def test_a_conversation_goes_on(live: EngineSession, named: Any) -> None:
    first = ask(live, "/responses", responses("one", conversation=named))
    assert body_of(first)["conversation"] == {"id": "conv_1"}
    second = ask(live, "/responses", responses("two", conversation=named, store=False))
    third = ask(live, "/responses", responses("three", conversation="conv_1"))
    assert [text for role, text in texts(third) if role == "user"] == ["one", "two", "three"]
    assert second.keeping == Keeping("keep", "/conversations/conv_1", "responses")
    assert ask(live, f"/responses/{body_of(second)['id']}", method="GET").timeline.status == 404
    assert ask(live, "/responses/conv_1", method="GET").timeline.status == 404
    other = ask(live, "/responses", responses("four", conversation="conv_2"))
    assert texts(other) == [("user", "four")]


@pytest.mark.parametrize("path", ["/responses", "/responses/input_tokens"])
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("talk", "string does not match pattern"),
        ({"id": "talk"}, "string does not match pattern"),
        ("", "string does not match pattern"),
        ("conv_" + "a" * 60, "string too long"),
    ],
    ids=["other", "object", "empty", "long"],
)
def test_a_conversation_is_named_by_its_id(live: EngineSession, path: str, named: Any, message: str) -> None:
    status, param, said = error_of(ask(live, path, responses(conversation=named)))
    assert (status, param) == (400, "conversation.id" if isinstance(named, dict) else "conversation")
    assert message in said


def test_conversations_are_kept_apart_from_answers() -> None:
    live = make_session({"provider": "openai", "validation": "off", "rules": [{"reply": {"text": "x"}}]})
    ident = body_of(ask(live, "/chat/completions", chat()))["id"]
    ask(live, "/responses", responses("one", conversation=ident))
    assert get(live, f"/chat/completions/{ident}")["id"] == ident
    again = ask(live, "/responses", responses("two", conversation=ident))
    assert [text for role, text in texts(again) if role == "user"] == ["one", "two"]


@pytest.mark.parametrize("previous", ["conv_1", "/conversations/conv_1"])
def test_a_conversation_is_no_answer_that_is_gone_on_from(live: EngineSession, previous: str) -> None:
    ask(live, "/responses", responses(conversation="conv_1"))
    refused = ask(live, "/responses", responses(previous_response_id=previous))
    assert error_of(refused) == (400, "previous_response_id", f"Previous response with id '{previous}' not found.")


def test_an_answer_without_a_conversation_tells_none(live: EngineSession) -> None:
    assert "conversation" not in body_of(ask(live, "/responses", responses()))


def test_a_conversation_is_not_answered_from_what_was_compiled(live: EngineSession) -> None:
    request = make_request("openai", responses(conversation="conv_1"), path="/responses")
    for _ in range(3):
        claim = live.engine.claim(live.session, request)
        assert live.engine.answer_cache.compiled(live.session, request, claim, live.store.take(claim)) is None


# Streams


SLOW = {"text": "one two three", "stream": {"split": "words", "itl": "1s"}}


def streamed(reply: dict[str, Any], **fields: Any) -> tuple[EngineSession, list[Any], str]:
    live = make_session({"provider": "openai", "rules": [{"when": {"operation": "responses"}, "reply": reply}]})
    events = events_of(ask(live, "/responses", responses(stream=True, **fields)))
    return live, events, f"/responses/{events[0]['response']['id']}"


def test_a_stream_under_way_is_in_progress() -> None:
    live, events, path = streamed(SLOW)
    under_way, done = get(live, path, at=NOW + 1), get(live, path, at=NOW + 30)
    assert (under_way["status"], under_way["output"], under_way["usage"]) == ("in_progress", [], None)
    assert done == events[-1]["response"]
    assert done["status"] == "completed"


def test_a_stream_that_broke_off_stays_in_progress() -> None:
    live, events, path = streamed({**SLOW, "faults": [{"cut": {"after_chunks": 6}}]})
    assert get(live, path, at=NOW + 100) == events[1]["response"]
    assert events[1]["response"]["status"] == "in_progress"


def test_a_background_stream_is_queued_and_done_though_it_broke_off() -> None:
    live, events, path = streamed({**SLOW, "faults": [{"cut": {"after_chunks": 6}}]}, background=True)
    assert [event["type"] for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(6))
    assert get(live, path, at=NOW + 1)["status"] == "in_progress"
    assert get(live, path, at=NOW + 30)["status"] == "completed"


@pytest.mark.parametrize("after", [None, 0, 5, 100], ids=str)
def test_the_events_of_a_background_stream_are_asked_for_again(after: int | None) -> None:
    live, _, path = streamed({**SLOW, "faults": [{"cut": {"after_chunks": 6}}]}, background=True)
    query = {"stream": "true"} | ({"starting_after": after} if after is not None else {})
    again = ask(live, path, method="GET", at=NOW + 1, **query)
    assert again.timeline.stream
    numbers = [event["sequence_number"] for event in events_of(again)]
    assert numbers == list(range(0 if after is None else after + 1, 12))
    waits = [frame.at for frame in again.timeline.frames]
    assert waits == sorted(waits)
    assert 0 < again.timeline.end_at < 30 or not numbers  # what is still to come


@pytest.mark.parametrize(("asked", "padded"), [({}, True), ({"include_obfuscation": "false"}, False)], ids=str)
def test_events_that_are_asked_for_again_are_padded_as_asked(asked: dict[str, str], padded: bool) -> None:
    live, _, path = streamed({"text": "It is blue."}, background=True)
    events = events_of(ask(live, path, method="GET", stream="true", **asked))
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert {"obfuscation" in event for event in deltas} == {padded}
    assert "".join(event["delta"] for event in deltas) == "It is blue."


def test_only_a_background_stream_is_streamed_again() -> None:
    live, _, path = streamed(SLOW)
    assert error_of(ask(live, path, method="GET", stream="true"))[::2] == (
        400, "Only a response that was created with background and stream can be streamed again.",
    )  # fmt: skip
    assert ask(live, path, method="GET", stream="false", at=NOW + 90).timeline.status == 200


# Conversations in short


def test_a_conversation_is_compacted(live: EngineSession) -> None:
    first = body_of(ask(live, "/responses", responses("one")))
    compacted = body_of(ask(live, "/responses/compact", responses("two", previous_response_id=first["id"])))
    *asked, gist = compacted["output"]
    assert [(item["role"], item["content"][0]["text"]) for item in asked] == [("user", "one"), ("user", "two")]
    assert (gist["type"], compacted["object"]) == ("compaction", "response.compaction")
    usage = compacted["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] > 8
    other = body_of(ask(live, "/responses/compact", responses("two")))
    assert other["output"][-1]["encrypted_content"] != gist["encrypted_content"]
    following = ask(live, "/responses", responses([*compacted["output"], {"role": "user", "content": "three"}]))
    assert [text for role, text in texts(following) if role == "user"] == ["one", "two", "three"]


def test_a_list_by_metadata_looks_at_those_whose_requests_have_it() -> None:
    class Asked:
        def __init__(self) -> None:
            self.looked_for: list[tuple[Any, ...]] = []

        def listed(self, session: str, of: str) -> list[str]:
            self.looked_for.append((session, of))
            return ["chatcmpl-1"]

        def recall(self, session: str, ident: str, with_texts: Sequence[bytes]) -> None:
            self.looked_for.append((session, ident, with_texts))

    asked = Asked()
    query = "metadata[a]=1&model=gpt-4o"
    request = make_request("openai", method="GET", path="/chat/completions", query=query)
    found = make_session().engine.recalling(request, asked)
    assert found
    assert orjson.loads(at_once(found))["page"]["items"] == []
    assert asked.looked_for == [("default", "chat"), ("default", "chatcmpl-1", [b'"1"'])]


def test_what_waits_is_not_found_at_once() -> None:
    with pytest.raises(TypeError, match="waits"):
        at_once(asyncio.sleep(0))
