"""Scenarios: every slip of an author has a place and says what would be right; what is right becomes rules."""

from __future__ import annotations

from typing import Any

import pytest
from build import PROVIDERS, scenario
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.durations import Wait
from emulator.core.engine.load import parse_text
from emulator.core.errors import SourceError
from emulator.core.scenario.problems import MOST_LOOKS
from emulator.core.scenario.scenario import Pace, Reply, Rule, Scenario
from emulator.core.values import Plan


def problems(text: Any, provider: str | None = None) -> list[str]:
    with pytest.raises(SourceError) as caught:
        scenario(text, provider)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("seed", [2**64 - 1, 2**63 + 1, 2**53 + 1, -(2**63), 0])
def test_a_seed_of_64_bits_stays_as_it_is(seed: int) -> None:
    found = scenario(f"emulator: 1\nseed: {seed}\n").seed
    assert (found, type(found)) == (seed, int)


def warnings(text: str, provider: str | None = None) -> list[str]:
    return [str(warning) for warning in scenario(text, provider).warnings]


ERRORS = ", ".join(sorted({name for provider in PROVIDERS.values() for name in provider.errors}))

#: line: what is said of it. Each stands as a line of its own after `emulator: 1`.
SETTINGS = {
    "wobble: 1": "2:1: wobble: is not known here; known: chaos, clock, description, emulator, keys, models, mute, "
    "plan, provider, rules, seed, unmatched, validation, vars",
    "provder: beatra": "2:1: provder: is not known here; did you mean 'provider'?",
    "provider: beatr": "2:1: provider: there is no provider 'beatr'; did you mean 'beatra'?",
    "provider: 5": "2:1: provider: must be a string, not 5",
    "seed: x": "2:1: seed: must be an integer, not 'x'",
    "seed: 18446744073709551616": "2:1: seed: must be a whole number of at most 64 bits, not 1.8446744073709552e+19",
    "seed: -9223372036854775809": "2:1: seed: must be a whole number of at most 64 bits, not -9.223372036854776e+18",
    "seed: 1e30": "2:1: seed: must be a whole number of at most 64 bits, not 1e+30",
    "clock: warp": "2:1: clock: must be one of 'real', 'virtual'; not 'warp'",
    "validation: documentd": "2:1: validation: must be one of 'documented', 'compatible', 'strict', 'off'; "
    "not 'documentd'; did you mean 'documented'?",
    "mute: be-model": "2:1: mute: must be a list, not 'be-model'",
    "mute: [be-modle]": "2:8: mute[0]: there is no fact 'be-modle'; did you mean 'be-model'?",
    "keys: []": "2:1: keys: must not be empty",
    "plan: {rpm: 3}": "2:8: plan.rpm: is not known here; known: requests_per_minute, tokens_per_minute",
    "plan: fre": "2:1: plan: there is no plan 'fre'; did you mean 'free'?",
    "plan: {}": "2:1: plan: must have at least 1 field",
    "plan: {requests_per_minute: -1}": "2:8: plan.requests_per_minute: must be at least 0, not -1",
    "unmatched: proxied": "2:1: unmatched: must be one of 'refuse', 'built-in', 'proxy'; not 'proxied'; did you mean "
    "'proxy'?",
    "vars: 3": "2:1: vars: must be an object, not 3",
    "rules: {}": "2:1: rules: must be a list, not {}",
    "rules: [{}]": "2:9: rules[0]: needs one of: replies, reply",
    "rules: [{reply: {text: a}, replies: [{text: b}]}]": "2:9: rules[0]: replies and reply do not go together",
}

