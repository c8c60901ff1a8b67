"""The inspector: one static page over the control API. It holds no data, so that it needs no token itself."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from emulator.core.errors import Json
from emulator.server.control.access import PAGE

INSPECTOR = "/_emulator/"


@functools.cache
def load_page() -> tuple[bytes, dict[str, str]]:
    """Return the page and its headers: only its own script and style may run, and it reaches this origin only."""
    page = files("emulator.server.control").joinpath("inspector.html").read_bytes()
    policy = (
        f"default-src 'none'; script-src {_hash_of(page, b'script')}; style-src {_hash_of(page, b'style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return page, {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }


def _hash_of(page: bytes, tag: bytes) -> str:
    [text] = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"


def page_with(sessions: Sequence[Json], providers: Sequence[Json]) -> bytes:
    """Return the page as a file that needs no server: it holds what it shows.

    `sessions` are `{session, journal, verdict}`, `providers` a list, all as the control API tells them.
    """
    page, _ = load_page()
    data = orjson.dumps({"sessions": sessions, "providers": providers}).replace(b"<", b"\\u003c")
    return page.replace(b"<script>", b'<script type="application/json" id="held">' + data + b"</script>\n<script>", 1)


async def show(request: Request) -> Response:
    page, headers = load_page()
    return Response(page, headers=headers)


async def lead(request: Request) -> Response:
    return RedirectResponse(INSPECTOR, 302)


ROUTES = [Route("/", lead), *(Route(path, show) for path in PAGE if path != "/")]
