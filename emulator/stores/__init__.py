"""The only things that remember: memory, and Redis for many workers."""