#: the inside of `- {...}`: what is said of it, with its column.
RULES = {
    "reply: {}": "4: rules[0].reply: needs one of: text, tool_calls, refusal, outputs, json, events, error, embedding, "
    "builtin, proxy",
    "reply: {text: a, json: 1}": "4: rules[0].reply: text and json do not go together",
    "reply: {text: 5}": "12: rules[0].reply.text: must be a string or an object, not 5",
    "reply: {text: a, tims: 2}": "21: rules[0].reply.tims: is not known here; did you mean 'times'?",
    "reply: {text: a, times: 0}": "21: rules[0].reply.times: must be at least 1, not 0",
    "reply: {text: a, times: 1.5}": "21: rules[0].reply.times: must be an integer, not 1.5",
    "reply: {builtin: false}": "12: rules[0].reply.builtin: must be true, not false",
    "replies: []": "4: rules[0].replies: must not be empty",
    "reply: {error: rate_limit}": "12: rules[0].reply.error: there is no error 'rate_limit'; did you mean "
    "'rate_limited'?",
    "reply: {error: {name: nope}}": f"20: rules[0].reply.error.name: there is no error 'nope'; known: {ERRORS}",
    "reply: {error: {name: timeout, status: 500, body: 1}}": "12: rules[0].reply.error: name and status do not go "
    "together",
    "reply: {error: {status: 500}}": "12: rules[0].reply.error: lacks a field that goes with another",
    "reply: {error: {status: 200, body: 1}}": "20: rules[0].reply.error.status: must be at least 400, not 200",
    "reply: {tool_calls: [{nam: f, name: f}]}": "26: rules[0].reply.tool_calls[0].nam: is not known here; "
    "did you mean 'name'?",
    "reply: {embedding: []}": "12: rules[0].reply.embedding: must not be empty",
    "reply: {text: a, status: 99}": "21: rules[0].reply.status: must be at least 200, not 99",
    "reply: {text: a, usage: {tokens: 1}}": "29: rules[0].reply.usage.tokens: is not known here; "
    "did you mean 'prompt_tokens'?",
    "reply: {text: a, headers: {x: 1}}": "31: rules[0].reply.headers.x: must be a string, not 1",
    "reply: {text: a, headers: {Content-Length: '1'}}": "31: rules[0].reply.headers.Content-Length: is written by the "
    "server and cannot be set here",
    "reply: {text: a, headers: {a b: x}}": "31: rules[0].reply.headers.a b: is no header name; use letters, digits "
    "and dashes",
    "reply: {text: a, headers: {'': x}}": "31: rules[0].reply.headers.: is no header name; use letters, digits "
    "and dashes",
    "reply: {text: a, headers: {x: é}}": "31: rules[0].reply.headers.x: may hold only printable ASCII characters",
    'reply: {text: a, headers: {x: "a\\nb"}}': "31: rules[0].reply.headers.x: may hold only printable ASCII characters",
    "reply: {text: a, latency: 1e12}": "21: rules[0].reply.latency: must be seconds from 0, or a duration such as "
    "200ms, 1.5s, 1m; not 1000000000000",
    "reply: {text: a, latency: {uniform: {min: 2, max: 1}}}": "21: rules[0].reply.latency: min is 2 and max is 1: "
    "nothing is between them",
    "reply: {text: a, retry_after: 9999999h}": "21: rules[0].reply.retry_after: must be seconds from 0, or a duration "
    "such as 200ms, 1.5s, 1m; not '9999999h'",
    "reply: {text: a, stream: {split: syllables}}": "30: rules[0].reply.stream.split: must be one of: 'tokens', "
    "'words', 'chars', an integer, a list; not 'syllables'",
    "reply: {text: abc, stream: {split: [a, b]}}": "32: rules[0].reply.stream.split: the pieces, joined, are not the "
    "text",
    "reply: {text: a, stream: {ttft: 9999999h}}": "30: rules[0].reply.stream.ttft: must be seconds from 0, or a "
    "duration such as 200ms, 1.5s, 1m; not '9999999h'",
    "reply: {proxy: false}": "12: rules[0].reply.proxy: must be true, not false",
    "reply: {proxy: true, faults: [{empty: true}]}": "25: rules[0].reply.faults: cannot stand beside proxy: the "
    "upstream's answer is passed on as it comes",
    "reply: {text: a, stream: {itl: [1s, 9999999h]}}": "40: rules[0].reply.stream.itl[1]: must be seconds from 0, or a "
    "duration such as 200ms, 1.5s, 1m; not '9999999h'",
    "reply: {text: a, stream: {itl: 9999999h}}": "30: rules[0].reply.stream.itl: must be seconds from 0, or a "
    "duration such as 200ms, 1.5s, 1m; not '9999999h'",
    "reply: {text: a, faults: [{cutt: {}, cut: {after_bytes: 1}}]}": "31: rules[0].reply.faults[0].cutt: is not known "
    "here; did you mean 'cut'?",
    "reply: {text: a, faults: [{cut: {after_bytes: 1, after_chunks: 1}}]}": "31: rules[0].reply.faults[0].cut: "
    "after_chunks and after_bytes do not go together",
    "reply: {text: a, faults: [{stall: {after_chunks: 1, for: 9999999h}}]}": "30: rules[0].reply.faults[0]: must be "
    "seconds from 0, or a duration such as 200ms, 1.5s, 1m; not '9999999h'",
    "reply: {text: '${request.last_usr}'}": "4: rules[0].reply: ${request.last_usr}: a request has no 'last_usr'; "
    "did you mean 'last_user'?",
    "reply: {text: '${vars.name}'}": "4: rules[0].reply: ${vars.name}: vars has no 'name'; nothing is allowed here",
    "reply: {text: a, headers: {x: '${zip}'}}": "4: rules[0].reply: ${zip}: nothing is called 'zip'; known: n, now, "
    "request, state, uuid, vars",
    "reply: {text: a}, after_last: again": "22: rules[0].after_last: must be one of 'repeat', 'cycle', 'unmatched'; "
    "not 'again'",
    "reply: {text: a}, then: {sate: x, state: x}": "29: rules[0].then.sate: is not known here; did you mean 'state'?",
    "reply: {text: a}, expect: {calls: 1, min: 1}": "22: rules[0].expect: calls and min do not go together",
    "reply: {text: a}, expect: {min: 3, max: 2}": "22: rules[0].expect: min is 3 and max is 2: nothing is between them",
    "reply: {text: a}, when: {stat: x}": "29: rules[0].when.stat: is not known here; did you mean 'state'?",
    "reply: {text: a}, when: {last_user: {contians: x}}": "41: rules[0].when.last_user.contians: is not known here; "
    "did you mean 'contains'?",
    "reply: {text: a}, when: {model: {equals: a, not: b}}": "29: rules[0].when.model: must have at most 1 field, not 2",
    "reply: {text: a}, when: {model: {}}": "29: rules[0].when.model: must have at least 1 field",
    "reply: {text: a}, when: {operation: embedings}": "29: rules[0].when.operation: there is no operation "
    "'embedings'; did you mean 'embeddings'?",
    "reply: {text: a}, when: {last_user: {regex: 'a(?=b)'}}": "41: rules[0].when.last_user.regex: 'a(?=b)' is no "
    "regular expression of linear time (no look-around, no back-references)",
    "reply: {text: a}, when: {headers: {x: {regex: '('}}}": "43: rules[0].when.headers.x.regex: '(' is no regular "
    "expression of linear time (no look-around, no back-references)",
    "reply: {text: a}, when: {body: {$.a..b: 1}}": "36: rules[0].when.body.$.a..b: '$.a..b' is no path into the body; "
    "write it like $.messages[0].content",
    "reply: {text: a}, when: {elapsed: {lt: 9999999h}}": "39: rules[0].when.elapsed.lt: must be seconds from 0, or a "
    "duration such as 200ms, 1.5s, 1m; not '9999999h'",
}  # fmt: skip


