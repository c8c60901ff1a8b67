"""`test_control` over two servers that share a Redis."""

from test_control import *  # noqa: F403
