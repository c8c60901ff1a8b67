"""Paced streams: how late each chunk comes, measured by a client in a process of its own, over raw sockets.

Run it by hand: python -m tests.bench.paced URL BODY STREAMS CHUNKS INTERVAL_S
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from tests.bench.load import HEADERS, Target
from tests.bench.servers import ITL_S, ROOT

RAMP_S = 1.0  # in which the streams begin, one after the other
MORE_S = 30.0  # than the streams themselves may take
END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Lateness:
    """Milliseconds after the scripted times, from each stream's first event; `server`, `client`: cores they used."""

    streams: int
    p50: float
    p99: float
    max: float
    client: float
    server: float = 0.0


class Stream(asyncio.Protocol):
    """One request; keeps what came, and when."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.reads: list[tuple[float, bytes]] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.reads.append((time.perf_counter(), data))
        if data.endswith(END):
            self.over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error or ConnectionError("closed before the end of the stream"))

    def lateness(self, chunks: int, interval: float) -> list[float]:
        """Return the milliseconds by which each chunk after the first was late: the words, and the finish."""
        times = [at for at, data in self.reads for _ in range(data.count(b"data: "))]
        assert len(times) == chunks + 3, f"{len(times)} events came, not {chunks + 3}"
        return [(at - times[0] - place * interval) * 1000 for place, at in enumerate(times[1:-1], 1)]


async def play(url: str, body: str, streams: int) -> list[Stream]:
    """Play all streams, begun one after the other."""
    parts = urlsplit(url)
    head = {**HEADERS, "Host": parts.netloc, "Content-Length": str(len(body))}
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", body]
    request = "\r\n".join(lines).encode()
    host, _, port = parts.netloc.partition(":")

    async def one(after: float) -> Stream:
        await asyncio.sleep(after)
        loop = asyncio.get_running_loop()
        transport, stream = await loop.create_connection(lambda: Stream(request), host, int(port))
        await stream.over
        transport.close()
        return stream

    return await asyncio.gather(*(one(place * RAMP_S / streams) for place in range(streams)))


def measure(target: Target, pid: int, streams: int, chunks: int) -> Lateness:
    """Measure in a process of its own; `pid` is the server's."""
    command = [sys.executable, "-m", "tests.bench.paced", target.url, target.body, *map(str, (streams, chunks, ITL_S))]
    limit, before = chunks * ITL_S + MORE_S, processor_s(pid)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
    return replace(Lateness(**json.loads(done.stdout)), server=(processor_s(pid) - before) / (chunks * ITL_S + RAMP_S))


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allow_files() -> None:
    """Let this process and those it starts have as many sockets as the system grants."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    url, body, streams, chunks, interval = sys.argv[1:]
    allow_files()
    gc.disable()
    start = time.perf_counter()
    played = uvloop.run(play(url, body, int(streams)))
    client = time.process_time() / (time.perf_counter() - start)
    late = [ms for stream in played for ms in stream.lateness(int(chunks), float(interval))]
    p99 = statistics.quantiles(late, n=100)[98]
    print(json.dumps(asdict(Lateness(int(streams), statistics.median(late), p99, max(late), client))))


if __name__ == "__main__":
    main()