@pytest.mark.parametrize(("line", "said"), SETTINGS.items(), ids=SETTINGS)
def test_a_wrong_setting(line: str, said: str) -> None:
    assert problems(f"emulator: 1\n{line}\n") == [f"s.yaml:{said}"]


@pytest.mark.parametrize(("inside", "said"), RULES.items(), ids=RULES)
def test_a_wrong_rule(inside: str, said: str) -> None:
    assert problems(f"emulator: 1\nrules:\n- {{{inside}}}\n") == [f"s.yaml:3:{said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: must be an object, not null"),
        ("5", "1:1: must be an object, not 5"),
        ("[]", "1:1: must be an object, not []"),
        ("{}", "1:1: emulator: is required"),
        ("emulator: 2", "1:1: emulator: must be 1, not 2"),
        ("emulator: '1'", "1:1: emulator: must be 1, not '1'"),
    ],
)
def test_what_is_no_scenario(text: str, said: str) -> None:
    assert problems(text) == [f"s.yaml:{said}"]


def test_all_problems_of_form_come_at_once_in_their_order() -> None:
    text = """emulator: 1
wobble: 1
seed: x
rules:
  - when: {stat: x, last_user: {contians: a}}
    reply: {txt: a}
  - replies: []
"""
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["s.yaml:2:1", "wobble"],
        ["s.yaml:3:1", "seed"],
        ["s.yaml:5:12", "rules[0].when.stat"],
        ["s.yaml:5:33", "rules[0].when.last_user.contians"],
        ["s.yaml:6:5", "rules[0].reply"],
        ["s.yaml:6:13", "rules[0].reply.txt"],
        ["s.yaml:7:5", "rules[1].replies"],
    ]


