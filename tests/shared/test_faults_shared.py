"""`sockets.test_faults` over two servers that share a Redis."""

from sockets.test_faults import *  # noqa: F403
