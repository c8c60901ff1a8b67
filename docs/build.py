"""Builds the site: `python docs/build.py` writes all pages to docs/made/, then docs/site/; a broken link fails it.

It needs `pip install -e '.[docs]'`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import reference
import yaml

HERE = Path(__file__).resolve().parent
PAGES, MADE, SITE = HERE / "pages", HERE / "made", HERE / "site"


def build() -> int:
    """Write the site and return the exit code."""
    shutil.rmtree(MADE, ignore_errors=True)
    shutil.copytree(PAGES, MADE, ignore=shutil.ignore_patterns("*.md"))
    for path, text in reference.pages().items():
        file = MADE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    built = subprocess.run(["zensical", "build", "--clean", "--strict", "-f", "mkdocs.yml"], cwd=HERE, check=False)
    if built.returncode == 0:
        (SITE / "llms.txt").write_text(llms_txt(), encoding="utf-8")
    return built.returncode


def llms_txt() -> str:
    """Return a list of all pages, for readers that are programs (https://llmstxt.org)."""
    settings = yaml.safe_load((HERE / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = sorted(file.relative_to(MADE) for file in MADE.rglob("*.md"))
    lines = [f"- [{title_of((MADE / page).read_text(encoding='utf-8'))}]({page.with_suffix('')}/)" for page in pages]
    return "\n".join([f"# {settings['site_name']}", "", f"> {settings['site_description']}", "", *lines, ""])


def title_of(text: str) -> str:
    return next(line[2:] for line in text.splitlines() if line.startswith("# "))


if __name__ == "__main__":
    sys.exit(build())
