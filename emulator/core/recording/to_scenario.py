"""From a journal to a scenario that answers the same: exchanges as the control API shows them, a rule a request.

Kept are texts, pieces, tool calls, refusals, bodies, errors, headers of a reply's own, cuts, wrong content types, and
JSON that lacks its end; waits are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import yaml

from emulator.core.durations import whole_number
from emulator.core.errors import STATUS, Json, Refusal
from emulator.core.provider.loading.folder import load_providers
from emulator.core.provider.provider import Provider
from emulator.core.recording.conditions import when_of
from emulator.core.secrets.texts import is_redacted, is_secret
from emulator.core.tokens import pieces as in_tokens
from emulator.core.tree import change_texts, walk
from emulator.core.wires.completion import CALLS, COUNTS, DETAILS, KINDS, REASONS, Completion, Part, Token, named_usage
from emulator.core.wires.sse import TYPES, events_in, framing_of, payload
from emulator.core.wires.wire import Wire

_DATA = re.compile("(?m)^data:")
_TYPES = {True: tuple(TYPES.values()), False: ("application/json",)}  # of streams, and of whole answers
#: What stands for a number of seconds where it is looked for in an error.
_MARK = "\x00"
_SKIPPED = ("refused", "unmatched")


class _Text(str):
    """A string that is written in double quotes, whatever it looks like."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Json) -> bool:
        return True


