"""One scenario, one session, one journal: the same text, call, usage and fault by seven clients of six APIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
from google import genai
from google.genai import errors, types

from emulator.testing.client import Control
from emulator.testing.session import EmulatedSession

PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: Any = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}
SCENARIO = """emulator: 1
rules:
- when: {last_user: {contains: weather}}
  reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}
- when: {last_user: {contains: break}}
  reply: {text: One two three four., stream: {split: words}, faults: [{cut: {after_pieces: 2, how: reset}}]}
- when: {last_user: {contains: limit}}
  reply: {error: rate_limited}
- reply: {text: "Hi there, my friend!", usage: {prompt_tokens: 7, completion_tokens: 3}}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a client made of an answer: its text, its calls, and the tokens in and out."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    usage: tuple[int, int] = (0, 0)


Ask = Callable[[str], Said]
Stream = Callable[[str], Iterator[str]]


def chat_of(api: openai.OpenAI, model: str) -> tuple[Ask, Stream]:
    tools: Any = [{"type": "function", "function": FUNCTION}]

    def messages(text: str) -> Any:
        return [{"role": "user", "content": text}]

    def ask(text: str) -> Said:
        answer = api.chat.completions.create(model=model, messages=messages(text), tools=tools)
        message, usage = answer.choices[0].message, answer.usage
        calls = tuple((call.function.name, call.function.arguments) for call in message.tool_calls or ())  # type: ignore[union-attr]
        assert usage
        return Said(message.content or "", calls, (usage.prompt_tokens, usage.completion_tokens))

    def stream(text: str) -> Iterator[str]:
        for chunk in api.chat.completions.create(model=model, messages=messages(text), stream=True):
            yield from (choice.delta.content or "" for choice in chunk.choices)

    return ask, stream


def responses_of(api: openai.OpenAI) -> tuple[Ask, Stream]:
    tools: Any = [{"type": "function", "strict": False, **FUNCTION}]

    def ask(text: str) -> Said:
        answer = api.responses.create(model="gpt-5-mini", input=text, tools=tools)
        calls = tuple((item.name, item.arguments) for item in answer.output if item.type == "function_call")
        assert answer.usage
        return Said(answer.output_text, calls, (answer.usage.input_tokens, answer.usage.output_tokens))

    def stream(text: str) -> Iterator[str]:
        for event in api.responses.create(model="gpt-5-mini", input=text, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta

    return ask, stream


def messages_of(api: anthropic.Anthropic) -> tuple[Ask, Stream]:
    tool: Any = {"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": PARAMETERS}

    def asked(text: str) -> Any:
        return {"model": "claude-sonnet-4-6", "max_tokens": 200, "messages": [{"role": "user", "content": text}]}

    def ask(text: str) -> Said:
        answer = api.messages.create(**asked(text), tools=[tool])
        texts = "".join(block.text for block in answer.content if block.type == "text")
        calls = tuple((block.name, written(block.input)) for block in answer.content if block.type == "tool_use")
        return Said(texts, calls, (answer.usage.input_tokens, answer.usage.output_tokens))

    def stream(text: str) -> Iterator[str]:
        for event in api.messages.create(**asked(text), stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

    return ask, stream


def contents_of(api: genai.Client) -> tuple[Ask, Stream]:
    declaration = types.FunctionDeclaration(
        name=FUNCTION["name"], description=FUNCTION["description"], parameters_json_schema=PARAMETERS
    )
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declaration])])

    def ask(text: str) -> Said:
        answer = api.models.generate_content(model="gemini-2.5-flash", contents=text, config=config)
        assert answer.candidates
        assert answer.candidates[0].content
        parts = answer.candidates[0].content.parts or []
        calls = tuple(
            (part.function_call.name or "", written(part.function_call.args)) for part in parts if part.function_call
        )
        usage = answer.usage_metadata
        assert usage
        counted = (usage.prompt_token_count or 0, usage.candidates_token_count or 0)
        return Said("".join(part.text or "" for part in parts), calls, counted)

    def stream(text: str) -> Iterator[str]:
        for chunk in api.models.generate_content_stream(model="gemini-2.5-flash", contents=text):
            yield chunk.text or ""

    return ask, stream


