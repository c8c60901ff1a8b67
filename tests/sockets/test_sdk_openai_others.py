"""The official Python SDK against what OpenAI has beside chat: vectors, judgements, models, legacy completions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from sockets.clients import openai_client as client
from sockets.raw import make_session

SMALL = "text-embedding-3-small"
INSTRUCT = "gpt-3.5-turbo-instruct"
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def api(emulator_url: str) -> Iterator[OpenAI]:
    with client(make_session(emulator_url)) as made:
        yield made


# Embeddings


@pytest.mark.parametrize("asked", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_a_vector_of_length_1(api: OpenAI, asked: Any) -> None:
    answer = api.embeddings.create(model=SMALL, input="The food was delicious.", **asked)
    [item] = answer.data
    if asked != {"encoding_format": "base64"}:
        assert (len(item.embedding), item.index) == (1536, 0)
        assert math.isclose(sum(number * number for number in item.embedding), 1, rel_tol=1e-5)
    else:
        assert isinstance(item.embedding, str)  # what is asked for by name is left as it is
    assert (answer.object, answer.model, answer.usage.prompt_tokens) == ("list", SMALL, answer.usage.total_tokens)
    assert set(answer.usage.to_dict()) == {"prompt_tokens", "total_tokens"}


@pytest.mark.parametrize(
    ("model", "asked", "size"),
    [(SMALL, 512, 512), ("text-embedding-3-large", None, 3072), ("text-embedding-ada-002", None, 1536)],
)
def test_dimensions_are_those_of_the_model_or_asked_for(api: OpenAI, model: str, asked: int | None, size: int) -> None:
    more: Any = {} if asked is None else {"dimensions": asked}
    [item] = api.embeddings.create(model=model, input="a", **more).data
    assert len(item.embedding) == size
    assert math.isclose(sum(number * number for number in item.embedding), 1, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("given", "items", "tokens"),
    [(["a", "b"], 2, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a"] * 2048, 2048, 2048)],
    ids=["texts", "tokens", "lists of tokens", "as many as may be"],
)
def test_input_of_each_form(api: OpenAI, given: Any, items: int, tokens: int) -> None:
    raw = api.embeddings.with_raw_response.create(model=SMALL, input=given, dimensions=4)
    answer = raw.parse()
    assert ([item.index for item in answer.data], answer.usage.prompt_tokens) == (list(range(items)), tokens)
    assert raw.headers["openai-model"] == SMALL


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {"input": "a " * 8193},
            None,
            "This model's maximum context length is 8192 tokens, however you requested 8194 tokens (8194 in your "
            "prompt; 0 for the completion). Please reduce your prompt; or completion length.",
        ),
        (
            {"input": [[1] * 2000] * 151},
            "max_tokens_per_request",
            "Requested 302000 tokens, max 300000 tokens per request.",
        ),
    ],
    ids=["one input", "all inputs"],
)
def test_too_many_tokens(api: OpenAI, body: Any, code: str | None, message: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.embeddings.create(model=SMALL, **body)
    assert (caught.value.code, caught.value.param, caught.value.body["message"]) == (code, None, message)  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SMALL, {"input": ""}),
        (SMALL, {"input": []}),
        (SMALL, {"input": ["a"] * 2049}),
        (SMALL, {"input": ["a", 1]}),
        (SMALL, {"input": "a", "dimensions": 0}),
        (SMALL, {"input": "a", "dimensions": 1537}),
        (SMALL, {"input": "a", "encoding_format": "int8"}),
        (SMALL, {"input": "a", "extra_body": {"truncate": True}}),
        ("text-embedding-ada-002", {"input": "a", "dimensions": 512}),
    ],
    ids=["empty", "none", "many", "mixed", "no dimensions", "more", "encoding", "another key", "not shortened"],
)
def test_embeddings_that_are_refused(api: OpenAI, model: str, body: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.embeddings.create(model=model, **body)
    assert caught.value.type == "invalid_request_error"


# Moderations

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}


@pytest.mark.parametrize(
    ("given", "results", "text", "picture"),
    [
        ("I want to say hello.", 1, ["text"], ["text"]),
        (["one", "two"], 2, ["text"], ["text"]),
        ([{"type": "text", "text": "one"}, IMAGE], 1, ["text"], ["text", "image"]),
        ([IMAGE], 1, [], ["image"]),
    ],
    ids=["text", "texts", "parts", "image"],
)
def test_nothing_is_flagged(api: OpenAI, given: Any, results: int, text: list[str], picture: list[str]) -> None:
    answer, again = (api.moderations.create(input=given) for _ in range(2))
    assert (answer.model, len(answer.results)) == ("omni-moderation-latest", results)
    assert answer.id.startswith("modr-")
    assert answer.results == again.results
    for result in answer.results:
        scores = result.category_scores.to_dict().values()
        assert len(scores) == 13
        assert all(isinstance(score, int | float) and 0 <= score < 0.5 for score in scores)
        assert not result.flagged
        assert not any(result.categories.to_dict().values())
        applied = result.category_applied_input_types
        assert (applied.hate, applied.violence) == (text, picture)


FLAGGED = """
rules:
  - when: {operation: moderations}
    reply: {json: {id: modr-1, model: omni-moderation-latest, results: [{flagged: true}]}, off_contract: true}