_Dumper.add_representer(_Text, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", str(text), style='"'))


def scenario_text(exchanges: Sequence[Mapping[str, Json]], providers: Mapping[str, Provider] | None = None) -> str:
    """Return a scenario in YAML; requests that were refused or unmatched are left out: they answer themselves.

    Whatever header was sent that is none of the provider's own is a reply's own. Without providers, whose answers are
    read as ours are, only Retry-After is kept.
    """
    answered = [item for item in exchanges if item["rule"] not in _SKIPPED and not item["replay_of"]]
    names = {item["provider"] for item in answered}
    known = load_providers() if providers is None else providers
    documented = {name: [header.lower() for header, _ in item.headers] for name, item in (providers or {}).items()}
    rules: dict[str, dict[str, Json]] = {}
    for item in answered:
        provider = known.get(item["provider"])
        operation = provider.operations.get(item["operation"]) if provider else None
        wire = operation.wire if operation else None
        when = when_of(item, wire)
        rule = rules.setdefault(json.dumps(when, sort_keys=True), {"when": when, "replies": []})
        rule["replies"].append(_reply(item, documented.get(item["provider"]), wire) | _delay(item, provider))
    scenario: dict[str, Json] = {"emulator": 1}
    if len(names) == 1:
        scenario["provider"] = names.pop()
    scenario["rules"] = list(rules.values())
    return to_yaml(scenario)


def to_yaml(value: Json) -> str:
    """Write YAML: texts in double quotes, the innermost lists and mappings on one line."""
    quoted = change_texts(value, _Text)
    written = yaml.dump(quoted, None, _Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return str(written)


def _reply(item: Mapping[str, Json], documented: Collection[str] | None, wire: Wire | None) -> dict[str, Json]:
    response, timeline = item["response"], item["timeline"]
    faults: list[dict[str, Json]] = []
    if (whole := _completed(response)) is not None:
        response, faults = {**response, "body": whole}, [{"invalid_json": True}]
    if response["headers"].get("content-type", "").partition(";")[0] not in _TYPES[response["stream"]]:
        faults.append({"wrong_content_type": True})
    reply = content_of(item, response, wire)
    if headers := _own_headers(response["headers"], documented):
        reply["headers"] = headers
    if timeline["end"] != "complete":
        faults.append({"cut": {**_cut_place(response, timeline), "how": timeline["end"]}})
    return reply | ({"faults": faults} if faults else {})


def _delay(item: Mapping[str, Json], provider: Provider | None) -> dict[str, Json]:
    """Return when to come again, where an error says so in its body, and not what it always says."""
    refusal, body = item["refusal"], item["response"]["body"]
    if provider is None or not refusal or refusal["code"] not in provider.errors:
        return {}
    seconds = _seconds_told(provider, refusal["code"], body[0] if isinstance(body, list) and body else body)
    usual = provider.errors[refusal["code"]].get("retry_in")
    return {} if seconds in (None, usual) else {"retry_after": seconds}


def _seconds_told(provider: Provider, name: str, body: Json) -> int | None:
    """Return after how many seconds an error says in its body to come again; None where it does not."""
    told = dict(walk(body))
    for path, leaf in walk(provider.error_body(Refusal(name, values={"seconds": _MARK}), "")):
        before, found, after = leaf.partition(_MARK) if isinstance(leaf, str) else ("", "", "")
        if found and isinstance(text := told.get(path), str):
            return whole_number(text.removeprefix(before).removesuffix(after))
    return None


def _completed(response: Mapping[str, Json]) -> Json:
    """Return the JSON of a whole answer that lacks its last character; None for any other."""
    if response["stream"] or response["body"] is not None:
        return None
    for last in ("}", "]"):
        with suppress(ValueError, RecursionError):
            return json.loads((response["body_text"] or "") + last)
    return None


def _own_headers(headers: Mapping[str, str], documented: Collection[str] | None) -> dict[str, str]:
    """Return what a scenario asked for: neither ours, nor HTTP's, nor the provider's, nor a secret."""
    if documented is None:
        documented = [name for name in headers if name != "retry-after"]
    left_out = {"content-type", *documented}
    return {
        name: escaped(value)
        for name, value in headers.items()
        if name not in left_out
        and not name.startswith(("x-emulator-", "x-should-retry"))
        and not (is_secret(name) or is_redacted(value))
    }


def _cut_place(response: Mapping[str, Json], timeline: Mapping[str, Json]) -> dict[str, Json]:
    """Say where an answer broke off: after so many events, or where it broke inside of one, bytes."""
    frames, text = timeline["frames"], response["body_text"] or ""
    end = _end_of(text.encode(errors="replace"))
    if response["stream"] and (not frames or text.endswith(end)):
        return {"after_chunks": sum(frame["kind"] in ("data", "done") for frame in frames)}
    return {"after_bytes": sum(frame["size"] for frame in frames)}


def _end_of(stream: bytes) -> str:
    """Return what ends each event."""
    return "\n" if framing_of(stream) == "ndjson" else "\n\n"


def content_of(item: Mapping[str, Json], response: Mapping[str, Json], wire: Wire | None) -> dict[str, Json]:
    """Return what an answer says, read by its wire where it is a chat's."""
    refusal, status, body = item["refusal"], response["status"], response["body"]
    if refusal:
        return _error(refusal, status)
    if response["stream"]:
        whole = item["timeline"]["end"] == "complete"
        return _streamed(response["body_text"] or "", whole, wire) | _status(status, 200)
    if body is None:
        return {"builtin": True}  # cut inside its body, or too long to be shown whole: it cannot be written down
    if status >= 400:
        return {"error": {"status": status, "body": escaped(body)}, "off_contract": True}
    completion = wire.read(body) if wire else Completion()
    if completion.unread or not completion.parts:
        return {"json": escaped(body), "off_contract": True} | _status(status, 200)
    return _said(completion, "none") | _status(status, 200)


def _error(refusal: Mapping[str, Json], status: int) -> dict[str, Json]:
    details = [{"field": item["path"], "message": item["message"]} for item in refusal["details"]]
    error = {"name": refusal["code"], "message": refusal.get("message"), "details": details}
    given = {name: escaped(value) for name, value in error.items() if value}
    reply = {"error": given if len(given) > 1 else refusal["code"]}
    usual = STATUS.get(refusal["code"], status)  # a further name has the status that it was sent with
    return reply if status == usual else reply | {"status": status, "off_contract": True}


def _status(status: int, usual: int) -> dict[str, Json]:
    return {"status": status} if status != usual else {}


def _said(completion: Completion, usage: Json) -> dict[str, Json]:
    """Return the reply that says the same; `usage` is told of an answer without any."""
    reply: dict[str, Json] = {}
    order = [part.kind for part in completion.parts]
    twice = any(order.count(kind) > 1 for kind in KINDS if kind not in CALLS)
    if twice or set(order) == {"reasoning"} or order != sorted(order, key=KINDS.index):
        return {"outputs": [_output(part) for part in completion.parts]} | _around(completion, usage)
    for kind in ("text", "refusal"):
        text = completion.text(kind)
        if text is not None:
            reply = {kind: escaped(text)}  # a refusal stands alone
            reply |= _beside(next(part for part in completion.parts if part.kind == kind))
    if thought := completion.text("reasoning"):
        reply = {"reasoning": escaped(thought)} | reply
    if calls := completion.calls():
        reply["tool_calls"] = [_call(call) for call in calls]
    return reply | _around(completion, usage)


def _call(call: Part) -> dict[str, Json]:
    said = "input" if call.kind == "custom" else "arguments"
    return {"name": call.name, said: escaped(call.text), **({"id": call.id} if call.id else {})}


def _output(part: Part) -> dict[str, Json]:
    """Return one of several parts, where their order is not the usual one."""
    return {"tool_calls": [_call(part)]} if part.kind in CALLS else {part.kind: escaped(part.text), **_beside(part)}


def _beside(part: Part) -> dict[str, Json]:
    """Return what stands beside a text: how probable its tokens were, and what it cites."""
    tokens = [_token(token) | ({"top": [*map(_token, token.likely)]} if token.likely else {}) for token in part.tokens]
    cited = [{"url": item.url, "title": item.title, "start": item.start, "end": item.end} for item in part.annotations]
    return {name: escaped(rows) for name, rows in (("logprobs", tokens), ("annotations", cited)) if rows}


def _token(token: Token) -> dict[str, Json]:
    return {"token": token.text, "logprob": token.logprob}


def _around(completion: Completion, usage: Json) -> dict[str, Json]:
    """Return what stands beside what is said."""
    reply: dict[str, Json] = {"finish_reason": completion.finish or "stop", "verbatim": True}  # it was cut already
    counted = named_usage(completion.usage)
    if counted:
        usual = {COUNTS["total"]: counted.get(COUNTS["total"]), **dict.fromkeys(DETAILS.values(), 0)}
        reply["usage"] = {name: number for name, number in counted.items() if usual.get(name) != number}
    elif usage:
        reply["usage"] = usage
    if reply.get("usage") == "none" or reply["finish_reason"] not in REASONS:
        reply["off_contract"] = True
    return reply


def _streamed(text: str, whole: bool, wire: Wire | None) -> dict[str, Json]:
    """Put a stream's pieces together again and keep where they were split; events of another kind stay as they are."""
    data = text.encode(errors="replace")
    if framing_of(data) != "sse":
        items = [item for event in events_in(data) if (item := payload(event).decode(errors="replace"))]
    else:
        items = [payload(event.encode(errors="replace")).decode() for event in text.split("\n\n")
                 if _DATA.search(event)]  # fmt: skip
    completion = heard(items, wire) if wire else None
    if completion is not None and not completion.unread:
        completion = completion if completion.parts else replace(completion, parts=(Part("text", ""),))
        told = (part for part in completion.parts if part.kind == "text" or list(part.pieces) != in_tokens(part.text))
        pieces = [piece for part in told for piece in part.pieces]
        return _said(completion, None) | ({"stream": {"split": pieces}} if pieces else {})
    end = _end_of(data)
    if not whole and items and not text.endswith(end):
        return _streamed(text[: text.rfind(end) + len(end)], whole, wire) if end in text else {"builtin": True}
    return {"events": [escaped(item) for item in items], "off_contract": True}


def heard(items: Sequence[str], wire: Wire) -> Completion | None:
    """Read the data of events; None where one is no JSON."""
    try:
        return wire.read_events([json.loads(item) for item in items if item not in wire.texts])
    except (ValueError, RecursionError):
        return None


def escaped(value: Json) -> Json:
    """Make `${` in what was said literal again."""
    return change_texts(value, lambda text: text.replace("${", "$${"))