def test_all_problems_of_meaning_come_at_once_in_their_order() -> None:
    text = """emulator: 1
provider: beatra
mute: [be-modle, bt-max-tokens-default]
plan: free
rules:
  - id: twice
    when: {operation: embeddings, last_user: {regex: '('}, headers: {x: {regex: '['}, y: {regex: ']['}}, body: {$a: 1}}
    reply: {text: "${vers}", latency: 1e12, headers: {date: x}}
  - id: twice
    reply: {text: a}
"""
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["s.yaml:3:8", "mute[0]"],
        ["s.yaml:3:18", "mute[1]"],
        ["s.yaml:4:1", "plan"],
        ["s.yaml:7:12", "rules[0].when.operation"],
        ["s.yaml:7:47", "rules[0].when.last_user.regex"],
        ["s.yaml:7:74", "rules[0].when.headers.x.regex"],
        ["s.yaml:7:91", "rules[0].when.headers.y.regex"],
        ["s.yaml:7:113", "rules[0].when.body.$a"],
        ["s.yaml:8:5", "rules[0].reply"],
        ["s.yaml:8:30", "rules[0].reply.latency"],
        ["s.yaml:8:55", "rules[0].reply.headers.date"],
        ["s.yaml:9:5", "rules[1]"],
    ]


def _place_and_hint(line: str) -> str:
    file_line_column, where, message = line.split(": ", 2)
    hint = message.partition("did you mean ")[2]
    return f"{file_line_column.removeprefix('s.yaml:')} {where} {hint}".rstrip()


