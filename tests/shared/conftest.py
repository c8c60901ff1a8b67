"""What tests with a real Redis share."""

from shared.redis_server import redis_server

__all__ = ["redis_server"]
