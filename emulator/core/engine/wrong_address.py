"""What is said of a wrong address: the right one, and the base URL with which a client would have asked it.

A client adds a path to its base URL. The end of a wrong address that is a good path is what it added; what stands
before that end is a wrong base URL: with its version twice, a whole endpoint, or that of another provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from emulator.core.errors import closest, shown
from emulator.core.frozen import frozen
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.session import Session
from emulator.core.values import Request


def doubled(provider: Provider, path: str) -> bool:
    """Tell whether a path is two good ones, as of a client whose base URL is a whole endpoint."""
    slashes = [index for index, letter in enumerate(path) if letter == "/" and index]
    return any(provider.routes.find(path[:index]) and provider.routes.find(path[index:]) for index in slashes)


def wrong_address(provider: Provider, providers: Iterable[Provider], session: Session, request: Request) -> str:
    """Name the right URL for a wrong one, and its base URL."""
    said = f"There is nothing at {shown(request.address)[1:-1]}."
    steps = [*provider.base_path.split("/")[1:], *request.path.rstrip("/").removeprefix("/..").split("/")[1:]]
    others = sorted((item for item in providers if item.name != provider.name), key=lambda item: not item.default)
    for end in _ends(provider, steps):
        if end.asked_by(request):
            return f"{said} {_meant(provider, request, end.path, end.versioned)}"
    for other in others:
        for operation in filter(None, (end.asked_by(request) for end in _ends(other, steps))):
            return f"{said} {_of_another(provider, other, operation, session, request)}"
    near = closest(request.path.rstrip("/"), provider.routes)
    if near:
        return f"{said} {_meant(provider, request, near, False)}"
    known = ", ".join(f"{method} {path}" for path, methods in provider.routes.by_path.items() for method in methods)
    return f"{said} Below the base URL {request.base_url} there are: {known}."


@frozen
class _End:
    """The end of an address that is a good path; `versioned`: the provider's version stands before it."""

    path: str
    methods: Mapping[str, Route]
    versioned: bool

    def asked_by(self, request: Request) -> Operation | None:
        """Return the operation that a request asks for there."""
        route = self.methods.get("GET" if request.method == "HEAD" else request.method)
        return route.operation if route else None


def _ends(provider: Provider, steps: Sequence[str]) -> Iterator[_End]:
    """Yield the ends of an address that are paths of a provider, the longest first."""
    for start in range(len(steps)):
        below, bare = provider.below(steps[start:]), "/" + "/".join(steps[start:])
        for path in dict.fromkeys((below, bare)):
            if path and (methods := provider.routes.find(path)):
                yield _End(path, methods, start > 0 and path != bare)


def _meant(provider: Provider, request: Request, path: str, versioned: bool) -> str:
    """Say what was meant; who adds the version to its base URL, as some SDKs do, has another base URL."""
    base_url, sdk_url = request.base_url, provider.sdk_url(request.base_url)
    said = f"Did you mean {base_url}{path}? The base URL is {base_url}"
    if versioned and sdk_url != base_url:
        return f"{said}, or {sdk_url} for an SDK that adds the version itself."
    return f"{said}."


def _of_another(provider: Provider, other: Provider, operation: Operation, session: Session, request: Request) -> str:
    """Say whose path it is, and where that provider is; or where this one has the same below a base URL of its own."""
    own = next((path for path in provider.routes.whole if path.endswith(operation.path)), None)
    if own:
        url = f"{request.base_url}{own}"
        return f"Did you mean {url}? {other.title}'s clients have the base URL {url.removesuffix(operation.path)} here."
    prefix = request.base_url.removesuffix(provider.base_path).removesuffix(f"/{provider.name}")
    url = other.sdk_url(f"{prefix}/{other.name}{other.base_path}")
    said = f"{operation.method} {operation.path} is {other.title}'s; this base URL is {provider.title}'s."
    if session.provider:
        return f"{said} This session is for {provider.name} alone: name {other.name} as its provider, or none for all."
    return f"{said} {other.title}'s is {url}."