def test_typos_of_keys_and_of_values_come_at_once_in_their_order() -> None:
    text = """emulator: 1
provider: opnai
clok: vrtual
mute: [oa-chunk-ends]
vras: {name: Ada}
rules:
  - when: {last_user: {contians: x}, operation: chatt}
    reply: {error: rate_limitd}
  - repl: {text: "${vars.nam}", stream: {splitt: words, ttft: 9999999h}}
  - replies:
      - {text: 5, headers: {date: x}}
      - {error: {nam: timeot}}
  - {when: {operation: chat}, reply: {embedding: [1]}}
  - {reply: {text: a}, expect: {min: 3, max: 2}, after_last: agian}
chaos:
  - {chance: 2, error: rate_limitd}
  - {chance: 0.5, fault: {cutt: {after_chunks: 1, how: rest}}}
"""
    assert [_place_and_hint(line) for line in problems(text)] == [
        "2:1 provider 'openai'?",
        "3:1 clok 'clock'?",
        "3:1 clock 'virtual'?",
        "4:8 mute[0] 'oa-chunk-end'?",
        "5:1 vras 'vars'?",
        "7:24 rules[0].when.last_user.contians 'contains'?",
        "7:38 rules[0].when.operation 'chat'?",
        "8:13 rules[0].reply.error 'rate_limited'?",
        "9:5 rules[1].repl 'reply'?",
        "9:5 rules[1]",
        "9:5 rules[1].reply 'name'?",
        "9:42 rules[1].reply.stream.splitt 'split'?",
        "9:57 rules[1].reply.stream.ttft",
        "11:10 rules[2].replies[0].text",
        "11:29 rules[2].replies[0].headers.date",
        "12:10 rules[2].replies[1].error",
        "12:10 rules[2].replies[1].error 'timeout'?",
        "12:18 rules[2].replies[1].error.nam 'name'?",
        "13:31 rules[3].reply",
        "14:24 rules[4].expect",
        "14:50 rules[4].after_last",
        "16:6 chaos[0].chance",
        "16:17 chaos[0].error 'rate_limited'?",
        "17:19 chaos[1].fault",
        "17:27 chaos[1].fault.cutt 'cut'?",
        "17:51 chaos[1].fault.cut.how 'reset'?",
    ]


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        ("vars: 3\nrules: [{reply: {text: '${vars.x}'}}]", ["2:1"]),  # nobody knows what it holds
        ("rules: [{when: 5, reply: {text: '${vers}'}}]", ["2:10", "2:19"]),
        ("rules: [5, {reply: {error: timeot}}]", ["2:9", "2:21"]),
        ("chaos: [{chance: 2, fault: {drop_done: true}}, {chance: 1, error: timeot}]", ["2:10", "2:60"]),
        ("plan: fre", ["1:1", "2:1"]),
        ("rules: [{replie: {text: a}}]", ["2:9", "2:10"]),  # not that replies is a list
        ("clock: real\nclock: vrtual\nseed: 1e999\nplan: fre", ["2:1", "3:1", "4:7", "5:1"]),
        ("clock: real\nclock: real\nplan: fre", ["3:1", "4:1"]),
        ("provider: nobody\nplan: fre", ["2:1"]),  # nor which plans there are
    ],
    ids=["vars", "when", "rule", "chaos", "version", "another key", "typos and twice", "twice", "provider"],
)
def test_what_is_wrong_beyond_a_wrong_form_is_told_too(lines: str, places: list[str]) -> None:
    version = 2 if places[0] == "1:1" else 1
    found = problems(f"emulator: {version}\n{lines}\n")
    assert [line.removeprefix("s.yaml:").split(": ")[0] for line in found] == places


def test_what_many_misspelt_keys_hide_is_not_looked_for() -> None:
    deep = "{nott: " * 10 + "x" + "}" * 10
    found = problems(f"emulator: 1\nplan: fre\nrules: [{{when: {{last_user: {deep}}}, reply: {{text: a}}}}]\n")
    assert [line.rpartition("; ")[2] for line in found] == ["did you mean 'not'?"] * (MOST_LOOKS + 1)


def test_a_repeated_id_is_a_problem() -> None:
    text = "emulator: 1\nrules:\n- {id: rule-2, reply: {text: a}}\n- {reply: {text: b}}\n"
    assert problems(text) == ["s.yaml:4:3: rules[1]: the id 'rule-2' stands here a second time"]


@pytest.mark.parametrize("name", ["built-in", "proxy", "refused", "unmatched", "replay", "withheld"])
def test_an_id_of_ours_is_a_problem(name: str) -> None:
    text = f"emulator: 1\nrules:\n- {{id: {name}, reply: {{text: a}}}}\n"
    assert problems(text) == [f"s.yaml:3:4: rules[0].id: '{name}' names what is no rule; choose another id"]


def test_data_without_places_has_its_problems_at_the_start() -> None:
    assert problems({"rules": [{"reply": {}}]}) == [
        "s.yaml:1:1: rules[0].reply: needs one of: text, tool_calls, refusal, outputs, json, events, error, embedding, "
        "builtin, proxy"
    ]


# What loads


