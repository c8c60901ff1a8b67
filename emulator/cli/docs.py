"""`emulator docs`: the pages of the documentation, which come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from emulator.cli.streams import fail, show
from emulator.core.errors import nearest
from emulator.core.schema.formats import data_folder

#: What is shown under a name that is not its file's; the others are the guides, and what one may come from.
_NAMED = {
    "readme": "README.md", "manual": "emulator/README.md", "scenarios": "scenarios/README.md",
    "adding-a-provider": "schemas/README.md",
}  # fmt: skip


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
