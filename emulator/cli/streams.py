"""The standard streams of a command, all three there, one that cannot be written ends no server; and how it fails."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn, TextIO

import click

from emulator.core.errors import printable_lines

FINDINGS, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


def open_missing() -> None:
    """Open those that were closed: else a socket gets the number, and what is printed goes to a client."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - they stay open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def say(text: str) -> None:
    """Write lines to stderr, on which nothing that they quote acts; where that cannot be written, nothing ends."""
    with contextlib.suppress(OSError):
        click.echo(printable_lines(text), err=True)


def fail(message: str, code: int = USAGE) -> NoReturn:
    say(message)
    sys.exit(code)


def show(text: object) -> None:
    """Write lines to stdout, on which nothing that they quote acts."""
    click.echo(printable_lines(str(text)))


def give_up(stream: TextIO) -> None:
    """Let go of what a stream could not write: it would be tried again at the end, and change the exit code."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def let_go_of_stderr() -> None:
    """Give up what stderr could not take, at the end of a command."""
    try:
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def problem_of_stdout() -> str:
    """Find out why stdout cannot be written, and give it up; nothing where it can, but for an empty line there."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # unbuffered, nothing is left to be flushed
    except OSError as error:
        give_up(sys.stdout)
        return error.strerror or str(error)
    return ""