def test_a_scenario_with_everything() -> None:
    found = scenario(
        """emulator: 1
provider: brainstormrouter
description: All of it.
seed: 7
clock: virtual
validation: strict
mute: [br-tools]
keys: [k]
models: [m]
plan: {requests_per_minute: 3, tokens_per_minute: 200.0}
vars: {x: 1.0}
unmatched: built-in
rules:
  - id: a
    when: {state: {one_of: [1, b]}, stream: true}
    replies:
      - text: hello
        times: 2.0
        latency: 50ms
        stream: {split: 3.0, ttft: 200ms, itl: {lognormal: {median: 15ms, sigma: 0.4, max: 1}}, pace: documented}
        faults: [{cut: {after_bytes: 3.0}, chance: 0.5}]
        headers: {X-Extra: "1"}
        status: 201
        usage: {prompt_tokens: 24}
        finish_reason: content_filter
        verbatim: true
        off_contract: true
        retry_after: 1m
      - refusal: no
    count_by: header:X-Tenant
    then: {state: 1}
    expect: {calls: 3}
"""
    )
    rule = found.rules[0]
    reply = rule.replies[0]
    assert found == Scenario(
        "s.yaml", found.rules, "brainstormrouter", "All of it.", 7, "virtual", "strict", frozenset(["br-tools"]),
        frozenset("k"), frozenset("m"), Plan("scenario", 3, 200), {"x": 1.0}, "built-in", (), found.source, (),
    )  # fmt: skip
    assert rule == Rule(
        "a", "s.yaml:14", "brainstormrouter", "chat", rule.conditions, (frozenset(["1", "b"]), True), rule.replies,
        "repeat", None, "header:X-Tenant", "1", (3, 3), {"calls": 3},
    )  # fmt: skip
    assert reply == Reply(
        "message", {"text": "hello"}, {"X-Extra": "1"}, None, ("rules", 0, "replies", 0), 2, Wait("fixed", 0.05),
        Pace(3, Wait("fixed", 0.2), Wait("lognormal", 0.015, 0.4, 1.0), True), reply.faults, 201,
        {"prompt_tokens": 24}, "content_filter", True, True, 60.0,
    )  # fmt: skip
    assert [(fault.kind, fault.arguments, fault.chance) for fault in reply.faults] == [("cut", {"after_bytes": 3}, 0.5)]
    assert all(
        type(value) is int for value in (reply.times, reply.pace.split, reply.faults[0].arguments["after_bytes"])
    )


def test_a_scenario_with_nothing() -> None:
    found = scenario("emulator: 1")
    assert found == Scenario("s.yaml", (), source=found.source)


@pytest.mark.parametrize(
    ("given_rule", "expected"),
    [
        ({"reply": {"text": "a"}}, ("repeat", None)),
        ({"reply": {"text": "a", "times": 1}}, ("unmatched", 1)),
        ({"replies": [{"text": "a", "times": 2}, {"text": "b"}]}, ("repeat", None)),
        ({"replies": [{"text": "a"}, {"text": "b", "times": 3}]}, ("unmatched", 4)),
        ({"reply": {"text": "a", "times": 3}, "after_last": "cycle"}, ("cycle", None)),
        ({"reply": {"text": "a"}, "after_last": "unmatched"}, ("unmatched", 1)),
    ],
    ids=["one", "once", "first-has-times", "last-has-times", "cycle", "unmatched"],
)
def test_after_last(given_rule: dict[str, Any], expected: tuple[str, int | None]) -> None:
    rule = scenario({"rules": [given_rule]}).rules[0]
    assert (rule.after_last, rule.turns) == expected


@given(
    times=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    after_last=st.sampled_from(["repeat", "cycle", "unmatched"]),
    turn=st.integers(1, 40),
)
def test_reply_at_is_as_in_a_simple_model(times: list[int], after_last: str, turn: int) -> None:
    replies = [{"text": str(index), "times": count} for index, count in enumerate(times)]
    rule = scenario({"rules": [{"replies": replies, "after_last": after_last}]}).rules[0]
    written_out = [index for index, count in enumerate(times) for _ in range(count)]
    place = (turn - 1) % len(written_out) if after_last == "cycle" else min(turn, len(written_out)) - 1
    assert rule.reply_at(turn) == written_out[place]


@pytest.mark.parametrize(
    ("expect", "found"),
    [({"calls": 2}, (2, 2)), ({"min": 1}, (1, float("inf"))), ({"max": 4}, (0, 4)), ({"min": 1, "max": 2}, (1, 2))],
    ids=["calls", "min", "max", "both"],
)
def test_expect(expect: dict[str, int], found: tuple[int, float]) -> None:
    assert scenario({"rules": [{"reply": {"text": "a"}, "expect": expect}]}).rules[0].expect == found


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("a", (frozenset("a"), True)),
        (5, (frozenset("5"), True)),
        ({"equals": "a"}, (frozenset("a"), True)),
        ({"one_of": ["a", "b"]}, (frozenset("ab"), True)),
        ({"not": "a"}, (frozenset("a"), False)),
    ],
    ids=["scalar", "number", "equals", "one-of", "not"],
)
def test_states(state: Any, found: Any) -> None:
    assert scenario({"rules": [{"when": {"state": state}, "reply": {"text": "a"}}]}).rules[0].states == found


