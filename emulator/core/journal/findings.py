"""What should fail a test, from its session, its journal and its verdict; each finding knows how it is allowed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.errors import printable
from emulator.core.frozen import frozen
from emulator.core.scenario.candidates import why_of
from emulator.core.scenario.scenario import CHAOS_ERROR, MISFITS

Row = Mapping[str, Any]
#: Tells why a rule was never used, where that can be told.
Why = Callable[[Row], str]
#: How many exchanges of a journal are shown.
MOST_SHOWN = 20


@frozen
class Finding:
    """One thing that is wrong: its name, what it is, which option allows it or what else does, and whom it concerns."""

    name: str
    text: str
    allowed_by: str = ""
    concerns: tuple[str, ...] = ()
    hint: str = ""

    def told(self, form: str) -> str:
        """Return it with how it is allowed; `form` is where the option stands."""
        hint = f"allow it with {form.format(self.allowed_by)}" if self.allowed_by else self.hint
        between = "\n" if "\n" in self.text else "; "
        return f"{self.text}{between}{hint}" if hint else self.text

    def is_allowed(self, allowed: Any) -> bool:
        """Tell whether it is allowed by what its option was given: a truth, a name, or names."""
        if isinstance(allowed, bool) or allowed is None:
            return bool(allowed)
        names = {allowed} if isinstance(allowed, str) else set(allowed)
        return not names.isdisjoint(self.concerns)


def session_findings(
    session: Row, journal: Sequence[Row], why: Why = lambda rule: "", never_came: Callable[[], str] = lambda: ""
) -> Iterator[Finding]:
    """Yield what is wrong in a session; `never_came` tells why not one request may have come."""
    yield from crashes(journal)
    yield from unmatched(journal)
    yield from misfits(journal)
    yield from unexpected(session["rules"])
    if session["rules"] and not session["exchanges"]:
        yield from _never_asked(session["rules"], never_came)
        return
    refused = "".join(
        f"\n  exchange {item['n']} was refused before any rule was asked: {refusal(item)}"
        for item in [item for item in journal if item["rule"] == "refused"][:MOST_SHOWN]
    )
    found = _unused(session["rules"], journal, why)
    yield from (replace(finding, text=finding.text + refused) for finding in found)


def crashes(journal: Sequence[Row]) -> Iterator[Finding]:
    for item in journal:
        if item["crash"]:
            yield Finding(
                "crash",
                f"the emulator failed on exchange {_where(item)}:\n{item['crash']}"
                "this is a fault of its own and cannot be allowed; please report it",
            )


def unmatched(journal: Sequence[Row]) -> Iterator[Finding]:
    """Tell of each request that no rule answered, and field by field what the nearest rules wanted."""
    for item in journal:
        if item["rule"] != "unmatched":
            continue
        lines = [f"no rule answered exchange {_where(item)}; the nearest:"]
        for near in item["nearest"]:
            lines.append(f"  {near['rule']} ({printable(near['id'])})")
            lines += [f"    {_difference(row)}" for row in near["differences"]]
        yield Finding("unmatched", "\n".join(lines), "allow_unmatched=True")


def misfits(journal: Sequence[Row]) -> Iterator[Finding]:
    """Tell of each reply that says what its request did not ask for; its note tells how that is allowed."""
    told: dict[tuple[str, str, str], Row] = {}
    for item in journal:
        for note in item["notes"]:
            if note["fact"] in MISFITS:
                told.setdefault((note["fact"], item["rule"], note["message"]), item)
    for (fact, rule, message), item in told.items():
        yield Finding(fact, f"the rule at {rule} does not fit exchange {_where(item)}: {message}")


def unexpected(rules: Sequence[Row]) -> Iterator[Finding]:
    """Tell of each rule whose `expect` was not met."""
    for rule in rules:
        expect, calls = rule["expect"] or {}, rule["calls"]
        least, most = (expect.get("calls", expect.get(word, usual)) for word, usual in (("min", 0), ("max", calls)))
        if not least <= calls <= most:
            said = " and ".join(f"{word}: {number}" for word, number in expect.items())
            yield Finding(
                "expect",
                f"the rule {printable(rule['id'])} at {rule['at']} expects {said}, and answered {calls} times",
                hint="allow it by changing its `expect`, or leaving it out",
            )


# Unused


def _never_asked(rules: Sequence[Row], never_came: Callable[[], str]) -> Iterator[Finding]:
    """Tell that a session has rules that nobody asked; one that expects nothing is met."""
    asked_for = [rule for rule in rules if not rule["expect"]]
    if asked_for:
        places = ", ".join(_named(rule) for rule in asked_for[:3]) + (", ..." if len(asked_for) > 3 else "")
        was = "were" if len(asked_for) > 1 else "was"
        text = f"not one request came to this session: {places} {was} never used{never_came()}"
        yield _unused_finding(text, *asked_for)


def scenario_findings(rules: Sequence[Row], journal: Sequence[Row]) -> Iterator[Finding]:
    """Tell what is wrong with the rules of a scenario that another one takes the place of."""
    yield from unexpected(rules)
    yield from _unused(rules, journal, lambda rule: "")


def _unused(rules: Sequence[Row], journal: Sequence[Row], why: Why) -> Iterator[Finding]:
    yield from _unused_scenario(rules, journal)
    for rule in rules:
        yield from _unused_rule(rule, journal, why)


def _unused_scenario(rules: Sequence[Row], journal: Sequence[Row]) -> Iterator[Finding]:
    """Tell of a scenario that none of the requests was for; what was refused could have been."""
    own = [rule for rule in rules if not rule["added"] and not rule["expect"]]
    meant = [item for item in journal if item["rule"] in ("refused", "unmatched") or item["crash"]]
    if own and not meant and not any(rule["calls"] for rule in rules if not rule["added"]):
        others = "and all others were" if len(own) > 1 else "was"
        elsewhere = f"; what came was answered elsewhere: exchange {answered(journal)}" if journal else ""
        text = f"nothing was asked of the scenario: {_named(own[0])} {others} never used{elsewhere}"
        yield _unused_finding(text, *own)


def _unused_rule(rule: Row, journal: Sequence[Row], why: Why) -> Iterator[Finding]:
    """Tell what a rule has that was never asked for: itself, where it was added, else its replies and their faults."""
    rows = [item for item in journal if item["rule_id"] == rule["id"] and item["call"] is not None]
    if not rule["added"]:
        rows = rows[len(rows) - rule["calls"] :] if rule["calls"] else []  # the others are an earlier scenario's
    if not rows:
        if rule["added"] and not rule["calls"] and not rule["expect"]:
            yield _unused_finding(f"{_named(rule)} was never used{why(rule)}", rule)
        return
    if len(rows) < rule["calls"]:  # the journal has dropped some
        return
    asked = Counter(item["reply"] for item in rows)
    for index, reply in enumerate(rule["replies"]):
        which = f"reply {index + 1} of the rule at {rule['at']}"
        if asked[index] < reply["times"]:
            often = f"was asked for {_times(asked[index])}, not {_times(reply['times'])}" if asked[index] else ""
            yield _unused_finding(f"{which} {often or 'was never asked for'}", rule)
        elif idle := _idle_faults(reply, [item for item in rows if item["reply"] == index]):
            came = ", ".join(_came(item) for item in rows if item["reply"] == index)
            yield _unused_finding(f"the fault {idle} of {which} never struck: {came}", rule)


def _unused_finding(text: str, *rules: Row) -> Finding:
    names = tuple(name for rule in rules for name in (rule["id"], rule["at"]))
    return Finding("unused", text, "allow_unused=True", names)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _came(item: Row) -> str:
    """Return what an exchange was that a fault found nothing in."""
    if not item["response"]["stream"]:
        return f"exchange {item['n']} was a whole answer, without chunks"
    events = sum(frame["kind"] == "data" for frame in item["timeline"]["frames"])
    return f"exchange {item['n']} was a stream of {events} event{'s' * (events != 1)}"


def _idle_faults(reply: Row, rows: Sequence[Row]) -> str:
    """Return the kinds of a reply's faults that struck none of its answers; chaos may have taken their place."""
    if any(note["path"] == CHAOS_ERROR for item in rows for note in item["notes"]):
        return ""
    struck: Counter[str] = Counter()
    for item in rows:
        struck |= Counter(item["timeline"]["faults"])
    wanted: Counter[str] = Counter(reply["faults"])
    return ", ".join((wanted - struck).elements())


