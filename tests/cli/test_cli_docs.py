"""`emulator docs`: the pages, here and in a wheel."""

from __future__ import annotations

import re
import tomllib

from click.testing import CliRunner
from shown import ROOT

from emulator.cli.main import main
from emulator.cli.new import find_pages

#: Where links of the pages lead that only a checkout has.
CHECKOUT = ("action.yml", "clients/", "examples", "tests/")


def outcome(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_the_pages_that_come_along() -> None:
    code, out, said = outcome("docs")
    *pages, last = out.splitlines()
    assert (code, said) == (0, "")
    assert {"readme", "manual", "scenarios", "adding-a-provider", "pytest", "node"} <= {
        line.split()[0] for line in pages
    }
    assert last.endswith(f"all are below {ROOT}")
    assert outcome("docs", "pytest") == (0, (ROOT / "docs/pages/guides/pytest.md").read_text(encoding="utf-8"), "")
    assert outcome("docs", "pytst") == (2, "", "There is no page 'pytst'; did you mean 'pytest'?\n")


def test_a_wheel_has_each_page_where_the_links_of_the_others_lead() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {source: f"emulator/_data/{source}" for source in included} == included
    pages = list(find_pages(ROOT).values())
    links = {
        (page.parent / link.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link
    }
    assert len(links) > 20
    assert [link for link in links if not link.startswith((*included, *CHECKOUT))] == []
    assert [page for page in pages if not page.relative_to(ROOT).as_posix().startswith(tuple(included))] == []
