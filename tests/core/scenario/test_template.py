"""Templates: what is filled, what is empty, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.scenario.template import MAX_OUTPUT, TemplateError, compile_template, lookup, reply_path_check

SCOPE = {"a": "x", "n": 3, "f": 1.5, "t": True, "u": False, "z": None, "m": {"k-1": ["p", {"q": "r"}]}, "l": [1, [2]]}


def render(value: Any) -> tuple[Any, list[str]]:
    told: list[str] = []
    compiled = compile_template(value, lambda path: None)
    return compiled(SCOPE, told.append) if compiled else value, told


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"), ("$", "$"), ("${a}", "x"), ("<${a}${n}>", "<x3>"), ("${f} ${t} ${u}", "1.5 true false"),
        ("${m.k-1.0} ${m.k-1.1.q}", "p r"), ("${l}", "[1,[2]]"), ("${m}", '{"k-1":["p",{"q":"r"}]}'),
        ("$${a}", "${a}"), ("$${a} ${a}", "${a} x"), ("$$${a}", "$${a}"), ("$$$${a}", "$$${a}"), ("$${", "${"),
        ({"k": "${a}", "s": 1}, {"k": "x", "s": 1}), (["${a}", 2, None], ["x", 2, None]),
        ({"k": [{"d": "${n}"}]}, {"k": [{"d": "3"}]}), (("${a}",), ["x"]), (5, 5), (None, None),
        ({"${a}": 1}, {"${a}": 1}),
    ],
)  # fmt: skip
def test_filling(template: Any, filled: Any) -> None:
    assert render(template) == (filled, [])


@pytest.mark.parametrize("path", ["q", "z", "a.b", "l.2", "l.x", "l.-1", "l.9999999999", "m.k-1.0.c", "n.0"])
def test_what_is_not_there_is_empty_and_told(path: str) -> None:
    assert render(f"<${{{path}}}>") == ("<>", [f"${{{path}}} is empty: there is nothing at that path"])


@pytest.mark.parametrize("value", ["plain", "$ {a}", {"a": ["b", 1]}, [], {}, 1.5])
def test_what_has_no_hole_needs_no_filling(value: Any) -> None:
    assert compile_template(value, lambda path: None) is None


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${a", "'${a' has no closing brace; write $${ for a literal ${"),
        ("x ${" + "a" * 50, "'${" + "a" * 38 + "' has no closing brace; write $${ for a literal ${"),
        ("${}", "'${}' is no path; write names joined by dots, or $${ for a literal ${"),
        ("${a b}", "'${a b}' is no path; write names joined by dots, or $${ for a literal ${"),
        ("${a.}", "'${a.}' is no path; write names joined by dots, or $${ for a literal ${"),
        ("${a|upper}", "'${a|upper}' is no path; write names joined by dots, or $${ for a literal ${"),
        ("${a\n}", "'${a\n}' is no path; write names joined by dots, or $${ for a literal ${"),
        ("${1 + 1}", "'${1 + 1}' is no path; write names joined by dots, or $${ for a literal ${"),
    ],
)
def test_what_is_no_path(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template([{"k": template}], lambda path: None)
    assert str(caught.value) == message


def test_the_output_is_capped_and_that_is_told() -> None:
    told: list[str] = []
    compiled = compile_template("${a}${a}!", lambda path: None)
    assert compiled is not None
    assert compiled({"a": "y" * MAX_OUTPUT}, told.append) == "y" * MAX_OUTPUT
    assert told == [f"the text was cut at {MAX_OUTPUT} characters"]


VARS = {"name": "Ada", "list": [1], "deep": {"er": 1}, "nothing": None}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("request.last_user", None),
        ("request.body.any.thing", None),
        ("request.headers.x", None),
        ("vars.name", None),
        ("vars.deep.er", None),
        ("vars.list.0", None),
        ("state", None),
        ("n", None),
        ("now", None),
        ("uuid", None),
        ("reqest.x", "${reqest.x}: nothing is called 'reqest'; did you mean 'request'?"),
        ("zip", "${zip}: nothing is called 'zip'; known: n, now, request, state, uuid, vars"),
        ("request.modle", "${request.modle}: a request has no 'modle'; did you mean 'model'?"),
        ("request", "${request} is a mapping; name one of its fields"),
        ("vars", "${vars} is a mapping; name one of its fields"),
        ("vars.nam", "${vars.nam}: vars has no 'nam'; did you mean 'name'?"),
        ("vars.deep.x", "${vars.deep.x}: vars has no 'deep.x'; did you mean 'deep'?"),
        ("vars.nothing", "${vars.nothing}: vars has no 'nothing'; did you mean 'nothing'?"),
        ("n.x", "${n.x}: 'n' has no fields"),
    ],
)
def test_paths_of_a_reply(path: str, message: str | None) -> None:
    try:
        reply_path_check(VARS)(tuple(path.split(".")))
        said = None
    except TemplateError as error:
        said = str(error)
    assert said == message


@given(text=st.text("a${}.", max_size=30))
def test_a_text_is_filled_or_refused(text: str) -> None:
    try:
        compiled = compile_template(text, lambda path: None)
    except TemplateError:
        return
    filled = compiled({"a": "a"}, lambda _: None) if compiled else text
    assert filled == text or "${" in text


@given(text=st.text())
def test_escaping_is_lossless(text: str) -> None:
    escaped = text.replace("${", "$${")
    assert render(escaped)[0] == text


@given(before=st.text("ab$ "), value=st.text())
def test_a_value_is_never_filled_again(before: str, value: str) -> None:
    compiled = compile_template(before.rstrip("$") + "${v}", lambda path: None)
    assert compiled is not None
    assert compiled({"v": value}, lambda _: None) == before.rstrip("$") + value


def test_lookup_of_no_steps_is_the_value_itself() -> None:
    assert (lookup({"a": 1}, []), lookup({"a": (1, 2)}, ["a", "1"])) == ({"a": 1}, 2)
