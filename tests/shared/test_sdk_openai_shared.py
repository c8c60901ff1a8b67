"""`sockets.test_sdk_openai` over two servers that share a Redis."""

from sockets.test_sdk_openai import *  # noqa: F403
