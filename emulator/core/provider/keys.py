"""Keys: the ways in which a request can carry one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast
from urllib.parse import parse_qsl, quote

from emulator.core.errors import Json
from emulator.core.frozen import frozen


@frozen
class KeyPlace:
    """One way to send a key: as a Bearer token, or in a header or a query parameter of that name."""

    kind: Literal["bearer", "header", "query"]
    name: str = ""

    def read(self, headers: Mapping[str, str], query: str) -> str:
        """Return the key that was sent so, or an empty string."""
        if self.kind == "bearer":
            scheme, _, key = headers.get("authorization", "").strip().partition(" ")
            key = key.strip()
            return key if scheme.lower() == "bearer" and " " not in key else ""  # a token has no spaces (RFC 6750)
        if self.kind == "header":
            return headers.get(self.name, "").strip()
        return dict(parse_qsl(query)).get(self.name, "") if query else ""

    def is_tried(self, headers: Mapping[str, str], query: str) -> bool:
        """Tell whether a request has the header or the parameter, whatever stands in it."""
        if self.kind == "query":
            return self.name in dict(parse_qsl(query, keep_blank_values=True))
        return ("authorization" if self.kind == "bearer" else self.name) in headers

    def write(self, key: str) -> tuple[dict[str, str], str]:
        """Return the headers and the query with which a key is sent so."""
        if self.kind == "query":
            return {}, f"{self.name}={quote(key, safe='')}"
        return {"authorization": f"Bearer {key}"} if self.kind == "bearer" else {self.name: key}, ""

    def __str__(self) -> str:
        told = {"bearer": "Authorization: Bearer KEY", "header": f"{self.name}: KEY", "query": f"?{self.name}=KEY"}
        return f"'{told[self.kind]}'"


BEARER = KeyPlace("bearer")


def read_way(given: Json) -> KeyPlace:
    """Return a way as provider.yaml has it: `bearer`, {header: NAME} or {query: NAME}."""
    if given == "bearer":
        return BEARER
    [(kind, name)] = given.items()
    return KeyPlace(cast(Literal["header", "query"], kind), name.lower() if kind == "header" else name)


def keys_sent(ways: Iterable[KeyPlace], headers: Mapping[str, str], query: str) -> Iterator[str]:
    """Yield the keys of a request, in the order of the ways."""
    for way in ways:
        if key := way.read(headers, query):
            yield key
