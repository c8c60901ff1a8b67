"""What is wrong with a provider's name, base URL and ways to send a key."""

from __future__ import annotations

from urllib.parse import urlsplit

from emulator.core.errors import shown
from emulator.core.provider.keys import read_way
from emulator.core.provider.loading.problems.data import Data, Problems
from emulator.core.secrets.names import is_secret


def address_problems(data: Data, folder: str) -> Problems:
    """Yield what is wrong, with its path; `folder` is the name of the folder."""
    yield from _of_name(data, folder)
    yield from _of_keys(data)


def _of_name(data: Data, folder: str) -> Problems:
    name = data["name"]
    if name != folder:
        yield ("name",), f"must be the folder's name, '{folder}', not '{name}'"
    steps = _steps(data["base_url"])
    if steps is None:
        yield ("base_url",), "must be a URL such as https://api.example.com/v1"
        return
    if name in ("v1", "s", *steps[:1]):
        yield ("name",), f"'{name}' is a part of the addresses; choose another name"
    versions = data.get("versions")
    if versions and steps[-1:] != versions[:1]:
        message = f"must begin with the last part of base_url, {shown(steps[-1]) if steps else 'which has none'}"
        yield ("versions",), f"{message}, not {shown(versions[0])}"


def _of_keys(data: Data) -> Problems:
    """What holds a key is known by its name as a secret, so that it is shown nowhere."""
    for index, given in enumerate(data["auth"].get("accepts", ())):
        way = read_way(given)
        shows = {"bearer": False, "header": not is_secret(way.name), "query": not is_secret(way.name, "query")}
        if shows[way.kind]:
            message = f"'{way.name}' is not known as a secret, and would be shown; names with api-key, key, token are"
            yield ("auth", "accepts", index, way.kind), message


def _steps(url: str) -> list[str] | None:
    """Return the parts of a URL's path; None for what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return None
    return [step for step in parts.path.split("/") if step] if parts.netloc else None
