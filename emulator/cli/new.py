"""`emulator new`: a commented scenario to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from emulator.cli.main import check_provider
from emulator.cli.streams import fail

_STARTER = """\
# Serve it:   emulator serve {file}
# Check it:   emulator check {file}
# Edit it:    emulator check --schema > scenario.schema.json, and for editors that complete and check, the first line
#             "# yaml-language-server: $schema=scenario.schema.json"
emulator: 1                     # version of this format
provider: {provider}
description: The first call is rate limited, the retry succeeds; other messages get an echo.
rules:                          # the first rule that matches answers
  - id: greeting
    when:                       # all of these must hold
      last_user: {{contains: hello}}
    replies:                    # in turn; the last one goes on for ever
      - {{error: rate_limited, retry_after: 1}}
      - text: Hello! How can I help?
        stream: {{split: words, ttft: 200ms, itl: 30ms}}
  - id: echo                    # no `when`: everything else
    reply:
      text: "You said: ${{request.last_user}}"
"""


@click.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--provider", metavar="NAME", help="Whose rules they are. Default: the first provider.")
def new_command(file: Path, provider: str | None) -> None:
    """Write a commented starter scenario."""
    from emulator.core.provider.loading.folder import load_providers

    known = load_providers()
    check_provider(provider, known)
    named = file.name if file.is_absolute() else file  # where it lies on this machine is nothing to commit
    text = _STARTER.format(file=named, provider=provider or next(iter(known)))
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        fail(f"{file} exists already; it was left as it is.")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}.")
    click.echo(f"Wrote {file}. Serve it with: emulator serve {file}")
