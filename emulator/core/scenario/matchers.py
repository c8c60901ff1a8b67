"""Matching: `when` becomes conditions on a Call; a condition that fails says what was expected and what was there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from emulator.core.durations import parse_duration
from emulator.core.errors import Json
from emulator.core.frozen import frozen
from emulator.core.scenario.template import REQUEST
from emulator.core.schema.cost import TooCostly
from emulator.core.schema.untrusted import Allowance
from emulator.core.secrets.redaction import redact_field
from emulator.core.tree import Path, at, listed, parsed
from emulator.core.values import Call
from emulator.core.wires.request.conversation import tool_results

Test: TypeAlias = Callable[[Json], bool]
Operator: TypeAlias = Callable[[Json, Path, Allowance], Test]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


#: Steps of about 8 ns that are counted for one tool result and one matcher.
RESULT = 400
#: What a field is that the request does not have; unlike null.
ABSENT = _Absent()


@frozen
class Condition:
    """One line of a `when`: the field, what it was expected to be, how to read it, the test, and what that may take."""

    field: str
    expected: Json
    read: Callable[[Call], Json]
    test: Test
    allowed: Allowance

    def holds(self, call: Call) -> bool:
        try:
            return self.test(self.read(call))
        except TooCostly:
            return False

    def mismatch(self, call: Call) -> dict[str, Json] | None:
        """Return the difference where the condition does not hold, with `why` where null alone does not tell."""
        try:
            return None if self.test(self.read(call)) else self.difference(call)
        except TooCostly as error:
            return {**self.difference(call), "why": f"not tried: {error}"}

    def difference(self, call: Call) -> dict[str, Json]:
        """Return what was expected and what is there."""
        actual = self.read(call)
        found = {
            "field": self.field,
            "expected": redact_field(self.field, self.expected),
            "actual": None if actual is ABSENT else redact_field(self.field, actual),
        }
        return {**found, "why": _NOT_NULL} if actual is ABSENT and self.expected is None else found


#: Why null does not match what is shown as null.
_NOT_NULL = "the request has no such field; `absent: true` matches that"


class MatchError(ValueError):
    """A matcher that can never work; `path` leads to it from the `when`."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


def compile_when(when: Mapping[str, Json], allowed: Allowance | None = None) -> tuple[Condition, ...]:
    """Compile a `when` whose form the scenario schema has checked; operation and state are not conditions.

    `allowed` is what its patterns and schemas may take, with those that share it.

    Raises: MatchError, for a pattern, a schema, a duration or a JSON path that cannot be used.
    """
    conditions: list[Condition] = []
    allowed = allowed or Allowance()
    for name, spec in when.items():
        if name == "headers":
            conditions += [_header(header, item, allowed) for header, item in spec.items()]
        elif name == "body":
            conditions += [_body(path, item, allowed) for path, item in spec.items()]
        elif name == "tool_result":
            test = _tool_result(spec, (name,), allowed)
            conditions.append(Condition(name, spec, lambda call: tool_results(call.messages) or ABSENT, test, allowed))
        elif name in _FIELDS:
            test = compile_matcher(spec, (name,), allowed)
            conditions.append(Condition(name, spec, _FIELDS[name], test, allowed))
    return tuple(conditions)


def state_set(spec: Json) -> tuple[frozenset[str], bool]:
    """Return the states that a matcher names, and whether they are the good ones."""
    if not isinstance(spec, Mapping):
        return frozenset([str(spec)]), True
    operator, operand = next(iter(spec.items()))
    return frozenset(map(str, listed(operand))), operator != "not"


def compile_matcher(spec: Json, path: Path, allowed: Allowance) -> Test:
    """Compile a bare scalar (equality) or a mapping with one operator."""
    if not isinstance(spec, Mapping):
        return lambda value: equal(value, spec)
    (name, operand) = next(iter(spec.items()))
    path = (*path, name)
    try:
        return _OPERATORS[name](operand, path, allowed)
    except MatchError:  # of a matcher inside, which knows its own place
        raise
    except ValueError as error:
        raise MatchError(path, str(error)) from None


def equal(left: Json, right: Json) -> bool:
    """Compare as JSON does: 1 is 1.0, but true is not 1."""
    if isinstance(left, str) or isinstance(right, str):
        return left is right or bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def _like(value: Json, wanted: Json) -> bool:
    if isinstance(wanted, Mapping):
        value = parsed(value, value) if isinstance(value, str) else value
        return isinstance(value, Mapping) and all(
            key in value and _like(value[key], item) for key, item in wanted.items()
        )
    return equal(value, wanted)


def _regex(operand: Json, path: Path, allowed: Allowance) -> Test:
    search = allowed.pattern(operand)
    return lambda value: isinstance(value, str) and search(value)


def _schema(operand: Json, path: Path, allowed: Allowance) -> Test:
    verdict = allowed.schema(operand)
    return lambda value: value is not ABSENT and verdict(value)


