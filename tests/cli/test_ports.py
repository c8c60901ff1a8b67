"""Who holds a port: found in /proc, and told without what may be a secret."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from emulator.network.ports import holder

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0FAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0
   1: 0100007F:0FAB 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    for pid, socket_ in (("5", "socket:[1]"), ("6", "socket:[77]")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "3").symlink_to(socket_)
    (tmp_path / "7").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["/venv/bin/python", "/venv/bin/emulator", "serve", "--api-key", "sk-secret"], "python emulator serve"),
        (["/usr/bin/python", "-m", "emulator", "serve", "--api-key", "sk-secret"], "python -m emulator serve"),
        (["node", "a", "b", "c", "d"], "node a b c"),
        ([], "kthread"),
    ],
)
def test_a_holder_is_told_without_its_options(words: list[str], shown: str, proc: Path) -> None:
    (proc / "6" / "cmdline").write_text("".join(f"{word}\0" for word in words))
    (proc / "6" / "comm").write_text("kthread\n")
    assert holder(0x0FAA, proc) == f"pid 6 ({shown})"
    assert holder(0x0FAB, proc) is None  # connected, and not listening
    assert holder(1, proc) is None


def test_where_there_is_no_proc_nobody_is_named(tmp_path: Path) -> None:
    assert holder(80, tmp_path) is None


def test_a_real_one_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        who = holder(taken.getsockname()[1])
    assert who
    assert who.startswith(f"pid {os.getpid()} (")
