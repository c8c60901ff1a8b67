"""What one begins with: `emulator new`, a commented scenario, and `emulator docs`, the pages that come along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from emulator.cli.main import check_provider
from emulator.cli.streams import fail, show
from emulator.core.errors import nearest
from emulator.core.schema.formats import data_folder

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
#: What is shown under a name that is not its file's; the others are the guides, and what one may come from.
_NAMED = {
    "readme": "README.md", "manual": "emulator/README.md", "scenarios": "scenarios/README.md",
    "adding-a-provider": "schemas/README.md",
}  # fmt: skip


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


@click.command("docs", short_help="Show the documentation, which comes with the package.")
@click.argument("name", required=False)
def docs_command(name: str | None) -> None:
    """List the pages of the documentation; print one, as Markdown."""
    root = data_folder("schemas").parent
    pages = find_pages(root)
    if name is None:
        for word, page in pages.items():
            show(f"{word:<22}{_title(page)}")
        show(f"`emulator docs NAME` prints a page; all are below {root}")
        return
    if name not in pages:
        fail(f"There is no page '{name}'; {nearest(name, pages)}")
    click.echo(pages[name].read_bytes(), nl=False)


def find_pages(root: Path) -> Mapping[str, Path]:
    """Return the pages by name; a wheel has them at the same places as a checkout, so that their links hold."""
    listed = sorted((root / "docs" / "pages").rglob("*.md"))
    return {name: root / path for name, path in _NAMED.items()} | {page.stem: page for page in listed}


def _title(page: Path) -> str:
    lines = page.read_text(encoding="utf-8").splitlines()
    return next(line[2:] for line in lines if line.startswith("# "))