def _compare(better: Callable[[float, float], bool]) -> Operator:
    def compile_comparison(operand: Json, path: Path, allowed: Allowance) -> Test:
        bound = parse_duration(operand) if isinstance(operand, str) else operand
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and better(value, bound)

    return compile_comparison


def _each(quantifier: Callable[[Iterable[bool]], bool]) -> Operator:
    def compile_list(operand: Sequence[Json], path: Path, allowed: Allowance) -> Test:
        tests = [compile_matcher(item, (*path, index), allowed) for index, item in enumerate(operand)]
        return lambda value: quantifier(test(value) for test in tests)

    return compile_list


def _not(operand: Json, path: Path, allowed: Allowance) -> Test:
    test = compile_matcher(operand, path, allowed)
    return lambda value: not test(value)


def _includes(operand: Json, path: Path, allowed: Allowance) -> Test:
    wanted = set(map(_key, listed(operand)))
    return lambda value: isinstance(value, list | tuple) and wanted <= set(map(_key, value))


def _key(value: Json) -> object:
    """Return what is equal for equal JSON, and can be looked up: lists in pairs would take time squared."""
    if isinstance(value, Mapping):
        return Mapping, frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return list, tuple(map(_key, value))
    return (bool, value) if isinstance(value, bool) else value


_OPERATORS: Mapping[str, Operator] = {
    "equals": lambda operand, path, allowed: lambda value: equal(value, operand),
    "not": _not,
    "contains": lambda operand, path, allowed: lambda value: isinstance(value, str) and operand in value,
    "regex": _regex,
    "one_of": lambda operand, path, allowed: lambda value: any(equal(value, item) for item in operand),
    "includes": _includes,
    "present": lambda operand, path, allowed: lambda value: (value is not ABSENT) is operand,
    "absent": lambda operand, path, allowed: lambda value: (value is ABSENT) is operand,
    "lt": _compare(lambda value, bound: value < bound),
    "lte": _compare(lambda value, bound: value <= bound),
    "gt": _compare(lambda value, bound: value > bound),
    "gte": _compare(lambda value, bound: value >= bound),
    "like": lambda operand, path, allowed: lambda value: _like(value, operand),
    "schema": _schema,
    "any": _each(any),
    "all": _each(all),
}


def _present(value: Json) -> Json:
    return ABSENT if value is None else value


def _read(name: str) -> Callable[[Call], Json]:
    """Return what reads a field of a request, as templates name it."""
    return lambda call: _present(REQUEST[name](call))


_FIELDS: Mapping[str, Callable[[Call], Json]] = {
    "model": lambda call: call.model or ABSENT,
    "elapsed": lambda call: call.elapsed,
    **{name: _read(name) for name in ("stream", "last_user", "system", "turn", "step", "tools")},
}


def _header(name: str, spec: Json, allowed: Allowance) -> Condition:
    key = name.lower()
    test = compile_matcher(spec, ("headers", name), allowed)
    return Condition(f"headers.{key}", spec, lambda call: _present(call.request.headers.get(key)), test, allowed)


def _body(path: str, spec: Json, allowed: Allowance) -> Condition:
    steps = parse_json_path(path)
    test = compile_matcher(spec, ("body", path), allowed)
    return Condition(f"body.{path}", spec, lambda call: at(call.body, steps, ABSENT), test, allowed)


_STEP = re.compile(r"\.([^.\[\]'\"]+)|\[([0-9]{1,6})\]|\['([^']*)'\]")


def parse_json_path(path: str) -> Path:
    """Read `$.a.b[0]['c d']`.

    Raises: MatchError.
    """
    steps: list[str | int] = []
    end = 1
    while path.startswith("$") and end < len(path) and (match := _STEP.match(path, end)):
        steps.append(int(match[2]) if match[2] else match[1] or match[3])
        end = match.end()
    if not path.startswith("$") or end != len(path):
        raise MatchError(("body", path), f"'{path}' is no path into the body; write it like $.messages[0].content")
    return tuple(steps)


def _tool_result(spec: Mapping[str, Json], path: Path, allowed: Allowance) -> Test:
    """Compile a `tool_result`: of the results since the last assistant message, some one fits (or none is there)."""
    if "absent" in spec:
        return lambda value: (value is ABSENT) is spec["absent"]
    for word, quantifier in (("all", all), ("any", any)):
        if word in spec:
            tests = [_tool_result(item, (*path, word, index), allowed) for index, item in enumerate(spec[word])]
            return lambda value: quantifier(test(value) for test in tests)
    parts = {name: compile_matcher(item, (*path, name), allowed) for name, item in spec.items()}
    as_json = isinstance(spec.get("content"), Mapping) and "schema" in spec["content"]

    def fits(result: Mapping[str, str]) -> bool:
        allowed.spend(RESULT, "so many tool results can take so many matchers too long")
        content = parsed(result["content"], result["content"]) if as_json else result["content"]
        return all(test(content if name == "content" else result[name]) for name, test in parts.items())

    return lambda value: value is not ABSENT and any(fits(result) for result in value)