def ollama_of(api: ollama.Client) -> tuple[Ask, Stream]:
    tools: Any = [{"type": "function", "function": FUNCTION}]

    def ask(text: str) -> Said:
        answer = api.chat("llama3.2", [{"role": "user", "content": text}], tools=tools)
        made = [call.function for call in answer.message.tool_calls or ()]
        calls = tuple((call.name, written(call.arguments)) for call in made)
        return Said(answer.message.content or "", calls, (answer.prompt_eval_count or 0, answer.eval_count or 0))

    def stream(text: str) -> Iterator[str]:
        for part in api.chat("llama3.2", [{"role": "user", "content": text}], stream=True):
            yield part.message.content or ""

    return ask, stream


def written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@pytest.fixture
def session(emulator_url: str) -> Iterator[EmulatedSession]:
    control = Control(emulator_url)
    session = EmulatedSession(control, SCENARIO)
    yield session
    session.delete()
    control.close()


@pytest.fixture
def clients(session: EmulatedSession) -> Iterator[Mapping[str, tuple[Ask, Stream]]]:
    urls, key = session.base_urls, session.api_key
    gemini = types.HttpOptions(base_url=urls["gemini"].rpartition("/")[0])
    with (
        openai.OpenAI(base_url=urls["openai"], api_key=key, max_retries=0) as one,
        openai.OpenAI(base_url=urls["brivionix"], api_key=key, max_retries=0) as two,
        anthropic.Anthropic(base_url=urls["anthropic"], api_key=key, max_retries=0) as three,
        genai.Client(api_key=key, http_options=gemini) as four,
        ollama.Client(urls["ollama"], trust_env=False) as five,
        openai.AzureOpenAI(
            azure_endpoint=urls["azure"], api_version="2025-04-01-preview", api_key=key, max_retries=0
        ) as six,
    ):
        yield {
            "openai chat": chat_of(one, "gpt-4o"),
            "openai responses": responses_of(one),
            "brivionix": chat_of(two, "gpt-5.4-mini"),
            "anthropic": messages_of(three),
            "gemini": contents_of(four),
            "ollama": ollama_of(five),
            "azure responses": responses_of(six),
        }


def test_one_scenario_means_the_same_on_every_wire(
    session: EmulatedSession, clients: Mapping[str, tuple[Ask, Stream]]
) -> None:
    said = {name: ask("Hello.") for name, (ask, _) in clients.items()}
    assert said == dict.fromkeys(clients, Said("Hi there, my friend!", (), (7, 3)))

    called = {name: ask("How is the weather?").calls for name, (ask, _) in clients.items()}
    assert called == dict.fromkeys(clients, (("get_weather", '{"city":"Oslo"}'),))

    streamed = {name: "".join(stream("Hello.")) for name, (_, stream) in clients.items()}
    assert streamed == dict.fromkeys(clients, "Hi there, my friend!")

    cut = {name: broken(stream("Now break.")) for name, (_, stream) in clients.items()}
    assert cut == dict.fromkeys(clients, ("One two", True))

    limited = {name: status(ask) for name, (ask, _) in clients.items()}
    assert limited == dict.fromkeys(clients, 429)

    journal = session.journal
    assert len(journal) == 5 * len(clients)
    assert {item["provider"] for item in journal} == {"openai", "brivionix", "anthropic", "gemini", "ollama", "azure"}
    assert [item.n for item in journal] == list(range(1, 36))


def broken(stream: Iterator[str]) -> tuple[str, bool]:
    """Return what came of a stream, and whether it broke."""
    texts: list[str] = []
    try:
        texts.extend(stream)
    except (
        openai.APIConnectionError,
        httpx2.ReadError,
        httpx.ReadError,
    ):  # Anthropic's, Google's and Ollama's let the transport's own through
        return "".join(texts), True
    return "".join(texts), False


def status(ask: Ask) -> int:
    try:
        ask("What is the limit?")
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return error.status_code
    except errors.APIError as error:
        return int(error.code)
    except ollama.ResponseError as error:
        return error.status_code
    return 200
