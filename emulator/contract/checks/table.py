"""The vocabulary of checks: what a provider's contract.yaml can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.contract.checks import answers, errors, idempotency, limits, operations, requests, tools
from emulator.core.errors import Json

#: Called with a CaseClient and, by name, the parameters of a step. Returns, or raises Differs or NotArranged.
Check = Callable[..., None]

#: By name.
CHECKS: Mapping[str, Check] = {check.__name__: check for check in (
    requests.requests, requests.default, requests.reproducible, requests.stream_default, requests.output_cap,
    requests.context_window, requests.authentication, requests.other_key, requests.key_free, requests.media_types,
    answers.endpoint, answers.shape, answers.arranged, answers.listed, answers.breaks, answers.comments,
    answers.prompt_counts, answers.stream, answers.stream_end, answers.model_auto, answers.models_named, answers.pace,
    tools.tools,
    errors.errors, errors.scripted, errors.names_fields, errors.mentions, errors.same_as_header, errors.unknown_path,
    errors.empty_errors, errors.own_header, errors.has_header, errors.refusals, errors.unseen, limits.limit,
    limits.refill, limits.rate_headers, limits.rate_counts, idempotency.idempotency, idempotency.idempotency_refusals,
    idempotency.idempotency_under_way, idempotency.idempotency_kept, operations.operation, operations.scales,
    operations.moves, operations.embeddings, operations.sequence,
)}  # fmt: skip

#: What a check sends for each item of its parameters' lists, and beside these, at most.
_EACH: Mapping[str, int] = {
    "good": 1, "bad": 1, "missing": 1, "raw": 1, "on": 1, "also": 1, "models": 1, "caps": 1, "spoilt": 1, "of": 1,
    "steps": 1, "windows": 5,
}  # fmt: skip
_BESIDE: Mapping[str, int] = {
    "requests": 1, "default": 2, "reproducible": 2, "stream_default": 3, "output_cap": 2, "prompt_counts": 2,
    "authentication": 7, "model_auto": 3, "pace": 2, "tools": 6, "scripted": 3, "unknown_path": 4, "rate_counts": 2,
    "idempotency": 7, "idempotency_refusals": 5, "idempotency_under_way": 2, "idempotency_kept": 5, "scales": 2,
    "moves": 5, "embeddings": 2, "key_free": 2, "listed": 2,
}  # fmt: skip


def requests_of(check: str, params: Mapping[str, Json]) -> int:
    """Return how many requests a check sends with these parameters, at most."""
    if check in ("limit", "refill"):
        return limits.requests_of(params.get("requests"), params.get("tokens")) + (check == "refill")
    listed = sum(len(params.get(name, ())) * count for name, count in _EACH.items())
    return max(1, listed + _BESIDE.get(check, 0))
