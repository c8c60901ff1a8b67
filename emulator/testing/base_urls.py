"""The base URLs of a session, by the name of the provider."""

from __future__ import annotations

from collections.abc import Mapping


class BaseUrls(dict[str, str]):
    """The base URL of each provider that a session is for: of `about` alone, where it is for one."""

    def __init__(self, urls: Mapping[str, str], about: str | None) -> None:
        super().__init__(urls)
        self.about = about

    def __missing__(self, name: str) -> str:
        if self.about:
            raise KeyError(f"{name}: this session is about {self.about}; leave `provider` out to have all")
        raise KeyError(f"{name}: there is no such provider; there are {', '.join(self)}")