def _named(rule: Row) -> str:
    return f"the rule of .on() at {rule['at']}" if rule["added"] else f"the rule at {rule['at']}"


# The verdict


def misbehaved(findings: Sequence[Row], strict: bool, ignore: Collection[str]) -> list[Row]:
    """Return the findings that failed and are not to be ignored; advice fails only where strictness is asked for."""
    failed = [item for item in findings if item["status"] == "fail" and (strict or not item["advice"])]
    return [item for item in failed if item["fact"] not in ignore]


def misbehaviour(bad: Sequence[Row], journal: Sequence[Row]) -> str:
    """Return what to say of findings that failed, and why their requests were refused."""
    lines = ["the client did not behave as the docs ask:"]
    for found in bad:
        seen = ", ".join(map(str, found["exchanges"]))
        which = f"exchange{'s' * (len(found['exchanges']) != 1)} {seen}"
        where = f"({which}; {found['provider']}: {found['source']})"
        lines.append(f"  {found['fact']}: {found['message']} {where}")
        refused = [item for item in journal if item["n"] in found["exchanges"] and refusal(item)]
        lines += [f"    exchange {item['n']}: {refusal(item)}" for item in refused[:MOST_SHOWN]]
    return "\n".join(lines)


# Exchanges, for people


def shown(journal: Sequence[Row]) -> str:
    """Return a line for each of the last exchanges: what was asked, what was answered, and by whom."""
    lines = [f"({len(journal) - MOST_SHOWN} earlier ones are left out)"] if len(journal) > MOST_SHOWN else []
    for item in journal[-MOST_SHOWN:]:
        rule = item["rule"] if item["reply"] is None else f"{item['rule']}, reply {item['reply'] + 1}"
        end = "" if item["sent"]["end"] == "complete" else f", {item['sent']['end']}"
        asked = f"{item['method']} {printable(item['path'])}"
        lines.append(f"{item['n']}: {asked} -> {item['response']['status']} ({rule}{end})")
        if refused := refusal(item):
            lines.append(f"   {refused}")
    return "\n".join(lines) or "no exchanges"


def refusal(item: Row) -> str:
    """Return why the provider refused a request, where it did and no rule said so."""
    if item["rule"] != "refused" or not item["refusal"]:
        return ""
    details = "; ".join(f"{row['path']}: {row['message']}" for row in item["refusal"]["details"])
    return printable(f"{item['refusal']['code']}: {details or item['refusal']['message']}")


def answered(journal: Sequence[Row]) -> str:
    """Return which exchanges were answered by which rules: the first of each rule."""
    first: dict[str, int] = {}
    for item in journal:
        first.setdefault(item["rule"], item["n"])
    return ", exchange ".join(
        f"{number} by {rule if rule in ('built-in', 'proxy') else f'the rule at {rule}'}"
        for rule, number in first.items()
    )


def differences(near: Row) -> str:
    return ", ".join(map(_difference, near["differences"]))


def _where(item: Row) -> str:
    return f"{item['n']} ({item['method']} {printable(item['path'])})"


def _difference(row: Row) -> str:
    return f"{row['field']}: expected {_json(row['expected'])}, got {_json(row['actual'])}{why_of(row)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
