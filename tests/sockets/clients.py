"""The official SDKs, pointed at a session of a test."""

from __future__ import annotations

from typing import Any

from openai import OpenAI

from sockets.raw import ServedSession


def openai_client(live: ServedSession, provider: str = "openai", **options: Any) -> OpenAI:
    base_url = f"{live.url}/s/{live.id}/{provider}/v1"
    return OpenAI(**{"base_url": base_url, "api_key": live.key, "max_retries": 0, "timeout": 5, **options})
