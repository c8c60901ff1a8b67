"""`sockets.test_http` over two servers that share a Redis."""

from sockets.test_http import *  # noqa: F403
