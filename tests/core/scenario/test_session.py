"""Sessions: what holds where options, scenarios and the provider each have a say, and what cannot hold together."""

from __future__ import annotations

from typing import Any

import pytest
from build import NOW, PROVIDERS, make_session, scenario

from emulator.core.scenario.scenario import Scenario
from emulator.core.scenario.session import Conflict, Options, Session, Settings, build_session
from emulator.core.values import Plan

OWN = Plan("own", 5, None)


def build(*texts: str, **options: Any) -> Session:
    loaded = [scenario("emulator: 1\n" + text, label=f"f{number}.yaml") for number, text in enumerate(texts, 1)]
    return build_session("id", "key", PROVIDERS, loaded, Options(**options), NOW)


def conflict(*texts: str, **options: Any) -> list[str]:
    with pytest.raises(Conflict) as caught:
        build(*texts, **options)
    return [str(problem) for problem in caught.value.problems]


def test_with_nothing_said_the_provider_decides() -> None:
    session = build()
    assert (session.provider, session.seed, session.clock, session.rules) == (None, 0, "real", ())
    assert session.settings["braintwin"] == Settings(PROVIDERS["braintwin"].plans["standard"])
    others = {name: item.plan.name for name, item in session.settings.items() if item.plan.name != "unlimited"}
    assert (set(session.settings), others) == (set(PROVIDERS), {"brainstormrouter": "free", "braintwin": "standard"})


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("seed: 5", {}, ("seed", 5)),
        ("seed: 5", {"seed": 0}, ("seed", 0)),
        ("clock: virtual", {}, ("clock", "virtual")),
        ("clock: virtual", {"clock": "real"}, ("clock", "real")),
        ("provider: beatra", {}, ("provider", "beatra")),
        ("provider: beatra", {"provider": "braintwin"}, ("provider", "braintwin")),
    ],
)
def test_an_option_wins_over_a_scenario(text: str, options: dict[str, Any], found: tuple[str, Any]) -> None:
    assert getattr(build(text, **options), found[0]) == found[1]


@pytest.mark.parametrize(
    ("text", "options", "name", "value"),
    [
        ("plan: pro", {}, "plan", PROVIDERS["brainstormrouter"].plans["pro"]),
        ("plan: pro", {"plan": "team"}, "plan", PROVIDERS["brainstormrouter"].plans["team"]),
        ("plan: {tokens_per_minute: 9}", {}, "plan", Plan("scenario", None, 9)),
        ("plan: pro", {"plan": OWN}, "plan", OWN),
        ("plan: unlimited", {}, "plan", Plan("unlimited")),
        ("plan: standard", {}, "plan", PROVIDERS["brainstormrouter"].plans["free"]),
        ("validation: strict", {}, "validation", "strict"),
        ("validation: strict", {"validation": "off"}, "validation", "off"),
        ("unmatched: built-in", {}, "unmatched", "built-in"),
        ("vars: {a: 1}", {}, "vars", {"a": 1}),
        ("keys: [a]", {}, "keys", frozenset("a")),
        ("keys: [a]", {"api_keys": ("b",)}, "keys", frozenset("b")),
        ("", {"api_keys": ("b",)}, "keys", frozenset("b")),
        ("", {}, "keys", None),
        ("mute: [br-tools]", {}, "muted", frozenset(["br-tools"])),
        ("models: [m]", {}, "models", frozenset("m")),
    ],
)
def test_settings(text: str, options: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(build(text, **options).settings["brainstormrouter"], name) == value


def test_settings_are_per_provider() -> None:
    session = build(
        "provider: beatra\nplan: unlimited\nvars: {a: 1}", "provider: braintwin\nvars: {a: 2}", "mute: [be-auth]"
    )
    assert [session.settings[name].vars for name in ("beatra", "braintwin", "brivionix")] == [{"a": 1}, {"a": 2}, {}]
    assert [session.settings[name].muted for name in ("beatra", "braintwin")] == [frozenset(["be-auth"])] * 2
    assert session.provider is None


def test_mutes_and_models_of_several_scenarios_add_up() -> None:
    settings = build("mute: [be-auth]\nmodels: [a]", "mute: [be-model]\nmodels: [b]").settings["beatra"]
    assert (settings.muted, settings.models) == (frozenset(["be-auth", "be-model"]), frozenset("ab"))


DISAGREE = "two scenarios that are served together disagree here"


@pytest.mark.parametrize(
    ("one", "two", "values"),
    [
        ("seed: 1", "seed: 2", (": 1", ": 2")),
        ("clock: real", "clock: virtual", (": 'real'", ": 'virtual'")),
        ("plan: free", "plan: pro", (": 'free'", ": 'pro'")),
        ("keys: [a]", "keys: [b]", ("", "")),
        ("validation: off", "validation: strict", (": 'off'", ": 'strict'")),
        ("unmatched: refuse", "unmatched: built-in", (": 'refuse'", ": 'built-in'")),
        ("vars: {a: 1}", "vars: {a: 2}", ("", "")),
    ],
)
def test_scenarios_that_disagree_are_a_conflict_with_both_places(one: str, two: str, values: tuple[str, str]) -> None:
    name, two = one.partition(":")[0], f"description: x\n{two}"
    said = [f"f1.yaml:2:1: {name}: {DISAGREE}{values[0]}", f"f2.yaml:3:1: {name}: {DISAGREE}{values[1]}"]
    assert conflict(one, two) == said
    assert build(one, one).scenarios[0].file == "f1.yaml"


def test_an_option_settles_what_scenarios_disagree_about() -> None:
    session = build("seed: 1\nplan: free", "seed: 2\nplan: pro", seed=3, plan="team")
    assert (session.seed, session.settings["brainstormrouter"].plan.name) == (3, "team")


@pytest.mark.parametrize(("one", "two"), [("beatra", "braintwin")])
def test_what_is_said_of_different_providers_is_no_conflict(one: str, two: str) -> None:
    session = build(f"provider: {one}\nvalidation: off", f"provider: {two}\nvalidation: strict")
    assert [session.settings[name].validation for name in (one, two)] == ["off", "strict"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provider": "beatr"}, "provider: there is no provider 'beatr'; did you mean 'beatra'?"),
        ({"plan": "proo"}, "plan: there is no plan 'proo'; did you mean 'pro'?"),
        ({"validation": "x"}, "validation: there is no validation 'x'; known: compatible, documented, off, strict"),
        ({"clock": "x"}, "clock: there is no clock 'x'; known: real, virtual"),
    ],
)
def test_options_that_name_what_does_not_exist(options: dict[str, Any], said: str) -> None:
    assert conflict(**options) == [said]


