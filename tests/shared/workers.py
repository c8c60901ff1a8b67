"""A server with workers of its own, as the command line starts it; ended by its process id."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Serving:
    """`emulator serve` with a store, from a folder of its own."""

    def __init__(self, store: str, *options: str, workers: int = 2, scenario: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        files = []
        if scenario is not None:
            (self.folder / "scenario.yaml").write_text(scenario)
            files = ["scenario.yaml"]
        self._command = [
            sys.executable, "-m", "emulator", "serve", *files, "--port", "0", "--quiet", "--store", store,
            "--workers", str(workers), "--ready-file", "ready.json", *options,
        ]  # fmt: skip

    def __enter__(self) -> Serving:
        self.process = subprocess.Popen(
            self._command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while not (self.folder / "ready.json").exists():
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)
        ready: dict[str, Any] = json.loads((self.folder / "ready.json").read_text())
        self.url, self.pid = str(ready["url"]), int(ready["pid"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.said = self.process.communicate(timeout=60)[1]
        self._folder.cleanup()

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
