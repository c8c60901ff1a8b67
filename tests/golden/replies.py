"""What scenarios say: replies by name, of every kind, with every fault and every form of waiting."""

from __future__ import annotations

from typing import Any

THREE = "One two three, four."
LONG = (
    "Grüße! A “longer” text,\nwith 你好 and 👋🏽, 1,234.5 figures and a \\ backslash: "
    "it's cut where nobody asked for more than that."
)
CALL = {"name": "get_weather", "arguments": {"city": "Oslo", "days": [1, 2.5], "deep": {"a": None, "b": True}}}
OTHER = {"name": "get_time", "arguments": '{"zone": "Europe/Oslo"}', "id": "call_of_ours"}
BODY = {
    "id": "own",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}}],
    "extra": [1.5, None],
}
EVENTS = [{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}, '{"choices": [ ]}', "no JSON", "[DONE]"]
HOLES = (
    "${request.last_user}|${request.system}|${request.model}|${request.operation}|${request.provider}"
    "|${request.method}|${request.path}|${request.stream}|${request.turn}|${request.step}|${request.headers.x-tenant}"
    "|${request.headers.authorization}|${request.body.messages.0}|${request.body.none}|${request.tools}|${vars.a.b}"
    "|${vars.list.1}|${state}|${n}|${now}|${uuid}|$${as it is}"
)
VARS = {"a": {"b": "deep"}, "list": [1, {"x": "y"}]}
ERRORS = (
    "invalid_request", "unauthorized", "not_found", "method_not_allowed", "idempotency_in_progress", "too_large",
    "unsupported_media_type", "idempotency_mismatch", "rate_limited", "server_error", "bad_gateway",
    "model_unavailable", "timeout",
)  # fmt: skip

#: Asked whole and streamed, at every level of validation.
CONTENT: dict[str, Any] = {
    "text": {"text": THREE},
    "text-empty": {"text": ""},
    "text-long": {"text": LONG},
    "text-mapping": {"text": {"answer": 42, "list": [1, 2.5, None, "ü"]}},
    "tool-call": {"tool_calls": [CALL]},
    "tool-call-bare": {"tool_calls": [{"name": "get_weather"}]},
    "tool-call-broken": {"tool_calls": [{"name": "get_weather", "arguments": '{"city": "Par', "id": "call_1"}]},
    "tool-calls": {"tool_calls": [CALL, OTHER, {"name": "get_weather", "arguments": {}}]},
    "text-and-calls": {"text": "Let me look.", "tool_calls": [CALL, OTHER]},
    "refusal": {"refusal": "I can't help with that, sorry."},
    "json": {"json": BODY, "off_contract": True},
    "json-usage": {"json": {"usage": {"total_tokens": 5}, "now": "${now}"}, "off_contract": True, "status": 201},
    "events": {"events": EVENTS, "off_contract": True},
    "events-empty": {"events": [], "off_contract": True},
    "builtin": {"builtin": True},
    "builtin-later": {"builtin": True, "status": 202, "latency": "3s", "headers": {"x-extra": "1"}},
    "usage": {"text": THREE, "usage": {"prompt_tokens": 11, "completion_tokens": 22}},
    "usage-half": {"text": THREE, "usage": {"completion_tokens": 0}},
    "usage-none": {"text": THREE, "usage": "none", "off_contract": True},
    "finish-length": {"text": THREE, "finish_reason": "length"},
    "finish-filter": {"tool_calls": [CALL], "text": "x", "finish_reason": "content_filter"},
    "finish-odd": {"text": THREE, "finish_reason": "bored", "off_contract": True},
    "verbatim": {"text": LONG, "verbatim": True},
    "template": {
        "text": HOLES,
        "verbatim": True,
        "headers": {"x-tenant": "<${request.headers.x-tenant}>", "x-session": "${request.session}"},
    },
    "template-call": {"tool_calls": [{"name": "f", "arguments": {"said": "${request.last_user}", "n": "${n}"}}]},
    "status": {"text": THREE, "status": 299, "headers": {"x-RateLimit-Remaining": "own", "X-Extra": "2"}},
    "wrong-field": {"json": {"choices": "none"}},
    "embedding": {"embedding": [0.5, -1]},
}

#: Asked whole and streamed.
SCRIPTED_ERRORS: dict[str, Any] = {name: {"error": name} for name in ERRORS} | {
    "message": {"error": {"name": "invalid_request", "message": "Not like ${request.last_user}."}},
    "details": {"error": {"name": "invalid_request", "message": "Not so.", "details": [
        {"field": "max_tokens", "message": "must be at most 512"}, {"path": "messages[0].role", "message": "no"}]}},
    "status-body": {"error": {"status": 418, "body": {"teapot": [True, "${n}"]}}, "off_contract": True},
    "status-text": {"error": {"status": 502, "body": "Bad gateway"}, "off_contract": True, "latency": 1},
    "status-page": {"error": {"status": 503, "body": "<html>down</html>"}, "off_contract": True, "status": 504},
    "retry-after": {"error": "rate_limited", "retry_after": "1.5s", "headers": {"x-why": "slow"}},
    "retry-after-own": {"error": "rate_limited", "retry_after": 2, "headers": {"Retry-After": "soon"}, "latency": 0.04},
    "other-status": {"error": "server_error", "status": 599, "off_contract": True},
}  # fmt: skip

