"""The inspector's page as it is served: where, to whom, and under which policy. What it does is in tests/browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from emulator import Emulator


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    """A server that others could reach, with an admin token."""
    emulator = Emulator(host="0.0.0.0")
    emulator.setup = replace(emulator.setup, admin_token="open sesame")
    with emulator:
        yield emulator.url


def get(url: str, **headers: str) -> httpx2.Response:
    return httpx2.get(url, headers=headers, trust_env=False)


@pytest.mark.parametrize("path", ["/_emulator", "/_emulator/"])
def test_the_page_is_served(emulator_url: str, path: str) -> None:
    page = get(emulator_url + path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.text.startswith("<!doctype html>")


def test_only_its_own_script_and_style_may_run(emulator_url: str) -> None:
    page = get(f"{emulator_url}/_emulator/")
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'",
        "form-action": "'none'", "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }  # fmt: skip


def test_the_page_has_nothing_from_outside(emulator_url: str) -> None:
    page = get(f"{emulator_url}/_emulator/").text
    assert re.findall(r"(?:src|href)=[\"'](?!#|data:)", page) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", page) == []


def test_the_page_takes_get_only(emulator_url: str) -> None:
    response = httpx2.post(f"{emulator_url}/_emulator/", trust_env=False)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def test_the_page_needs_no_token_and_its_data_do(guarded_url: str) -> None:
    assert get(f"{guarded_url}/_emulator/").status_code == 200
    assert get(f"{guarded_url}/_emulator/sessions").status_code == 403
    assert get(f"{guarded_url}/_emulator/sessions", authorization="Bearer open sesame").status_code == 200


def test_the_page_is_for_any_host_and_its_data_are_not(emulator_url: str) -> None:
    assert get(f"{emulator_url}/_emulator/", host="evil.example").status_code == 200
    assert get(f"{emulator_url}/_emulator/sessions", host="evil.example").status_code == 403


def test_a_journal_is_read_in_pages(emulator_url: str) -> None:
    session = httpx2.post(f"{emulator_url}/_emulator/sessions", trust_env=False).json()
    for _ in range(3):
        get(f"{session['base_urls']['beatra']}/nothing")
    journal = f"{emulator_url}/_emulator/sessions/{session['id']}/journal"
    pages = [get(f"{journal}?since={since}&limit=2").json() for since in (0, 2, 3)]
    assert [[row["n"] for row in page["exchanges"]] for page in pages] == [[1, 2], [3], []]
    assert [page["next"] for page in pages] == [2, 3, 3]
    error = get(f"{journal}?limit=some").json()["error"]
    assert (error["code"], error["message"]) == ("invalid_request", "limit must be a number of exchanges.")
