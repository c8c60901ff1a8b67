"""The metrics: what is counted of an exchange, and the text that Prometheus reads."""

from __future__ import annotations

from dataclasses import replace

import httpx2
from build import KEY, chat, make_session

from emulator import Emulator
from emulator.core.durations import FOREVER
from emulator.core.values import Exchange, Frame, Sent, Timeline
from emulator.server.metrics import LATENESS_S, MOST_SERIES, Metrics

RULES = {"rules": [{"when": {"last_user": "hello"}, "reply": {"text": "hi"}}]}


def paced(*due: float, head_at: float = 0.0) -> Exchange:
    frames = tuple(Frame(at, b"x", "data") for at in due)
    return replace(make_session().send(), timeline=Timeline(200, (), frames, stream=True, head_at=head_at))


def lines(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.text(1).splitlines() if line.startswith(name)]


def test_requests_are_counted_by_provider_operation_status_and_rule() -> None:
    live, metrics = make_session(RULES), Metrics()
    for body in (chat(), chat(), chat(text="no"), {"model": 1}):
        metrics.count(live.send(body=body))
    metrics.count(live.send(path="/nothing"))
    assert lines(metrics, "emulator_requests_total") == [
        'emulator_requests_total{provider="beatra",operation="",status="404",rule="refused"} 1',
        'emulator_requests_total{provider="beatra",operation="chat",status="200",rule="s1.yaml:rules[0]"} 2',
        'emulator_requests_total{provider="beatra",operation="chat",status="400",rule="refused"} 1',
        'emulator_requests_total{provider="beatra",operation="chat",status="404",rule="unmatched"} 1',
    ]


def test_a_label_is_escaped() -> None:
    metrics = Metrics()
    metrics.count(replace(make_session().send(), rule='a"\\\n:1'))
    assert lines(metrics, "emulator_requests_total")[0].endswith(r',rule="a\"\\\n:1"} 1')


def test_series_are_bounded_and_those_that_are_known_go_on() -> None:
    exchange, metrics = make_session().send(), Metrics()
    for number in range(MOST_SERIES + 5):
        metrics.count(replace(exchange, rule=f"r:{number}"))
    metrics.count(replace(exchange, rule="r:0"))
    assert len(metrics.requests) == MOST_SERIES + 1
    assert metrics.requests["beatra", "chat", 200, "other"] == 5
    assert metrics.requests["beatra", "chat", 200, "r:0"] == 2


def test_lateness_is_that_of_each_frame_of_a_paced_stream() -> None:
    metrics = Metrics()
    metrics.time(paced(0.0, 0.5, 1.0), Sent(3, (0.0, 0.503, 7.0), "complete", 7.0))
    metrics.time(paced(0.5, 1.0), Sent(1, (0.5,), "client_left", 0.7))  # the frame that was not sent is not counted
    assert metrics.late == [2, 0, 1, *[0] * (len(LATENESS_S) - 3), 1]
    found = lines(metrics, "emulator_stream_lateness_seconds")
    assert found[0] == 'emulator_stream_lateness_seconds_bucket{le="0.001"} 2'
    assert found[-4:] == [
        'emulator_stream_lateness_seconds_bucket{le="5.0"} 3',
        'emulator_stream_lateness_seconds_bucket{le="+Inf"} 4',
        "emulator_stream_lateness_seconds_sum 6.003000",
        "emulator_stream_lateness_seconds_count 4",
    ]


def test_what_has_no_pace_and_what_waits_without_end_is_not_late() -> None:
    metrics = Metrics()
    metrics.time(make_session().send(), Sent(10, (0.0,), "complete", 0.0))
    metrics.time(make_session().send(body=chat(stream=True)), Sent(1, (3.0,), "complete", 3.0))
    metrics.time(paced(0.5, head_at=FOREVER), Sent(1, (9.0,), "complete", 9.0))
    assert metrics.late == [0] * (len(LATENESS_S) + 1)


def test_sessions_that_cannot_be_counted_are_left_out() -> None:
    assert "emulator_sessions" not in Metrics().text(None)


def test_prometheus_reads_it() -> None:
    with Emulator(provider="beatra") as emulator:
        url, given = f"{emulator.url}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
        assert httpx2.post(url, json=chat(), headers=given, trust_env=False).status_code == 200
        answer = httpx2.get(f"{emulator.url}/_emulator/metrics", trust_env=False)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'emulator_requests_total{provider="beatra",operation="chat",status="200",rule="built-in"} 1\n' in answer.text
    assert answer.text.endswith("\nemulator_sessions 1\n")
    kinds = [line.split()[2:] for line in answer.text.splitlines() if line.startswith("# TYPE")]
    assert kinds == [
        ["emulator_requests_total", "counter"],
        ["emulator_stream_lateness_seconds", "histogram"],
        ["emulator_sessions", "gauge"],
    ]