"""


def test_a_scenario_flags(emulator_url: str) -> None:
    with client(make_session(emulator_url, FLAGGED)) as api:
        assert api.moderations.create(input="anything").results[0].flagged


# Models


def test_models_are_listed_and_read(api: OpenAI) -> None:
    listed = list(api.models.list())
    assert {"gpt-5.4", SMALL, "omni-moderation-latest", INSTRUCT} <= {model.id for model in listed}
    assert all(set(model.to_dict()) == {"id", "object", "created", "owned_by"} for model in listed)
    assert api.models.retrieve("gpt-5.4") == next(model for model in listed if model.id == "gpt-5.4")


def test_an_unknown_model_is_not_found(api: OpenAI) -> None:
    asks: Any = [
        lambda: api.models.retrieve("gpt-none"),
        lambda: api.chat.completions.create(model="gpt-none", messages=HELLO),
        lambda: api.embeddings.create(model="gpt-none", input="a"),
    ]
    for ask in asks:
        with pytest.raises(openai.NotFoundError) as caught:
            ask()
        assert caught.value.code == "model_not_found"
        assert caught.value.body["message"] == (  # type: ignore[index]
            "The model `gpt-none` does not exist or you do not have access to it."
        )


def test_only_fine_tuned_models_are_deleted(emulator_url: str) -> None:
    tuned = "ft:gpt-4o-mini:acme:suffix:abc123"
    with client(make_session(emulator_url, f"models: ['{tuned}']\nrules: []\n")) as api:
        assert api.models.delete(tuned).to_dict() == {"id": tuned, "object": "model", "deleted": True}
        with pytest.raises(openai.PermissionDeniedError):
            api.models.delete("gpt-5.4")
        with pytest.raises(openai.NotFoundError):
            api.models.delete("gpt-none")


def test_an_alias_is_answered_by_its_snapshot(api: OpenAI) -> None:
    answer = api.chat.completions.create(model="gpt-5.4", messages=HELLO)
    assert answer.model == "gpt-5.4-2026-03-05"
    chunks = list(api.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
    assert {chunk.model for chunk in chunks} == {"gpt-4o-2024-08-06"}


# Legacy completions


def test_a_completion_ends_after_16_tokens(api: OpenAI) -> None:
    answer = api.completions.create(model=INSTRUCT, prompt="Say this is a test")
    [choice] = answer.choices
    assert (answer.object, answer.model, choice.finish_reason, choice.index) == (
        "text_completion",
        INSTRUCT,
        "length",
        0,
    )
    assert answer.id.startswith("cmpl-")
    assert answer.usage
    assert answer.usage.completion_tokens == 16
    whole = api.completions.create(model=INSTRUCT, prompt="Say this is a test", max_tokens=100)
    assert whole.choices[0].finish_reason == "stop"
    assert len(whole.choices[0].text) > len(choice.text)


def test_a_completion_is_streamed(api: OpenAI) -> None:
    asked: Any = {"model": INSTRUCT, "prompt": "Say this", "max_tokens": 50}
    chunks = list(api.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    whole = api.completions.create(**asked)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == whole.choices[0].text
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].choices, chunks[-1].usage) == ("stop", [], whole.usage)
    assert {chunk.object for chunk in chunks} == {"text_completion"}


@pytest.mark.parametrize("stream", [False, True])
def test_several_prompts_with_echo(api: OpenAI, stream: bool) -> None:
    asked: Any = {"model": INSTRUCT, "prompt": ["One", "Two"], "n": 2, "echo": True, "max_tokens": 3}
    texts = dict.fromkeys(range(4), "")
    if stream:
        for chunk in api.completions.create(**asked, stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].text
    else:
        texts = {choice.index: choice.text for choice in api.completions.create(**asked).choices}
    begun = ["One", "One", "Two", "Two"]
    assert [text[:3] for text in texts.values()] == begun
    assert all(len(text) > 3 for text in texts.values())


@pytest.mark.parametrize(
    "prompt", [[1, 2, 3], [[1, 2], [3]], None, ["a"]], ids=["tokens", "lists of tokens", "null", "texts"]
)
def test_a_prompt_of_each_form(api: OpenAI, prompt: Any) -> None:
    wanted = 2 if prompt == [[1, 2], [3]] else 1
    assert len(api.completions.create(model="davinci-002", prompt=prompt).choices) == wanted


@pytest.mark.parametrize(
    "asked",
    [{"best_of": 21}, {"best_of": 2, "stream": True}, {"logprobs": 6}, {"model": "davinci-002", "suffix": "x"},
     {"max_tokens": -1}, {"temperature": 2.1}, {"n": 129}],
    ids=str,
)  # fmt: skip
def test_completions_that_are_refused(api: OpenAI, asked: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        api.completions.create(**{"model": INSTRUCT, "prompt": "a", **asked})


def test_models_are_for_one_endpoint(api: OpenAI) -> None:
    with pytest.raises(
        openai.NotFoundError, match="This is a chat model and not supported in the v1/completions"
    ) as one:
        api.completions.create(model="gpt-4o", prompt="a")
    with pytest.raises(openai.NotFoundError, match="This is not a chat model and thus not supported") as other:
        api.chat.completions.create(model=INSTRUCT, messages=HELLO)
    for caught in (one, other):
        assert (caught.value.type, caught.value.param, caught.value.code) == ("invalid_request_error", "model", None)


# What there is not, and limits


def test_what_is_not_emulated_says_so(api: OpenAI) -> None:
    asks: Any = [
        lambda: api.files.list(),
        lambda: api.files.retrieve("file-1"),
        lambda: api.batches.list(),
        lambda: api.images.generate(prompt="a cat"),
        lambda: api.fine_tuning.jobs.list(),
        lambda: api.vector_stores.create(),
        lambda: api.audio.speech.create(model="tts-1", voice="alloy", input="a"),
    ]
    for ask in asks:
        with pytest.raises(
            openai.NotFoundError, match="part of OpenAI's API, but this emulator does not have it"
        ) as caught:
            ask()
        assert caught.value.code == "not_emulated"
        assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.body["message"].startswith("POST /v1/audio/speech is")  # type: ignore[index]


def test_headers_of_answers_and_of_errors(api: OpenAI) -> None:
    good = api.chat.completions.with_raw_response.create(model="gpt-5.4", messages=HELLO).headers
    assert len(good["x-request-id"]) == len("req_") + 32
    assert good["openai-processing-ms"].isdecimal()
    assert good["x-ratelimit-reset-requests"].endswith("s")
    assert "openai-model" not in good
    with pytest.raises(openai.NotFoundError) as caught:
        api.chat.completions.create(model="gpt-none", messages=HELLO)
    bad = caught.value.response.headers
    assert "x-request-id" in bad
    assert not [name for name in bad if name.startswith(("x-ratelimit", "openai-"))]
    assert not [name for name in api.models.with_raw_response.list().headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize(
    ("requests", "tokens", "times", "kind", "message", "wait"),
    [
        (1, 99, 2, "requests", "(RPM): Limit 1, Used 1, Requested 1. Please try again in 1m0s.", "60"),
        (9, 12, 2, "tokens", "(TPM): Limit 12, Used 9, Requested 9. Please try again in 30s.", "30"),
        (9, 5, 1, "tokens", "(TPM): Limit 5, Requested ", None),
    ],
    ids=["requests", "tokens", "one request"],
)
def test_limits(
    emulator_url: str, requests: int, tokens: int, times: int, kind: str, message: str, wait: str | None
) -> None:
    plan = {"requests_per_minute": requests, "tokens_per_minute": tokens}
    with client(make_session(emulator_url, provider="openai", plan=plan, clock="virtual")) as api:
        for _ in range(times - 1):
            api.chat.completions.create(model="gpt-5.4", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as caught:
            api.chat.completions.create(model="gpt-5.4", messages=HELLO)
    assert (caught.value.type, caught.value.code, caught.value.param) == (kind, "rate_limit_exceeded", None)
    assert message in caught.value.body["message"]  # type: ignore[index]
    assert caught.value.response.headers.get("retry-after") == wait


def test_a_spent_quota(emulator_url: str) -> None:
    live = make_session(emulator_url, "rules: [{reply: {error: quota_exhausted}}]")
    with client(live) as api, pytest.raises(openai.RateLimitError) as caught:
        api.chat.completions.create(model="gpt-5.4", messages=HELLO)
    assert (caught.value.type, caught.value.code) == ("insufficient_quota", "insufficient_quota")
