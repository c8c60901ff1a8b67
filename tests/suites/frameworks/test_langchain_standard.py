"""LangChain's own standard tests, for its OpenAI models; answers are the built-in ones."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

from .conftest import MODEL, make_session

#: What a model would understand; all else is answered by the emulator itself.
SCENARIO = """
emulator: 1
provider: openai
unmatched: built-in
rules:
  - when: {last_user: {contains: magic_function(3)}, tool_result: {absent: true}}
    reply: {tool_calls: [{name: magic_function, arguments: {input: 3}}]}
  - when: {last_user: {contains: "你好啊集团"}}
    reply: {tool_calls: [{name: unicode_customer, arguments: {customer_name: "你好啊集团", description: A}}]}
  - when: {last_user: {contains: "こんにちは株式会社"}}
    reply: {tool_calls: [{name: unicode_customer, arguments: {customer_name: "こんにちは株式会社", description: A}}]}
  - {when: {last_user: {contains: Return the result as a JSON}}, reply: {text: {setup: Why?, punchline: Meow.}}}
"""
PICTURE = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


class TestChat(ChatModelIntegrationTests):
    responses = False

    @pytest.fixture(autouse=True)
    def served(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each test asks a session of its own."""
        make_session(monkeypatch, SCENARIO)
        monkeypatch.setattr(httpx, "get", lambda *given, **more: httpx.Response(200, content=PICTURE))

    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "use_responses_api": self.responses, "stream_usage": True}

    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_json_mode = True
    supports_anthropic_inputs = True
    supports_model_override = True
    model_override_value = "gpt-4o"


class TestResponses(TestChat):
    responses = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def served(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each test asks a session of its own."""
        make_session(monkeypatch, SCENARIO)

    @property
    def embeddings_class(self) -> Any:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "text-embedding-3-small", "check_embedding_ctx_length": False}
