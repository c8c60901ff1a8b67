"""The contract test runner: the documented behaviour as cases, run against any base URL."""
