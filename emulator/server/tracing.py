"""A span for each exchange, with the attributes of OpenTelemetry's conventions for generative AI (the extra `otel`).

Where spans go is said as everywhere, by OTEL_EXPORTER_OTLP_ENDPOINT and its kind. A client's `traceparent` is the
parent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from emulator.core.journal.describe import describe
from emulator.core.values import Exchange

#: How the conventions name what ours are called.
_PROVIDERS = {"gemini": "gcp.gemini"}
_NS = 1_000_000_000


def spans(processor: SpanProcessor | None = None) -> Callable[[Exchange, str, float], None]:
    """Return what makes a span of an exchange that ended, in which way, after so many seconds.

    Spans that wait are exported when the process ends.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "llm-emulator"}))
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    tracer, propagator = provider.get_tracer("llm-emulator"), TraceContextTextMapPropagator()

    def tell(exchange: Exchange, end: str, seconds: float) -> None:
        now = time.time_ns()
        attributes = attributes_of(exchange, end)
        name = " ".join(str(attributes[key]) for key in ("gen_ai.operation.name", "gen_ai.request.model")).strip()
        parent = propagator.extract(dict(exchange.request.headers))
        begun = now - int(seconds * _NS)
        span = tracer.start_span(name, parent, trace.SpanKind.SERVER, attributes, start_time=begun)
        if "error.type" in attributes:
            span.set_status(trace.StatusCode.ERROR)
        span.end(now)

    return tell


def attributes_of(exchange: Exchange, end: str) -> dict[str, AttributeValue]:
    """Return a span's attributes; `error.type` is our error's name, else how the answer ended before its time."""
    row = describe(exchange)
    usage, finish = row["response"]["usage"] or {}, row["response"]["finish_reason"]
    error = (row["refusal"] or {}).get("code") or (None if end == "complete" else end)
    attributes = {
        "gen_ai.operation.name": row["operation"] or "",
        "gen_ai.provider.name": _PROVIDERS.get(row["provider"], row["provider"]),
        "gen_ai.request.model": exchange.claim.call.model if exchange.claim.call else row["model"],
        "gen_ai.response.model": exchange.model or None,
        "gen_ai.response.finish_reasons": [finish] if finish else None,
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "http.request.method": row["method"],
        "http.response.status_code": row["response"]["status"],
        "url.path": row["path"].partition("?")[0],
        "error.type": error,
        "emulator.session": row["session"],
        "emulator.exchange": row["n"],
        "emulator.rule": row["rule"],
        "emulator.faults": row["timeline"]["faults"] or None,
    }
    return {name: value for name, value in attributes.items() if value is not None}
