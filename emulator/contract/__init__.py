"""Checks of the documented behaviour, run against any base URL."""
