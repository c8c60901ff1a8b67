"""The spans of exchanges: what a collector is told, and whose they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from build import chat, make_session
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from emulator.core.journal.describe import describe
from emulator.server.tracing import attributes_of, spans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_told_of_an_answer() -> None:
    live = make_session({"rules": [{"reply": {"text": "Hello there.", "usage": {"prompt_tokens": 5}}}]})
    assert attributes_of(live.send(), "complete") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "beatra",
        "gen_ai.request.model": "auto",
        "gen_ai.response.model": "beatra-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/beatra/v1/chat/completions",
        "emulator.session": "default",
        "emulator.exchange": 1,
        "emulator.rule": "s1.yaml:rules[0]",
    }


@pytest.mark.parametrize(
    ("body", "end", "error"),
    [(chat(), "complete", None), (chat(), "cut", "cut"), (chat(temperature=3), "complete", "invalid_request")],
    ids=["whole", "cut", "refused"],
)
def test_what_is_told_of_a_failure(body: Any, end: str, error: str | None) -> None:
    assert attributes_of(make_session().send(body=body), end).get("error.type") == error


def test_a_span_has_its_parent_and_its_length() -> None:
    exporter, live = InMemorySpanExporter(), make_session()
    tell = spans(SimpleSpanProcessor(exporter))
    first = live.send(headers={"traceparent": PARENT})
    tell(first, "complete", 1.5)
    tell(live.send(body=chat(temperature=3)), "complete", 0.0)
    one, two = exporter.get_finished_spans()
    assert one.end_time
    assert one.start_time
    assert (one.name, one.end_time - one.start_time, one.status.status_code) == (
        "chat auto",
        15 * 10**8,
        StatusCode.UNSET,
    )
    assert one.parent
    assert (f"{one.parent.trace_id:x}", f"{one.parent.span_id:x}") == tuple(PARENT.replace("00-0a", "a").split("-")[:2])
    assert (two.parent, two.status.status_code) == (None, StatusCode.ERROR)
    assert describe(first)["headers"]["traceparent"] == PARENT  # no secret: it is how a trace is found


def test_a_server_sends_its_spans_before_it_ends() -> None:
    sent: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *told: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        command = [sys.executable, "-m", "emulator", "serve", "--port", "0", "--quiet", "--otel"]
        to = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
        with subprocess.Popen(command, env=to, stdout=subprocess.PIPE, text=True) as served:
            assert served.stdout
            url = served.stdout.readline().split()[-1]
            httpx2.post(
                f"{url}/beatra/v1/chat/completions", json=chat(), headers={"authorization": "Bearer k"}, trust_env=False
            )
            served.send_signal(signal.SIGTERM)
            assert served.wait(30) == 0
        collector.shutdown()
    assert [(path, b"gen_ai.request.model" in body) for path, body in sent] == [("/v1/traces", True)]