@pytest.mark.parametrize(
    ("reply", "kind", "content", "operation"),
    [
        ({"text": "a", "tool_calls": [{"name": "f"}]}, "message", {"text": "a", "tool_calls": [{"name": "f"}]}, "chat"),
        ({"text": {"a": 1.0}}, "message", {"text": {"a": 1.0}}, "chat"),
        ({"refusal": "no"}, "message", {"refusal": "no"}, "chat"),
        ({"json": None, "off_contract": True}, "json", None, "chat"),
        ({"events": ["x"], "off_contract": True}, "events", ["x"], "chat"),
        ({"error": "timeout"}, "error", {"name": "timeout"}, "chat"),
        ({"error": {"name": "timeout"}}, "error", {"name": "timeout"}, "chat"),
        ({"embedding": [1.0, 2.0]}, "embedding", [1.0, 2.0], "embeddings"),
        ({"builtin": True}, "builtin", True, "chat"),
        ({"proxy": True}, "proxy", True, "chat"),
    ],
    ids=[
        "text-and-calls",
        "mapping",
        "refusal",
        "json",
        "events",
        "error",
        "error-mapping",
        "embedding",
        "builtin",
        "proxy",
    ],
)
def test_kinds_of_reply(reply: dict[str, Any], kind: str, content: Any, operation: str) -> None:
    rule = scenario({"rules": [{"reply": reply}]}).rules[0]
    assert (rule.replies[0].kind, rule.replies[0].content, rule.operation) == (kind, content, operation)


@pytest.mark.parametrize(
    ("when", "provider", "operation", "covers"),
    [
        ({}, "beatra", "chat", True),
        ({}, "braintwin", "chat", False),
        ({}, "beatra", "models", False),
        ({"operation": "any"}, "beatra", "chat", True),
    ],
    ids=["same", "another-provider", "another-operation", "any"],
)
def test_covers(when: dict[str, Any], provider: str, operation: str, covers: bool) -> None:
    rule = scenario({"provider": "beatra", "rules": [{"when": when, "reply": {"text": "a"}}]}).rules[0]
    assert rule.covers(provider, operation) is covers


# Warnings

UNREACHABLE = "can never answer: 'all' (s.yaml:3) answers everything before it"


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("reply: {text: a}", "reply: {text: b}", [f"s.yaml:4:3: rules[1]: {UNREACHABLE}"]),
        ("when: {operation: any}, reply: {json: {}, off_contract: true}",
         "when: {operation: models}, reply: {json: {}, off_contract: true}",
         [f"s.yaml:4:3: rules[1]: {UNREACHABLE}"]),
        ("reply: {text: a}", "when: {operation: models}, reply: {json: {}, off_contract: true}", []),
        ("reply: {text: a}", "when: {operation: any}, reply: {json: {}, off_contract: true}", []),
        ("when: {model: x}, reply: {text: a}", "reply: {text: b}", []),
        ("when: {state: started}, reply: {text: a}", "reply: {text: b}", []),
        ("reply: {text: a, times: 1}", "when: {state: x}, reply: {text: b}",
         ["s.yaml:4:3: rules[1]: can never answer: no rule's `then` leads to the state x"]),
        ("reply: {text: a, times: 1}, then: {state: x}", "when: {state: {one_of: [x, y]}}, reply: {text: b}", []),
        ("reply: {text: a, times: 1}", "when: {state: {not: x}}, reply: {text: b}", []),
        ("when: {model: x}, reply: {text: a}", "when: {turn: 1, model: x}, reply: {text: b}",
         ["s.yaml:4:3: rules[1]: can never answer: 'all' (s.yaml:3) answers the same before it"]),
        ("when: {model: x}, reply: {text: a}", "when: {model: y}, reply: {text: b}", []),
        ("reply: {text: a, times: 1}", "reply: {text: b}", []),
        ("reply: {text: a}, then: {state: b}", "when: {state: b}, reply: {text: b}",
         [f"s.yaml:4:3: rules[1]: {UNREACHABLE}"]),
    ],
    ids=["all", "any", "another-operation", "any-after", "condition", "state", "unreached-state", "reached-state",
         "not-a-state", "same-condition", "another-condition", "times", "then"],
)  # fmt: skip
def test_a_rule_that_is_never_reached_is_a_warning(first: str, second: str, found: list[str]) -> None:
    assert warnings(f"emulator: 1\nrules:\n- {{id: all, {first}}}\n- {{{second}}}\n") == found


