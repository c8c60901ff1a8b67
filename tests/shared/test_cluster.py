"""A Redis Cluster of three nodes: sessions are spread over them, and each is as exact as on one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sockets.raw import Connection, control, make_session, request

from shared.fleet import serving, text_of
from shared.redis_server import RedisServer

SLOTS = 16384


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    with ExitStack() as stack:
        buses = [free_port() for _ in range(3)]
        nodes = [
            stack.enter_context(RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus))) for bus in buses
        ]
        for number, node in enumerate(nodes):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == "+OK"
            assert nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(buses[number])) == "+OK"
        while not all(_is_whole(node) for node in nodes):
            time.sleep(0.05)
        yield nodes


def _is_whole(node: RedisServer) -> bool:
    """Tell whether a node knows all slots, at all three nodes."""
    info = node.ask_whole("CLUSTER", "INFO")
    return "cluster_state:ok" in info and "cluster_size:3" in info and "cluster_known_nodes:3" in info


def test_sessions_are_spread_over_the_nodes_and_each_is_exact(cluster: list[RedisServer]) -> None:
    with serving(cluster[0].url) as a, serving(cluster[1].url) as b:
        sessions = [make_session(a.url, "rules: [{reply: {text: 'number ${n}'}}]") for _ in range(12)]
        for live in sessions:
            told = []
            for member in (b, a, b):
                with Connection(member.url) as connection:
                    connection.send(request(member.url, key=live.key))
                    told.append(text_of(connection.answer()))
            assert told == ["number 1", "number 2", "number 3"]
            assert [item["n"] for item in live.journal()] == [1, 2, 3]
        held = [int(node.ask("DBSIZE").removeprefix(":")) for node in cluster]
        assert min(held) > 0
        for live in sessions:
            control(b.url, "DELETE", f"/sessions/{live.id}")
        assert [len(control(member.url, "GET", "/sessions")["sessions"]) for member in (a, b)] == [1, 1]
