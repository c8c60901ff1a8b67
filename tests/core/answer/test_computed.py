"""Computed answers: the built-in reply, embeddings, and what a router knows of its models and the session's past."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import mul
from typing import Any

import pytest
from build import NOW, PROVIDERS, EngineSession, body_of, chat, headers_of, make_session, make_turn
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.answer.builtin import _excerpt, builtin_message
from emulator.core.answer.computed import ANSWERS, rankings, recommendations, task_of
from emulator.core.answer.embeddings import embedding_inputs, vectors
from emulator.core.values import Exchange, Sent
from emulator.core.wires.request.conversation import words_of

ROUTER = PROVIDERS["brainstormrouter"]


def builtin(body: dict[str, Any], seed: int = 0) -> tuple[dict[str, Any], list[str]]:
    content, notes = builtin_message(replace(make_turn("brivionix", body), seed=seed), body)
    return content, [f"{note.path}: {note.message}" for note in notes]


def tool(name: str, description: str = "", **parameters: Any) -> dict[str, Any]:
    function = {"name": name, "description": description} | ({"parameters": parameters} if parameters else {})
    return {"type": "function", "function": function}


# Chat


def test_the_text_quotes_the_last_user_message_on_one_line() -> None:
    text = builtin(chat("brivionix", "What  is\nthis?"))[0]["text"]
    assert "“What is this?”" in text
    assert "“" + "x" * 79 + "…”" in builtin(chat("brivionix", "x" * 200))[0]["text"]


@pytest.mark.parametrize(
    ("change", "same"),
    [({}, True), ({"stream": True}, True), ({"stream_options": {"include_usage": True}}, True),
     ({"temperature": 0.1}, False), ({"seed": 5}, False)],
    ids=["same", "stream", "stream-options", "temperature", "seed"],
)  # fmt: skip
def test_the_text_depends_on_the_body_but_not_on_how_it_is_sent(change: dict[str, Any], same: bool) -> None:
    one = builtin(chat("brivionix"))
    assert (builtin(chat("brivionix", **change)) == one) is same
    assert builtin(chat("brivionix"), seed=1) != one


WEATHER = tool(
    "get_weather", "Weather of a city", type="object", required=["city"], properties={"city": {"type": "string"}}
)
SEARCH = tool("web_search", "Search the web for anything")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"tools": [SEARCH, WEATHER]}, "get_weather"),
        ({"tools": [SEARCH, WEATHER], "tool_choice": "auto"}, "get_weather"),
        ({"tools": [SEARCH, WEATHER], "tool_choice": "required"}, "get_weather"),
        (
            {"tools": [WEATHER, SEARCH], "tool_choice": {"type": "function", "function": {"name": "web_search"}}},
            "web_search",
        ),
        ({"tools": [WEATHER], "tool_choice": "none"}, None),
        ({"tools": []}, None),
    ],
    ids=["auto", "said-auto", "required", "named", "none", "no-tools"],
)
def test_a_fitting_tool_is_called(body: dict[str, Any], name: str | None) -> None:
    content, notes = builtin(chat("brivionix", "How is the weather in the city?", **body))
    assert ([call["name"] for call in content.get("tool_calls", [])], notes) == ([name] if name else [], [])


@pytest.mark.parametrize(("choice", "shown"), [({"name": "nope"}, "'nope'"), (5, "null")])
def test_a_choice_that_is_not_offered_is_noted(choice: Any, shown: str) -> None:
    body = chat("brivionix", "The weather?", tools=[WEATHER], tool_choice={"type": "function", "function": choice})
    content, notes = builtin(body)
    assert content["tool_calls"][0]["name"] == "get_weather"
    assert notes == [f"tool_choice: {shown} is not among the tools offered; another is called"]


def test_the_arguments_conform() -> None:
    content, _ = builtin(chat("brivionix", tools=[WEATHER]))
    assert list(content["tool_calls"][0]["arguments"]) == ["city"]
    assert builtin(chat("brivionix", tools=[SEARCH]))[0]["tool_calls"][0]["arguments"] == {}


@pytest.mark.parametrize(
    ("parameters", "names"),
    [({"properties": {"a": {}}, "required": ["a"]}, ["a"]), ({"minLength": 2}, []), ({"type": ["null", "object"]}, [])],
    ids=["no-type", "of-a-string", "or-null"],
)
def test_arguments_are_an_object_whatever_the_parameters_say(parameters: dict[str, Any], names: list[str]) -> None:
    content, _ = builtin(chat("brivionix", tools=[tool("odd", **parameters)]))
    assert list(content["tool_calls"][0]["arguments"]) == names


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tools": [tool("odd", type="string")]}, "tools.odd: 'type' allows no object, which arguments are"),
        ({"tools": [tool("odd", required=["a"], maxProperties=0)]},
         "tools.odd: no value conforms to the schema asked for: 'maxProperties' at $ was not met"),
        ({"response_format": {"type": "json_schema", "json_schema": {
            "schema": {"type": "string", "pattern": "^(?=a)b"}}}},
         "response_format: no value conforms to the schema asked for: 'pattern' is met by no text that was tried"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": False}}},
         "response_format: no value conforms to the schema asked for: 'false' allows no value"),
    ],
    ids=["no-object", "contradiction", "pattern", "impossible"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("rules", [{}, {"rules": [{"reply": {"builtin": True}}]}], ids=["unscripted", "scripted"])
def test_what_nothing_conforms_to_is_refused_and_says_why(rules: Any, stream: bool, fields: Any, message: str) -> None:
    live = make_session(rules) if rules else make_session()
    for _ in range(3):  # the third is given from a form
        exchange = live.send("brivionix", chat("brivionix", stream=stream, **fields))
        error = body_of(exchange)["error"]
        assert (exchange.timeline.status, error["code"]) == (404, "emulator_cannot_conform")
        said = f"The built-in answer would not conform to {message}. A scenario can answer this request."
        assert error["message"] == said
        assert (exchange.rule, headers_of(exchange)["x-should-retry"]) == ("unmatched", "false")
        assert error["message"] in [note.message for note in exchange.notes]


def test_after_the_result_of_a_tool_the_answer_is_text_unless_a_call_is_asked_for() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "21 degrees"},
    ]
    content, _ = builtin(chat("brivionix", messages=messages, tools=[WEATHER]))
    assert "“weather?”, with the result 21 degrees" in content["text"]
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        content, _ = builtin(chat("brivionix", messages=messages, tools=[WEATHER], tool_choice=choice))
        assert [call["name"] for call in content["tool_calls"]] == ["get_weather"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"type": "json_object"}, '{"answer":'),
        ({"type": "json_schema", "json_schema": {"schema": {"const": 5}}}, "5"),
        ({"type": "json_schema", "json_schema": {}}, '{"answer":'),
        ({"type": "json_schema"}, '{"answer":'),
        ({"type": "text"}, ""),
        ("json", ""),
        (None, ""),
    ],
    ids=["object", "schema", "no-schema", "no-wrapper", "text", "string", "null"],
)  # fmt: skip
def test_json_is_given_where_it_is_asked_for(asked: Any, text: str) -> None:
    content, _ = builtin(chat("brivionix", response_format=asked))
    assert content["text"].startswith(text)
    assert (content["text"][:1] in "{5") == bool(text)


def test_tools_act_only_where_they_are_documented() -> None:
    exchange = make_session().send("beatra", chat(tools=[WEATHER]))
    assert exchange.finish_reason == "stop"


# Embeddings


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], ["[1,2]"]), ([[1, 2], [3]], ["[1,2]", "[3]"]), ([], ["[]"]),
     (5, ["5"]), ([1, "a"], ["1", "a"])],
    ids=str,
)  # fmt: skip
def test_inputs(given_input: Any, inputs: list[str]) -> None:
    assert embedding_inputs({"input": given_input}) == inputs
    assert embedding_inputs({}) == [""]


@given(texts=st.lists(st.text(max_size=10), min_size=1, max_size=4), size=st.integers(1, 20))
def test_vectors_are_of_length_1_and_the_same_for_the_same_text(texts: list[str], size: int) -> None:
    found = vectors(texts, {"dimensions": size}, "m")
    assert [len(vector) for vector in found] == [size] * len(texts)
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-6) for vector in found)
    assert found == [vectors([text], {"dimensions": size}, "m")[0] for text in texts]


DOCUMENTS = (
    "Cats are small animals that like milk.", "The stock market fell sharply on Monday.",
    "How to bake bread with yeast and flour", "Python is a programming language for data science",
    "Dogs bark loudly at night", "The quarterly revenue of the company increased", "猫は小さな動物で牛乳が好きです",
)  # fmt: skip


@pytest.mark.parametrize("size", [256, 1536, 3072])
@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("Do cats drink milk?", 0), ("STOCK prices, on the market", 1), ("baking bread", 2), ("programmed in python", 3),
     ("dog barking", 4), ("report the company's revenues", 5), ("牛乳が好きな猫", 6)],
)  # fmt: skip
def test_texts_that_share_words_are_nearer(asked: str, nearest: int, size: int) -> None:
    question, *found = vectors([asked, *DOCUMENTS], {"dimensions": size}, "m")
    near = [sum(map(mul, question, vector)) for vector in found]
    assert near.index(max(near)) == nearest
    assert max(near) > sorted(near)[-2] + 0.05


def test_texts_without_words_have_vectors_too() -> None:
    found = vectors(["", "!", "?!", "a b", "b a"], {"dimensions": 64}, "m")
    assert len({tuple(item) for item in found}) == 5


def test_another_text_or_model_has_another_vector() -> None:
    one = vectors(["a"], {}, "m")
    assert (len(one[0]), one != vectors(["b"], {}, "m"), one != vectors(["a"], {}, "n")) == (1536, True, True)


@pytest.mark.parametrize("dimensions", [0, -1, 8193, "5", None])
def test_dimensions_that_make_no_sense_are_the_usual_ones(dimensions: Any) -> None:
    assert len(vectors(["a"], {"dimensions": dimensions}, "m")[0]) == 1536


@pytest.mark.parametrize(
    ("embedding", "inputs", "found", "notes"),
    [
        ([0.5, 1], ["a", "b"], [[0.5, 1], [0.5, 1]], []),
        ([[1, 2], [3, 4]], ["a", "b"], [[1, 2], [3, 4]], []),
        ([[1, 2]], ["a", "b"], [[1, 2], [1, 2]],
         ["the reply has 1 vectors for 2 inputs; the last one is used for the rest"]),
        ("auto", "a", vectors(["a"], {}, "text-embedding-3-large"), []),
    ],
    ids=["one", "each", "too-few", "auto"],
)  # fmt: skip
def test_scripted_embeddings(embedding: Any, inputs: Any, found: Any, notes: list[str]) -> None:
    live = make_session({"provider": "brainstormrouter", "rules": [{"reply": {"embedding": embedding}}]})
    exchange = live.send("brainstormrouter", {"model": "auto", "input": inputs}, path="/embeddings")
    assert [item["embedding"] for item in body_of(exchange)["data"]] == found
    assert ([note.message for note in exchange.notes], exchange.rule_id) == (notes, "rule-1")


BOUND = "(a bound of the emulator's, assumed)"
NUMBERS = "an answer holds 6291456 numbers"


@pytest.mark.parametrize(
    ("inputs", "reply", "asked", "message"),
    [
        (["x"] * 2048, "auto", {}, None),
        (["x"] * 2049, "auto", {}, f"must have at most 2048 items, not 2049 {BOUND}"),
        ([[1]] * 2049, "auto", {}, f"must have at most 2048 items, not 2049 {BOUND}"),
        ([1] * 5000, "auto", {}, None),
        (["x"] * 768, "auto", {"dimensions": 8192}, None),
        (["x"] * 769, "auto", {"dimensions": 8192},
         f"must have at most 768 items for vectors of 8192 numbers, not 769: {NUMBERS} {BOUND}"),
        (["x"] * 2048, [0.5] * 3073, {},
         f"must have at most 2047 items for vectors of 3073 numbers, not 2048: {NUMBERS} {BOUND}"),
        (["x"] * 2048, [[0.5], [0.5] * 3073], {},
         f"must have at most 2047 items for vectors of 3073 numbers, not 2048: {NUMBERS} {BOUND}"),
    ],
    ids=["most", "one-more", "lists", "one-list-of-tokens", "dimensions", "too-many-numbers", "scripted", "longest"],
)  # fmt: skip
def test_inputs_and_the_numbers_of_an_answer_are_bounded(
    inputs: list[Any], reply: Any, asked: dict[str, Any], message: str | None
) -> None:
    live = make_session({"provider": "brainstormrouter", "rules": [{"reply": {"embedding": reply}}]})
    exchange = live.send("brainstormrouter", {"model": "auto", "input": inputs, **asked}, path="/embeddings")
    found = exchange.refusal and [(item.path, item.message) for item in exchange.refusal[2].details]
    assert (exchange.timeline.status, found) == ((400, [("input", message)]) if message else (200, None))


def test_too_many_inputs_are_refused_where_nothing_is_validated() -> None:
    live = make_session({"provider": "brainstormrouter", "validation": "off"})
    refused = live.send("brainstormrouter", {"model": "auto", "input": ["x"] * 2049}, path="/embeddings")
    assert (refused.timeline.status, refused.claim.counted) == (400, False)


# The router


def get(live: EngineSession, name: str, query: str = "", **given: Any) -> Any:
    operation = ROUTER.operations[name]
    exchange = live.send(
        "brainstormrouter", given.pop("body", None), method=operation.method, path=operation.path, query=query, **given
    )
    body = body_of(exchange)
    assert (exchange.timeline.status, exchange.rule) == (200, "built-in")
    assert operation.response is not None
    assert operation.response.violations(body) == ()
    return body


def test_models_are_listed_with_their_prices() -> None:
    listed = get(make_session(), "models")
    assert [item["id"] for item in listed["data"]] == list(ROUTER.models)
    assert listed["data"][0] == {
        "id": "claude-opus-4-6", "object": "model", "created": 1767225600, "owned_by": "anthropic",
        "provider": "anthropic", "context_window": 200000,
        "pricing": {"input_per_million": 5.0, "output_per_million": 25.0},
        "capabilities": ROUTER.models["claude-opus-4-6"].capabilities,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "task"),
    [("code review", "review"), ("Summarize this text", "summarization"), ("write code, debug code", "code_generation"),
     ("", "review"), ("xyz", "review"), ("Translate", "translation")],
)  # fmt: skip
def test_task_of(text: str, task: str) -> None:
    assert task_of(ROUTER, text) == task


def test_words_of() -> None:
    assert words_of("Get_weather, of Köln-Süd!") == ["get", "weather", "of", "köln", "süd"]
    assert len(words_of("a " * 5000)) == 1000


def test_a_long_text_is_quoted_from_its_beginning_and_not_taken_apart() -> None:
    class Long(str):
        def split(self, *given: Any, **named: Any) -> list[str]:
            raise AssertionError("the whole text was split")

    assert _excerpt(Long("word " * 5000)) == "word " * 15 + "word…"


def test_another_long_request_has_another_answer() -> None:
    one, two, again = (make_session().send("beatra", chat(text="x" * 200_000 + end)) for end in "aba")
    texts = [body_of(item)["choices"][0]["message"]["content"] for item in (one, two, again)]
    assert (texts[0] == texts[2], texts[0] == texts[1]) == (True, False)


def test_recommendations_rank_by_the_tasks_capability() -> None:
    found = get(make_session(), "recommendations", "task=translate+a+letter")
    best = [item["model"] for item in found["recommendations"]]
    assert (best[0], found["task"]) == ("gemini-3.1-pro", "translate a letter")
    scores = [item["score"] for item in found["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert found["recommendations"][0]["reason"] == "translating is rated 0.94 (translation)"
    assert not {"text-embedding-3-large", "text-embedding-3-small"} & set(best)


def test_recommendations_without_a_task() -> None:
    assert recommendations(make_turn("brainstormrouter", {}, "recommendations"), [])["task"] == ""


TASKS = [{"type": "code_generation", "estimated_tokens": 1_000_000}, {"type": "a code review", "estimated_tokens": "x"}]


def test_a_forecast_prices_each_task() -> None:
    body = {"tasks": [*TASKS[:1], "odd", {"estimated_tokens": 10}], "strategy": "cheap"}
    found = ANSWERS["cost_forecast"](make_turn("brainstormrouter", body, "cost_forecast"), [])
    assert [task["type"] for task in found["tasks"]] == ["code_generation", ""]
    assert found["tasks"][0] == {
        "type": "code_generation", "estimated_tokens": 1_000_000, "model": "deepseek-v3", "cost": 0.768
    }  # fmt: skip
    assert (found["currency"], found["strategy"]) == ("USD", "cheap")
    assert math.isclose(found["total_cost"], sum(task["cost"] for task in found["tasks"]), abs_tol=1e-6)


def test_a_forecast_of_odd_figures_costs_nothing() -> None:
    found = ANSWERS["cost_forecast"](make_turn("brainstormrouter", {"tasks": TASKS[1:]}, "cost_forecast"), [])
    assert (found["total_cost"], found["tasks"][0]["estimated_tokens"], found["strategy"]) == (0, 0, "combined")


def past(*outcomes: tuple[str, str, int], seconds: float = 0.1, sent: bool = False) -> list[Exchange]:
    """Return exchanges, each of a text, a model and a status."""
    found = []
    for text, model, status in outcomes:
        exchange = make_session().send("brainstormrouter", chat("brainstormrouter", text, model=model))
        timeline = replace(exchange.timeline, status=status, end_at=seconds)
        found.append(replace(exchange, timeline=timeline, sent=Sent(1, (), "complete", seconds * 2) if sent else None))
    return found


def test_rankings_learn_from_the_sessions_outcomes() -> None:
    history = past(*[("review this", "kimi-k2.5", 200)] * 300, *[("review this", "gpt-5.4", 503)] * 300)
    turn = make_turn("brainstormrouter", {}, "rankings")
    table = rankings(turn, history)["rankings"]
    rows = {row["model"]: row for row in table["review"]}
    assert list(table) == list(ROUTER.tasks)
    assert (rows["kimi-k2.5"]["samples"], rows["gpt-5.4"]["samples"], rows["deepseek-v3"]["samples"]) == (300, 300, 0)
    assert rows["kimi-k2.5"]["score"] > 0.95
    assert rows["gpt-5.4"]["score"] < 0.05
    assert [row["score"] for row in table["chat"]] == sorted((row["score"] for row in table["chat"]), reverse=True)


def test_rankings_are_drawn_anew_for_each_request_and_again_the_same() -> None:
    one, two = make_session(), make_session()
    first = [get(one, "rankings"), get(one, "rankings")]
    assert first == [get(two, "rankings"), get(two, "rankings")]
    assert first[0] != first[1]


def health_of(history: list[Exchange], owner: str) -> Any:
    found = ANSWERS["health"](make_turn("brainstormrouter", {}, "health"), history)
    return next(item for item in found["providers"] if item["provider"] == owner)


def test_health_of_nothing() -> None:
    assert [item["provider"] for item in get(make_session(), "health")["providers"]] == [
        "anthropic", "deepseek", "google", "moonshot", "openai"
    ]  # fmt: skip
    assert health_of([], "openai") == {
        "provider": "openai", "latency_ms": {"p50": 0.0, "p95": 0.0, "p99": 0.0}, "error_rate": 0.0,
        "circuit_breaker": "closed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "breaker", "error_rate"),
    [
        ([200], "closed", 0.0),
        ([503] * 4, "closed", 1.0),
        ([503] * 5, "open", 1.0),
        ([503] * 4 + [200] + [503] * 4, "closed", 0.8889),
        ([503] * 5 + [200], "half_open", 0.8333),
        ([503] * 5 + [200, 200], "closed", 0.7143),
        ([503] * 5 + [200, 503], "half_open", 0.8571),
        ([503] * 5 + [429, 400], "open", 1.0),
    ],
    ids=[
        "good",
        "four",
        "five",
        "broken-streak",
        "half-open",
        "closed-again",
        "half-open-failed",
        "refusals-do-not-count",
    ],
)
def test_health_counts_errors_and_opens_the_breaker(statuses: list[int], breaker: str, error_rate: float) -> None:
    found = health_of(past(*[("hi", "gpt-5.4", status) for status in statuses]), "openai")
    assert (found["circuit_breaker"], found["error_rate"]) == (breaker, error_rate)


def test_health_takes_the_time_that_was_really_taken() -> None:
    scheduled, really = (health_of(past(("hi", "gpt-5.4", 200), sent=sent), "openai") for sent in (False, True))
    assert (scheduled["latency_ms"]["p50"], really["latency_ms"]["p50"]) == (100.0, 200.0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    history = [past(("hi", "gpt-5.4", 200), seconds=seconds)[0] for seconds in (0.4, 0.1, 0.3, 0.2)]
    assert health_of(history, "openai")["latency_ms"] == {"p50": 200.0, "p95": 400.0, "p99": 400.0}


def test_health_leaves_out_models_that_are_not_its_own() -> None:
    assert health_of(past(("hi", "unknown-model", 500)), "openai")["error_rate"] == 0.0


def test_patterns_tell_shares_and_trends() -> None:
    names = ["gpt-5.4", "gpt-5.4", "kimi-k2.5", "kimi-k2.5"]
    history = past(*[("review", name, 200) for name in names], ("translate", "gpt-5.4", 200))
    found = ANSWERS["patterns"](make_turn("brainstormrouter", {}, "patterns"), history)["patterns"]
    assert found == [
        {"task": "review", "model": "gpt-5.4", "share": 0.5, "trend": "falling"},
        {"task": "review", "model": "kimi-k2.5", "share": 0.5, "trend": "rising"},
        {"task": "translation", "model": "gpt-5.4", "share": 1.0, "trend": "steady"},
    ]
    assert get(make_session(), "patterns") == {"patterns": []}


def test_the_past_is_of_chats_of_this_provider() -> None:
    live = make_session()
    live.send("beatra"), live.send("brainstormrouter", key=None), get(live, "models")
    live.send("brainstormrouter", chat("brainstormrouter", messages=[]))
    assert get(live, "patterns") == {"patterns": []}
    live.send("brainstormrouter", chat("brainstormrouter", "review", model="gpt-5.4"), at=NOW)
    assert [row["model"] for row in get(live, "patterns")["patterns"]] == ["gpt-5.4"]


def test_a_rule_can_have_the_built_in_reply_of_any_operation() -> None:
    rules = [{"when": {"operation": "any"}, "reply": {"builtin": True, "status": 202, "latency": 3}}]
    live = make_session({"rules": rules})
    answers = [
        live.send("brainstormrouter", method="GET", path="/models"),
        live.send("brainstormrouter", {"model": "auto", "input": "x"}, path="/embeddings"),
        live.send("brainstormrouter"),
    ]
    assert [(item.timeline.status, item.timeline.head_at, item.rule_id) for item in answers] == [
        (202, 3.0, "rule-1")
    ] * 3