def test_each_unreachable_rule_is_named_once() -> None:
    text = "emulator: 1\nrules:\n" + "- {reply: {text: a}}\n" * 4
    assert [line.split(": ")[1] for line in warnings(text)] == ["rules[1]", "rules[2]", "rules[3]"]


UNDOCUMENTED = "the docs of Beatra don't list the error timeout, only invalid_request, rate_limited, model_unavailable"


@pytest.mark.parametrize(
    ("provider", "error", "found"),
    [
        ("beatra", "timeout", [f"s.yaml:3:4: rules[0].reply: {UNDOCUMENTED}"]),
        ("beatra", "rate_limited", []),
        ("brivionix", "timeout", []),
        (None, "timeout", []),
    ],
    ids=["undocumented", "documented", "docs-list-none", "any-provider"],
)
def test_an_undocumented_error_is_a_warning(provider: str | None, error: str, found: list[str]) -> None:
    assert warnings(f"emulator: 1\nrules:\n- {{reply: {{error: {error}}}}}\n", provider) == found


# Whatever the file

YAML_BITS = st.sampled_from(
    ["emulator: 1\n", "rules:\n", "- ", "  ", "reply: ", "{text: a}", "when: ", "[", "]", "{", "}", "&a ", "*a", "? ",
     ": ", "|", ">", "'", '"', "!!", "%", "---\n", "...\n", "#", "<<: ", "\t", "\n", "\x00", "\ufeff", "🌍", "${",
     "3.0", "provider: beatra\n", "stream: {split: ", "embedding: ", "events: ", "error: "]
)  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats(allow_nan=False) | st.text(max_size=6)
WORDS = ["emulator", "rules", "reply", "replies", "when", "text", "json", "events", "error", "name", "embedding",
         "stream", "split", "latency", "uniform", "min", "max", "headers", "body", "$.a", "state", "one_of",
         "tool_calls", "arguments", "faults", "cut", "after_bytes", "usage", "status", "tool_result", "content", "like",
         "schema", "provider", "times", "regex", "plan", "vars", "expect", "lt", "elapsed", "operation",
         "details"]  # fmt: skip
TREES = st.recursive(
    VALUES,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.sampled_from(WORDS), items, max_size=4),
    max_leaves=20,
)
REPLIES = st.dictionaries(st.sampled_from(WORDS), TREES, max_size=3)


@given(text=st.lists(YAML_BITS, max_size=25).map("".join) | st.text(max_size=40))
def test_any_text_loads_or_has_problems(text: str) -> None:
    _loads_or_has_problems(text)


@given(data=st.binary(max_size=40))
def test_any_bytes_load_or_have_problems(data: bytes) -> None:
    _loads_or_has_problems(data)


@given(
    provider=st.sampled_from(["beatra", "brainstormrouter"]),
    reply=REPLIES | REPLIES.map(lambda reply: {**reply, "text": "a"}),
    when=st.dictionaries(st.sampled_from([*WORDS, "model", "last_user"]), TREES, max_size=2),
)
def test_any_rule_loads_or_has_problems(provider: str, reply: dict[str, Any], when: dict[str, Any]) -> None:
    _loads_or_has_problems({"emulator": 1, "provider": provider, "rules": [{"when": when, "reply": reply}]})


def _loads_or_has_problems(data: Any) -> None:
    try:
        found = [parse_text(data, "s.yaml", PROVIDERS).file]
    except SourceError as error:
        found = [problem.file for problem in error.problems]
    assert set(found) == {"s.yaml"}