LOGNORMAL = {"lognormal": {"median": "15ms", "sigma": 0.4, "max": "30ms"}}
#: Paces that differ from answer to answer.
DRAWN = ("chars", "fours", "pieces", "lognormal", "normal", "latency-drawn")
#: Asked streamed; `latency` beside `stream`.
PACES: dict[str, Any] = {
    "tokens": {"stream": {"split": "tokens"}},
    "words": {"stream": {"split": "words", "ttft": "200ms", "itl": "30ms"}},
    "chars": {"stream": {"split": "chars", "itl": {"uniform": {"min": 0.01, "max": "1s"}}}},
    "fours": {"stream": {"split": 4, "itl": ["10ms", "1.5s", LOGNORMAL]}},
    "pieces": {"stream": {"split": ["One two", " three, fou", "r", "."], "ttft": {"normal": {"mean": 1, "sd": "2s"}}}},
    "lognormal": {"stream": {"itl": LOGNORMAL}},
    "normal": {"stream": {"itl": {"normal": {"mean": "20ms", "sd": "15ms", "max": "25ms"}}}},
    "documented": {"stream": {"pace": "documented"}},
    "documented-words": {"stream": {"pace": "documented", "split": "words", "itl": "1s"}},
    "latency": {"latency": "2h", "stream": {"ttft": 1, "itl": "1m"}},
    "latency-drawn": {"latency": {"uniform": {"min": 1, "max": 9}}},
    "latency-forever": {"latency": "forever"},
    "ttft-forever": {"stream": {"ttft": "forever"}},
}

#: Asked whole and streamed.
FAULTS: dict[str, Any] = {
    "cut-0": [{"cut": {"after_chunks": 0}}],
    "cut-2-clean": [{"cut": {"after_chunks": 2, "how": "clean"}}],
    "cut-2-fin": [{"cut": {"after_chunks": 2, "how": "fin"}}],
    "cut-2-reset": [{"cut": {"after_chunks": 2, "how": "reset"}}],
    "cut-2-garbage": [{"cut": {"after_chunks": 2, "how": "garbage"}}],
    "cut-99": [{"cut": {"after_chunks": 99}}],
    "cut-bytes-0": [{"cut": {"after_bytes": 0}}],
    "cut-bytes-20": [{"cut": {"after_bytes": 20, "how": "clean"}}],
    "cut-bytes-20-reset": [{"cut": {"after_bytes": 20, "how": "reset"}}],
    "cut-bytes-300-fin": [{"cut": {"after_bytes": 300}}],
    "cut-bytes-300-garbage": [{"cut": {"after_bytes": 300, "how": "garbage"}}],
    "cut-done": [{"cut": {"before": "done"}}],
    "cut-done-clean": [{"cut": {"before": "done", "how": "clean"}}],
    "drop-done": [{"drop_done": True}],
    "half-1": [{"half_event": {"chunk": 1}}],
    "half-3": [{"half_event": {"chunk": 3}}],
    "half-99": [{"half_event": {"chunk": 99}}],
    "error-event": [{"error_event": {"error": "server_error", "after_chunks": 2}}],
    "error-event-message": [{"error_event": {"error": {"name": "rate_limited", "message": "x"}, "after_chunks": 0}}],
    "error-event-body": [{"error_event": {"error": {"status": 500, "body": {"a": 1}}, "after_chunks": 1}}],
    "corrupt": [{"corrupt": {"chunk": 2}}],
    "duplicate": [{"duplicate": {"chunk": 3}}],
    "reorder": [{"reorder": {"chunks": [4, 2]}}],
    "reorder-none": [{"reorder": {"chunks": [1, 99]}}],
    "stall": [{"stall": {"after_chunks": 2, "for": "5s"}}],
    "stall-drawn": [{"stall": {"after_chunks": 1, "for": LOGNORMAL}}],
    "stall-forever": [{"stall": {"after_chunks": 2, "for": "forever"}}],
    "comment": [{"stall": {"after_chunks": 2, "for": "5s"}}, {"comment": {"every": "1.5s"}}],
    "slow-headers": [{"slow_headers": {"for": "5s"}}],
    "bandwidth": [{"bandwidth": {"bytes_per_second": 90}}],
    "slice": [{"slice": {"bytes": 100}}],
    "slices": [{"slice": {"bytes": [1, 7, 90]}}],
    "merge": [{"merge": {"chunks": 3}}],
    "type": [{"wrong_content_type": True}],
    "invalid-json": [{"invalid_json": True}],
    "empty": [{"empty": True}],
    "chance": [{"duplicate": {"chunk": 1}, "chance": 0.5}, {"drop_done": True, "chance": 0.5}],
    "several": [{"slice": {"bytes": 50}}, {"duplicate": {"chunk": 2}}, {"stall": {"after_chunks": 3, "for": 2}},
                {"wrong_content_type": True}, {"cut": {"after_chunks": 5, "how": "fin"}}],
    "merge-bandwidth": [
        {"merge": {"chunks": 2}}, {"bandwidth": {"bytes_per_second": 300}}, {"half_event": {"chunk": 4}}],
}  # fmt: skip

CHAOS: dict[str, Any] = {
    "error": [{"chance": 0.5, "error": "rate_limited", "retry_after": 2}],
    "faults": [{"chance": 0.5, "fault": {"drop_done": True}}, {"chance": 0.5, "fault": {"duplicate": {"chunk": 2}}}],
    "both": [{"chance": 0.4, "when": {"stream": True}, "error": "model_unavailable"},
             {"chance": 0.6, "fault": {"cut": {"after_bytes": 30, "how": "fin"}}},
             {"chance": 1, "when": {"last_user": "never"}, "error": "timeout"}],
}  # fmt: skip
