"""The way to a real API."""
