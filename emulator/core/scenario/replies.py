"""Reading the replies of a scenario, and the faults and errors in them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.durations import Wait, parse_duration, parse_wait
from emulator.core.errors import STATUS, Json, nearest
from emulator.core.faults.faults import Fault, parse_fault
from emulator.core.provider.provider import Provider
from emulator.core.scenario.problems import Found
from emulator.core.scenario.scenario import CONTENT, SAID, Pace, Reply
from emulator.core.scenario.template import compile_template, reply_path_check
from emulator.core.tree import Path

#: Reply keys that a Reply has under the same name, as they are.
_AS_GIVEN = ("times", "status", "usage", "finish_reason", "verbatim", "off_contract")
#: Headers that the server writes by itself.
RESERVED_HEADERS = {"content-length", "transfer-encoding", "connection", "date", "content-type"}
_HEADER_NAME = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile("[ -~]*")


class Replies:
    """Reads the replies of one file, which are for some providers; `variables` are the file's own."""

    def __init__(self, found: Found, scope: Sequence[Provider], variables: Mapping[str, Json]) -> None:
        self.found, self.scope = found, scope
        self.template = functools.partial(compile_template, check=reply_path_check(variables))

    def reply(self, path: Path, data: Mapping[str, Any]) -> Reply:
        kind, content = _content(data)
        if kind == "error":
            content = self.error((*path, "error"), content)
        for name in data if kind == "proxy" else ():
            if name not in ("proxy", "times"):
                self.found.report(
                    (*path, name), "cannot stand beside proxy: the upstream's answer is passed on as it comes"
                )
        self.check_tokens(path, data)
        headers = self.headers((*path, "headers"), data.get("headers", {}))
        return Reply(
            kind=kind,
            content=content,
            headers=headers,
            fill=self.found.tried(path, self.template, {"content": content, "headers": headers}),
            path=path,
            latency=self.found.tried((*path, "latency"), parse_wait, data.get("latency", 0)),
            pace=self.pace((*path, "stream"), data),
            faults=tuple(self.fault((*path, "faults", at), item) for at, item in enumerate(data.get("faults", ()))),
            retry_after=self.found.tried((*path, "retry_after"), parse_duration, data.get("retry_after")),
            **{name: data[name] for name in _AS_GIVEN if name in data},
        )

    def headers(self, path: Path, data: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in data.items():
            if name.lower() in RESERVED_HEADERS or name.lower().startswith("x-emulator-"):
                self.found.report((*path, name), "is written by the server and cannot be set here")
            elif not _HEADER_NAME.fullmatch(name):
                self.found.report((*path, name), "is no header name; use letters, digits and dashes")
            elif not _HEADER_VALUE.fullmatch(value):
                self.found.report((*path, name), "may hold only printable ASCII characters")
        return data

    def check_tokens(self, path: Path, data: Mapping[str, Any]) -> None:
        """Check that what stands beside a text is of that text."""
        for index, item in enumerate(data.get("outputs", ())):
            self.check_tokens((*path, "outputs", index), item)
        text = data.get("text", data.get("refusal"))
        for name in ("logprobs", "annotations") if text is None else ():
            if name in data:
                self.found.report((*path, name), "is of a text: say text or refusal beside it")
        tokens = "".join(item["token"] for item in data.get("logprobs", ()))
        if tokens and isinstance(text, str) and "${" not in text and tokens != text:
            self.found.report((*path, "logprobs"), "the tokens, joined, are not the text")

    def pace(self, path: Path, data: Mapping[str, Any]) -> Pace:
        given = data.get("stream")
        if not given:
            return Pace()
        split, text = given.get("split", "tokens"), data.get("text")
        if isinstance(split, list) and isinstance(text, str) and "${" not in text and text not in "".join(split):
            self.found.report((*path, "split"), "the pieces, joined, are not the text")
        ttft = self.found.tried((*path, "ttft"), parse_wait, given.get("ttft", 0))
        *waits, itl = self.waits((*path, "itl"), given.get("itl", 0))
        return Pace(split, ttft, itl, given.get("pace") == "documented", tuple(waits))

    def waits(self, path: Path, data: Json) -> list[Wait]:
        """Return one wait, or those of a list."""
        if not isinstance(data, list):
            return [self.found.tried(path, parse_wait, data)]
        return [self.found.tried((*path, index), parse_wait, item) for index, item in enumerate(data)]

    def fault(self, path: Path, data: Mapping[str, Any]) -> Fault:
        fault: Fault = self.found.tried(path, parse_fault, data)
        if fault and "error" in fault.arguments:
            error = self.error((*path, fault.kind, "error"), fault.arguments["error"])
            return replace(fault, arguments={**fault.arguments, "error": error})
        return fault

    def error(self, path: Path, data: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return an error; a further name of some provider comes with the one that it is like at the others."""
        name = data.get("name")
        if name is None or name in STATUS:
            return data
        likes = [item.errors[name]["like"] for item in self.scope if name in item.errors]
        if not likes:
            known = {name for provider in self.scope for name in provider.errors}
            coded = next(filter(None, (item.coded(name) for item in self.scope)), None)
            hint = f"did you mean '{coded}'?" if coded else nearest(name, known)
            place = (*path, "name") if (*path, "name") in self.found.source.places else path
            self.found.report(place, f"there is no error '{name}'; {hint}")
        return {**data, "like": (likes or ["server_error"])[0]}


def _content(data: Mapping[str, Any]) -> tuple[str, Json]:
    """Return a reply's kind and content."""
    if any(name in data for name in SAID):
        return "message", {name: data[name] for name in SAID if name in data}
    kind = next(name for name in CONTENT if name in data)
    content = data[kind]
    if kind == "error" and isinstance(content, str):
        content = {"name": content}
    return kind, content
