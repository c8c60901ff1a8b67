"""Who asks for what: the operation of a request's address, and its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emulator.core.engine.wrong_address import doubled, wrong_address
from emulator.core.errors import Refusal
from emulator.core.provider.keys import keys_sent
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
    return Refusal(provider.not_emulated[1], message, headers={"x-should-retry": "false"})


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
