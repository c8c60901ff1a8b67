"""What should fail a test, from its journal, its rules and its verdict; each message ends with how to allow it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from emulator.core.printable import printable

Row = Mapping[str, Any]


def crashes(journal: Sequence[Row]) -> Iterator[str]:
    for item in journal:
        if item["crash"]:
            yield (
                f"the emulator failed on exchange {item['n']} ({item['method']} {printable(item['path'])}):\n"
                f"{item['crash']}"
                "this is a fault of its own and cannot be allowed; please report it"
            )


def unmatched(journal: Sequence[Row]) -> Iterator[str]:
    """Tell of each request that no rule answered, and field by field what the nearest rules wanted."""
    for item in journal:
        if item["rule"] != "unmatched":
            continue
        lines = [f"no rule answered exchange {item['n']} ({item['method']} {printable(item['path'])}); the nearest:"]
        for near in item["nearest"]:
            lines.append(f"  {near['rule']} ({printable(near['id'])})")
            lines += [
                f"    {row['field']}: expected {_json(row['expected'])}, got {_json(row['actual'])}"
                for row in near["differences"]
            ]
        yield "\n".join([*lines, "allow it with @pytest.mark.emulator(allow_unmatched=True)"])


def unexpected(rules: Sequence[Row]) -> Iterator[str]:
    """Tell of each rule whose `expect` was not met."""
    for rule in rules:
        expect, calls = rule["expect"], rule["calls"]
        if expect and not expect.get("calls", expect.get("min", 0)) <= calls <= expect.get(
            "calls", expect.get("max", calls)
        ):
            said = " and ".join(f"{word}: {number}" for word, number in expect.items())
            yield (
                f"the rule {printable(rule['id'])} at {rule['at']} expects {said}, and answered {calls} times; "
                "allow it by changing its `expect`, or leaving it out"
            )


def unused(rules: Sequence[Row], journal: Sequence[Row], begun: Mapping[str, tuple[str, bool]]) -> Iterator[str]:
    """Tell of each `.on()` that answered nothing; `begun` maps a rule's id to its place, and whether it has a reply."""
    used = {item["rule_id"] for item in journal} | {rule["id"] for rule in rules if rule["calls"] or rule["expect"]}
    for name, (at, has_reply) in begun.items():
        if name not in used:
            what = "was never used" if has_reply else "has no .reply()"
            yield f"the rule of .on() at {at} {what}; allow it with @pytest.mark.emulator(allow_unused=True)"


def misbehaviour(findings: Sequence[Row], strict: bool, ignore: Collection[str]) -> str | None:
    """Return what to say of findings that failed and are not to be ignored, if there are any."""
    failed = [item for item in findings if item["status"] == "fail" and (strict or not item["advice"])]
    bad = [item for item in failed if item["fact"] not in ignore]
    if not bad:
        return None
    lines = ["the client did not behave as the docs ask:"]
    for item in bad:
        seen = ", ".join(map(str, item["exchanges"]))
        lines.append(f"  {item['fact']}: {item['message']} (exchanges {seen}; {item['provider']}: {item['source']})")
    allowed = [*ignore, *(item["fact"] for item in bad)]
    return "\n".join([*lines, f"allow it with assert_well_behaved(ignore={allowed})"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
