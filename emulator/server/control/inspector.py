"""The inspector: one static page over the control API. It holds no data, so that it needs no token itself."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulator.server.control.access import PAGE


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


async def show(request: Request) -> Response:
    page, headers = load_page()
    return Response(page, headers=headers)


ROUTES = [Route(path, show) for path in PAGE]