def test_rules_of_several_files_stand_in_order_and_equal_ids_get_the_files_number() -> None:
    rules = "rules: [{reply: {text: a}}, {id: x, reply: {text: b}}]"
    session = build(rules, "provider: beatra\n" + rules, rules)
    ids = [rule.id for rule in session.rules]
    assert ids == ["rule-1", "x", "rule-1@2", "x@2", "rule-1@3", "x@3"]
    assert [rule.id for rule in session.rules_for("braintwin", "chat").rules] == ["rule-1", "x", "rule-1@3", "x@3"]
    assert [rule.id for rule in session.rules_for("braintwin", "chat").rules] == ["rule-1", "x", "rule-1@3", "x@3"]
    assert [rule.id for rule in session.rules_for("beatra", "chat").rules] == ids
    assert session.rules_for("brainstormrouter", "models").rules == ()


def test_options_over_others() -> None:
    mine, other = Options(seed=0, api_keys=()), Options("beatra", 5, "virtual", "free", "off", ("k",))
    assert mine.over(other) == Options("beatra", 0, "virtual", "free", "off", ("k",))
    assert other.over(mine) == other


def test_a_conflict_of_scenarios_without_places() -> None:
    loaded = [Scenario("a", (), seed=1), Scenario("b", (), seed=2)]
    with pytest.raises(Conflict) as caught:
        build_session("id", "key", PROVIDERS, loaded, Options(), NOW)
    assert str(caught.value) == f"a:1:1: seed: {DISAGREE}: 1\nb:1:1: seed: {DISAGREE}: 2"


def test_rules_are_found_by_their_exact_text_and_stay_in_order() -> None:
    texts = ["a", None, "b", "a", {"equals": "a"}, {"not": "a"}, {"contains": "a"}]
    rules = [{"reply": {"text": "x"}, **({"when": {"last_user": text}} if text else {})} for text in texts]
    index = make_session({"rules": rules}).session.rules_for("beatra", "chat")
    numbers = {rule.id: number for number, rule in enumerate(index.rules)}
    for text, found in (("a", [0, 1, 3, 4, 5, 6]), ("b", [1, 2, 5, 6]), ("c", [1, 5, 6]), (None, [1, 5, 6])):
        assert [numbers[rule.id] for rule in index.possible(text)] == found
