"""The one data path: bytes to messages, messages to timelines, timelines to bytes."""
