"""The vocabulary of checks: what a provider's contract.yaml can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.contract.checks import answers as checks_answers
from emulator.contract.checks import errors as checks_errors
from emulator.contract.checks import idempotency as checks_idempotency
from emulator.contract.checks import limits as checks_limits
from emulator.contract.checks import operations as checks_operations
from emulator.contract.checks import requests as checks_requests
from emulator.contract.checks import sequences as checks_sequences
from emulator.contract.checks import tools as checks_tools
from emulator.core.errors import Json

#: Called with a CaseClient and, by name, the parameters of a step. Returns, or raises Differs or NotArranged.
Check = Callable[..., None]

CHECKS: Mapping[str, Check] = {
    "requests": checks_requests.requests,
    "default": checks_requests.default,
    "reproducible": checks_requests.reproducible,
    "stream_default": checks_requests.stream_default,
    "output_cap": checks_requests.output_cap,
    "context_window": checks_requests.context_window,
    "authentication": checks_requests.authentication,
    "other_key": checks_requests.other_key,
    "key_free": checks_requests.key_free,
    "media_types": checks_requests.media_types,
    "endpoint": checks_answers.endpoint,
    "shape": checks_answers.shape,
    "arranged": checks_answers.arranged,
    "listed": checks_answers.listed,
    "breaks": checks_answers.breaks,
    "comments": checks_answers.comments,
    "prompt_counts": checks_answers.prompt_counts,
    "stream": checks_answers.stream,
    "model_auto": checks_answers.model_auto,
    "models_named": checks_answers.models_named,
    "pace": checks_answers.pace,
    "tools": checks_tools.tools,
    "errors": checks_errors.errors,
    "scripted": checks_errors.scripted,
    "names_fields": checks_errors.names_fields,
    "mentions": checks_errors.mentions,
    "same_as_header": checks_errors.same_as_header,
    "unknown_path": checks_errors.unknown_path,
    "empty_errors": checks_errors.empty_errors,
    "own_header": checks_errors.own_header,
    "has_header": checks_errors.has_header,
    "refusals": checks_errors.refusals,
    "unseen": checks_errors.unseen,
    "limit": checks_limits.limit,
    "refill": checks_limits.refill,
    "rate_headers": checks_limits.rate_headers,
    "rate_counts": checks_limits.rate_counts,
    "idempotency": checks_idempotency.idempotency,
    "idempotency_refusals": checks_idempotency.idempotency_refusals,
    "idempotency_under_way": checks_idempotency.idempotency_under_way,
    "idempotency_kept": checks_idempotency.idempotency_kept,
    "operation": checks_operations.operation,
    "scales": checks_operations.scales,
    "moves": checks_operations.moves,
    "embeddings": checks_operations.embeddings,
    "sequence": checks_sequences.sequence,
}

#: What a check sends for each item of its parameters' lists, and beside these, at most.
_EACH: Mapping[str, int] = {
    "good": 1, "bad": 1, "missing": 1, "raw": 1, "on": 1, "also": 1, "models": 1, "caps": 1, "spoilt": 1, "of": 1,
    "steps": 1, "windows": 5,
}  # fmt: skip
_BESIDE: Mapping[str, int] = {
    "requests": 1, "default": 2, "reproducible": 2, "stream_default": 3, "output_cap": 2, "prompt_counts": 2,
    "authentication": 7, "endpoint": 1, "shape": 1, "stream": 1, "model_auto": 3, "pace": 2, "tools": 6, "scripted": 3,
    "unknown_path": 4, "rate_counts": 2, "idempotency": 7, "idempotency_refusals": 5, "idempotency_under_way": 2,
    "idempotency_kept": 5, "operation": 1, "scales": 2, "moves": 5, "embeddings": 2,
    "other_key": 1, "key_free": 2, "said": 1, "listed": 2, "breaks": 1, "comments": 1,
}  # fmt: skip


def requests_of(check: str, params: Mapping[str, Json]) -> int:
    """Return how many requests a check sends with these parameters, at most."""
    if check in ("limit", "refill"):
        return checks_limits.requests_of(params.get("requests"), params.get("tokens")) + (check == "refill")
    listed = sum(len(params.get(name, ())) * count for name, count in _EACH.items())
    return max(1, listed + _BESIDE.get(check, 0))
