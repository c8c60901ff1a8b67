"""Who asks for what: the operation of a request's address, and its key; and what is said of a wrong address.

A client adds a path to its base URL. The end of a wrong address that is a good path is what it added; what stands
before that end is a wrong base URL: with its version twice, a whole endpoint, or that of another provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from emulator.core.errors import Refusal, closest, shown
from emulator.core.frozen import frozen
from emulator.core.provider.keys import keys_sent
from emulator.core.provider.operation import Operation
from emulator.core.provider.provider import Provider
from emulator.core.provider.routes import Route
from emulator.core.scenario.session import DEFAULT, Session, Settings
from emulator.core.values import Request


def route(provider: Provider, request: Request, providers: Iterable[Provider], session: Session) -> Route:
    """Return the operation that an address is for. Raises: Refusal, with the right address, of any of the providers."""
    methods = provider.routes.whole.get(request.path) or provider.routes.find(request.path)
    if methods is None:
        known = provider.routes.find(request.path.rstrip("/")) or doubled(provider, request.path)
        if provider.is_not_emulated(request.path) and not known:
            raise _not_emulated(provider, request)
        raise provider.refuse(provider.unknown_path, wrong_address(provider, providers, session, request))
    found = methods.get("GET" if request.method == "HEAD" else request.method)
    if found is None:
        allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
        message = f"{request.path} does not take {request.method}; use {' or '.join(allowed)}."
        if doubled(provider, request.path):
            message += f" The base URL is {request.base_url}."
        raise provider.refuse(provider.wrong_method, message, headers={"allow": ", ".join(allowed)})
    return found


def _not_emulated(provider: Provider, request: Request) -> Refusal:
    """Say in words of our own that the API has a path, and the emulator has not."""
    address = f"{provider.base_path}{request.path}"
    message = f"{request.method} {address} is part of {provider.title}'s API, but this emulator does not have it."
    return Refusal(provider.not_emulated["error"], message, headers={"x-should-retry": "false"})


def authenticate(
    session: Session, provider: Provider, settings: Settings, request: Request, prefixes: Mapping[str, str]
) -> str:
    """Return the key; `prefixes` are what the keys of each provider begin with, by its title, for who mixes them up."""
    key = next(keys_sent(provider.accepts, request.headers, request.query), "")
    if provider.key_optional or provider.auth_fact in settings.muted:
        return key
    if not key:
        for way, error in provider.elsewhere:
            if way.read(request.headers, request.query):
                message = f"No API key is taken as {way}: send it as {provider.accepts[0]}."
                raise provider.refuse(error, message, fact=provider.auth_fact)
        message = f"No API key: send it as {provider.accepts[0]}."
        raise provider.refuse(provider.key_missing, message, fact=provider.auth_fact)
    listed = settings.keys is not None and key in settings.keys
    anyone = settings.keys is None and session.id == DEFAULT and not request.addressed
    own = key == session.api_key and session.provider in (None, provider.name)
    good = listed or anyone or own
    if not good or "invalid" in key:
        message = f"The API key is not good here.{_mixed_up(session, provider, request, key, prefixes)}"
        raise provider.refuse(provider.key_wrong, message, fact=provider.auth_fact, key=_masked(key))
    return key


def _masked(key: str) -> str:
    """Return a key with its middle hidden: three characters are seen at most."""
    return f"{key[:2]}{'*' * min(len(key) - 3, 40)}{key[-1]}" if len(key) > 8 else "*" * len(key)


def _mixed_up(session: Session, provider: Provider, request: Request, key: str, prefixes: Mapping[str, str]) -> str:
    """Say why a key is not good, where it shows: it is another provider's, or not the session's."""
    if "invalid" in key:
        return " Keys that contain 'invalid' are refused everywhere."
    if key == session.api_key:
        return f" It is that of a session for {session.provider}."
    owner = next((title for title, prefix in prefixes.items() if prefix and key.startswith(prefix)), provider.title)
    if owner != provider.title:
        own = f", and those of {provider.title} begin with {provider.key_prefix}" if provider.key_prefix else ""
        return f" It begins as keys of {owner} do, with {prefixes[owner]}{own}."
    if provider.key_prefix and not key.startswith(provider.key_prefix):
        return f" Keys of {provider.title} begin with {provider.key_prefix}."
    if request.addressed or session.id != DEFAULT:
        return f" In the session {session.id} its own api_key is good, and the keys of its scenario."
    return " Good are those that --api-key or the scenario's keys list."


# Wrong addresses


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
