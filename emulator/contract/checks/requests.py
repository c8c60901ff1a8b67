"""Checks of what a request may say: what is taken, what is refused, and what a left-out field means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.contract import expectations
from emulator.contract.case_client import TEXT, CaseClient, Changes, content, shown_changes
from emulator.contract.client import Answer
from emulator.contract.expectations import accepted, counted, demand, equal, hold, pick, whole
from emulator.contract.target import NotArranged
from emulator.core.errors import Json
from emulator.core.provider.holes import fill_text
from emulator.core.provider.keys import BEARER
from emulator.core.wires.completion import COUNTS

_USAGE = tuple(f"usage.{name}" for name in COUNTS)
#: What no token of the usual vocabularies exceeds.
_LONGEST_TOKEN = 128
_MORE = 8


def requests(
    client: CaseClient,
    *,
    good: Sequence[Changes] = (),
    bad: Sequence[Changes] = (),
    missing: Sequence[str] = (),
    raw: Sequence[str] = (),
    raw_good: Sequence[str] = (),
    error: str = "invalid_request",
) -> None:
    """Each of `good` and `raw_good` is taken; each of `bad`, each lack of a `missing` field and `raw` body refused."""
    for changes in good or ({},):
        accepted(client.chat(changes), shown_changes(changes))
    for changes in bad:
        client.refused(client.chat(changes), error, shown_changes(changes), changes)
    for name in missing:
        client.refused(client.chat(missing=[name]), error, shown_changes({}, [name]), {name: None})
    for text in raw_good:
        accepted(client.send("POST", client.ask.path, text.encode()), f"the body {text!r}")
    for text in raw:
        client.refused(client.send("POST", client.ask.path, text.encode()), error, f"the body {text!r}")


def default(client: CaseClient, *, field: str, value: Json, beside: Changes | None = None) -> None:
    """A request without `field` is answered as one with `value`; judged only where answers repeat."""
    beside = beside or {}
    left_out, sent = _pair(client, field, value, beside)
    if left_out == sent:
        return
    again, answer = _pair(client, field, value, beside), client.chat(beside, [field])
    if again != (left_out, sent):
        raise NotArranged("the same request gets another answer each time")
    raise expectations.Differs(
        f"a request without {field} is answered as one with {field} {value}", sent, left_out, answer
    )


def _pair(client: CaseClient, field: str, value: Json, beside: Changes) -> tuple[Json, Json]:
    return picture(client, client.chat(beside, [field])), picture(client, client.chat({**beside, field: value}))


def picture(client: CaseClient, answer: Answer) -> Json:
    """Return what two answers to one request share: all but ids and times."""
    value = whole(answer)
    places = ("text", "refusal", "call.name", "call.arguments", "call.input", "finish", *_USAGE)
    return {name: pick(value, client.wire.place(name, "*")) for name in places if client.wire.place(name)}


def reproducible(client: CaseClient, *, beside: Changes, ids_differ: bool = True) -> None:
    """The same request gets the same choices again, under an id of its own."""
    first, second = client.chat(beside), client.chat(beside)
    told = f"{shown_changes(beside)} gets the same choices again"
    equal(second, told, picture(client, first), picture(client, second))
    if ids_differ:
        ids = [demand(answer, answer.json, client.wire.place("id"), str) for answer in (first, second)]
        hold(second, "each answer has an id of its own", ids[0] != ids[1], "two ids", ids)


def stream_default(client: CaseClient, *, streams: bool = False) -> None:
    """A request that does not ask for a stream gets none, or, where it `streams`, one."""
    fields = client.wire.request.fields("stream")
    field = next(iter(fields), "stream")
    unasked = client.chat(missing=fields)
    if streams:
        equal(unasked, f"a request without {field} gets a stream", client.wire.stream_type, unasked.media_type)
    else:
        content(client, unasked, f"a request without {field}")
    content(client, client.chat(client.asks(stream=False)), f"a request with {field} false")
    answer = client.chat(client.asks(stream=True))
    equal(answer, f"a request with {field} true gets a stream", client.wire.stream_type, answer.media_type)


def output_cap(client: CaseClient, *, field: str, default: int | None, caps: Sequence[int]) -> None:
    """A reply is cut at the cap that is sent, and at the default, or not at all, where none is."""
    arranged = client.arrange({"text": TEXT})
    for cap in caps:
        answer = client.chat(_at(field, cap))
        _cut(client, answer, cap, arranged, f"a reply under {field} {cap}", expectations.ignored(field))
    answer = client.chat(missing=[field.partition(".")[0]])
    if default is not None:
        _cut(client, answer, default, arranged, f"a reply to a request without {field}")
        more = client.chat(_at(field, default + _MORE))
        used = counted(more, more.json, client.wire, "output")
        ended = not arranged and _reason(client, more) != "length"
        told = f"a reply is cut at {default} tokens only where {field} is left out"
        hold(more, told, used > default or ended, f"> {default}", used)
    elif arranged:
        equal(answer, f"a reply to a request without {field} is not cut", TEXT, content(client, answer))
        equal(answer, "a reply that is not cut has the finish reason stop", "stop", _reason(client, answer))
    elif _reason(client, answer) == "length":
        _no_default(client, answer, field)


def _no_default(client: CaseClient, answer: Answer, field: str) -> None:
    """Demand that what cut a reply to a request without `field` is not a default: asking for more gets no more."""
    used = counted(answer, answer.json, client.wire, "output")
    more = client.chat(_at(field, used + _MORE))
    longer = (client.wire.read(more.json).usage or {}).get("output", 0)
    told = f"a reply to a request without {field} is not cut by a default"
    hold(answer, told, longer <= used, f"{longer} tokens", used, assumed=True)


def _at(field: str, value: Json) -> dict[str, Json]:
    """Return the changes that give a field a value, by its path."""
    first, _, rest = field.partition(".")
    return {first: _at(rest, value) if rest else value}


def _reason(client: CaseClient, answer: Answer) -> str | None:
    return client.wire.read(answer.json).finish


def _cut(client: CaseClient, answer: Answer, cap: int, arranged: bool, what: str, more: str = "") -> None:
    """Demand a reply of `cap` tokens; `more` are the words for one that has more."""
    text, used = content(client, answer, what), counted(answer, answer.json, client.wire, "output")
    reason = _reason(client, answer)
    if not arranged and used < cap and reason == "stop":
        raise NotArranged("its reply is too short to be cut")
    equal(answer, f"{what} has {cap} tokens", cap, used, difference=more if used > cap else "", about=what)
    fits = len(text) <= cap * _LONGEST_TOKEN
    hold(answer, f"{what} has no more text than {cap} tokens", fits, f"<= {cap * _LONGEST_TOKEN}", len(text))
    if arranged:
        equal(answer, f"{what} is a beginning of what was arranged", TEXT[: len(text)], text)
        hold(answer, f"{what} is cut short", text != TEXT, "a part of the text", "all of it")
    equal(answer, f"the finish reason of {what} says that it was cut", "length", reason, assumed=True)


def context_window(client: CaseClient, *, field: str, windows: Mapping[str, int]) -> None:
    """For each model, the prompt and `field` together fill its window exactly, and not one token more."""
    for model, window in windows.items():
        asked = client.asks(model=model)
        answer = client.chat({**asked, field: 1})
        prompt = demand(answer, whole(answer), client.wire.place("usage.input"), int)
        client.arrange({"text": "Yes."})
        room = window - prompt
        accepted(client.chat({**asked, field: room}), f"{model} with {prompt} + {room} tokens")
        over = client.chat({**asked, field: room + 1})
        client.refused(over, "invalid_request", f"{model} with {prompt} + {room + 1} tokens")
        much, words = client.says("a " * (window // 4)), f"{model} with a prompt of {window // 4} words"
        accepted(client.chat({**asked, **much}), words)
        over = client.chat({**asked, **client.says("a " * window)})
        client.refused(over, "invalid_request", f"{model} with a prompt of {window} words")


def authentication(client: CaseClient, *, prefix: str = "", also: Sequence[Mapping[str, str]] = ()) -> None:
    """Every operation wants the key in the documented way: none, another scheme and a wrong key are refused."""
    key = client.session.key
    equal(client.chat(), f"keys begin with {prefix}", prefix, key[: len(prefix)], assumed=True)
    bearer = client.ask.provider.accepts[0] == BEARER
    wrong = {"no Authorization" if bearer else "no key": None, "a wrong key": f"{prefix}invalid-key-0000"}
    for what, value in wrong.items():
        error = "no_key" if value is None else "wrong_key"
        client.refused(client.keyed(value).chat(), error, f"a request with {what}")
    schemes = {"an empty key": "Bearer", "a key without its scheme": key, "another scheme": f"Basic {key}"}
    for what, header in schemes.items() if bearer else ():
        client.refused(client.chat(headers={"authorization": header}), "no_key", f"a request with {what}")
    for operation in also:
        answer = client.keyed(None).send(operation["method"], operation["path"], b"{}")
        client.refused(answer, "no_key", f"{operation['method']} {operation['path']} without a key")
    accepted(client.chat(), "a request with the key")


def key_free(client: CaseClient, *, key: str = "any-key") -> None:
    """No key is needed, and any is taken."""
    accepted(client.keyed(None).chat(), "a request without a key")
    accepted(client.keyed(key).chat(), f"a request with the key {key}")


def other_key(client: CaseClient, *, header: str, form: str, error: str = "") -> None:
    """The key is refused where it is sent in another way; without an error it is as good."""
    answer = client.keyed(None).chat(headers={header: fill_text(form, {"key": client.session.key})})
    what = f"a request with its key as {header}"
    if error:
        client.refused(answer, error, what)
    else:
        accepted(answer, what)


def media_types(client: CaseClient, *, good: Sequence[str], bad: Sequence[str], error: str) -> None:
    """A body of these content types is taken or refused; that another than JSON is refused is assumed."""
    for name in good:
        accepted(client.chat(headers={"content-type": name}), f"a request of type {name}")
    for name in bad:
        answer = client.chat(headers={"content-type": name})
        status = client.ask.status(error)
        if answer.status != status:
            what = f"a request of type {name} gets {status} ({error})"
            raise expectations.status_differs(answer, f"{status} ({error})", what, status, assumed=True)
