"""A long run of mixed requests: memory must not grow, nothing may be lost, and no answer may be a 5xx of ours.

Every 500th request or so has a body of 4 MB, streamed back in pieces and whole in turn, and its connection stays open
a while, idle; other connections come and go all the time.

Run it by hand: python tests/bench/soak.py [REQUESTS, default 1000000]
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

from emulator.testing.client import Control

SCENARIO = """\
emulator: 1
provider: beatra
clock: virtual
rules:
  - when: {last_user: fin}
    reply: {text: one two three four, stream: {split: words}, faults: [{cut: {after_chunks: 2, how: fin}}]}
  - when: {last_user: reset}
    reply: {text: one two three four, stream: {split: words}, faults: [{cut: {after_chunks: 2, how: reset}}]}
  - when: {last_user: slice}
    reply:
      text: one two three four
      stream: {split: words, itl: 1s}
      faults: [{slice: {bytes: 50}}, {drop_done: true}]
  - when: {last_user: {contains: long}}
    reply: {text: "${request.last_user}", stream: {split: chars}}
  - when: {last_user: limited}
    reply: {error: rate_limited, retry_after: 1}
  - when: {last_user: {contains: hello}}
    reply: {text: "You said ${request.last_user}.", stream: {split: words, itl: 20ms}}
"""
WORKERS = 4
BATCH = 20
TIMEOUT_S = 30
#: A batch on one connection: whole, streamed, refused, unmatched, limited; the breaking ones each on their own.
KEPT = ["hello", "hello there", "limited", "nobody", "hello stream", "hello stream", "bad", "slice stream"]
BREAKING = ["fin stream", "reset stream"]
#: A body of 4 MB comes once in so many batches; its connection is closed when so many others came after it.
LONG = "long " + "x" * 4_000_000
LONG_EVERY = 25
IDLE = 3
MARK = b"x-emulator-exchange: "
SERVER_ERROR = b"HTTP/1.1 5"


def message(host: str, kind: str) -> bytes:
    text = kind.removesuffix(" stream")
    body: dict[str, object] = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    if kind.endswith(" stream"):
        body["stream"] = True
    if kind == "bad":
        body["temperature"] = 9
    data = json.dumps(body).encode()
    head = f"POST /beatra/v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer k\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


class Client(threading.Thread):
    """Sends its share of the requests and counts the answers by status."""

    def __init__(self, url: str, requests: int) -> None:
        super().__init__()
        parts = urlsplit(url)
        self.where = (parts.hostname, parts.port)
        self.requests = requests
        self.messages = {kind: message(parts.netloc, kind) for kind in (*KEPT, *BREAKING, LONG, f"{LONG} stream")}
        self.idle: deque[socket.socket] = deque()
        self.sent = self.errors = self.long = 0

    def run(self) -> None:
        kinds = [KEPT[index % len(KEPT)] for index in range(BATCH)]
        batch = b"".join(self.messages[kind] for kind in kinds)
        with socket.create_connection(self.where, TIMEOUT_S) as kept:
            while self.sent < self.requests:
                self.exchange(kept, batch, BATCH)
                breaking = BREAKING[self.sent // BATCH % 2]
                with socket.create_connection(self.where, TIMEOUT_S) as alone:
                    self.exchange(alone, self.messages[breaking], 1)
                if self.sent // BATCH % LONG_EVERY == 0:
                    self.send_long()
        while self.idle:
            self.idle.popleft().close()

    def send_long(self) -> None:
        """Send a long body on a connection that is then left open, and close the one that was left so before others."""
        connection = socket.create_connection(self.where, TIMEOUT_S)
        self.idle.append(connection)
        self.long += 1
        self.exchange(connection, self.messages[f"{LONG} stream" if self.long % 2 else LONG], 1)
        if len(self.idle) > IDLE:
            self.idle.popleft().close()

    def exchange(self, connection: socket.socket, data: bytes, answers: int) -> None:
        """Send some requests and read as many heads; what is left of the last body is read with the next."""
        connection.sendall(data)
        rest, seen = b"", 0
        while seen < answers:
            received = connection.recv(1 << 16)
            assert received, f"closed after {seen} of {answers} answers"
            both = rest + received
            seen += both.count(MARK) - rest.count(MARK)
            self.errors += both.count(SERVER_ERROR) - rest.count(SERVER_ERROR)
            rest = both[1 - len(MARK) :]
        self.sent += answers


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def soak(url: str, pid: int, requests: int) -> bool:
    """Run all requests, print memory as it goes, and tell whether what was promised held."""
    control = Control(url)
    answered = errors = 0
    memory = []
    for part in range(1, 11):
        start = time.perf_counter()
        clients = [Client(url, requests // 10 // WORKERS) for _ in range(WORKERS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        answered += sum(client.sent for client in clients)
        errors += sum(client.errors for client in clients)
        memory.append(resident(pid))
        seconds = time.perf_counter() - start
        print(f"{answered:>9} answered, {answered / part / seconds:6.0f} a second, {memory[-1]:6.1f} MB resident")
    control.ask("POST", "/sessions")  # settles what is under way
    journal = control.ask("GET", "/sessions/default")
    kept = len(control.ask("GET", "/sessions/default/journal")["exchanges"])
    growth = memory[-1] / memory[0] - 1
    print(f"answered {answered}, journalled {journal['exchanges']}: {kept} kept and {journal['dropped']} dropped")
    print(f"answers of 5xx: {errors}; memory since the first tenth: {growth:+.1%}")
    return answered == journal["exchanges"] == kept + journal["dropped"] and not errors and growth < 0.05


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "soak.yaml").write_text(SCENARIO)
        command = [sys.executable, "-m", "emulator", "serve", "soak.yaml", "--port", "0", "--quiet"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            good = soak(process.stdout.readline().split()[-1], process.pid, requests)
        finally:
            process.terminate()
            process.wait()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
