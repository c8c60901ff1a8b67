"""A scenario file, read and compiled: rules, matchers, replies, templates, chaos; and a session's snapshot of it."""
