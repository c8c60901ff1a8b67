"""A store in Redis, which many workers share."""
