"""What is kept: the newest, so many and so many bytes; the budget always knows what all of them hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.stores.bounded import BoundedStore, Budget


def test_the_oldest_are_forgotten_over_the_number_and_what_is_put_again_is_the_newest() -> None:
    kept: BoundedStore[str, int] = BoundedStore(2, Budget(100))
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        kept.put(key, value, 1)
    assert (list(kept.items()), kept.dropped) == ([("b", 2), ("a", 3)], 0)
    kept.put("c", 4, 1)
    assert (list(kept.items()), kept.dropped) == ([("a", 3), ("c", 4)], 1)
    assert (kept.get("b"), kept.get("c"), "b" in kept, "c" in kept) == (None, 4, False, True)


def test_over_the_budget_the_oldest_is_forgotten_whose_ever_it_is() -> None:
    budget = Budget(100)
    one: BoundedStore[int, str] = BoundedStore(10, budget)
    two: BoundedStore[int, str] = BoundedStore(10, budget)
    for number in range(3):
        one.put(number, "x", 30)
    two.put(0, "y", 80)
    assert (list(one.items()), one.dropped, list(two.items()), two.dropped) == ([], 3, [(0, "y")], 0)
    one.put(3, "x", 20)
    two.put(1, "y", 10)
    assert (list(one.items()), list(two.items()), two.dropped, budget.kept) == ([(3, "x")], [(1, "y")], 1, 30)


def test_what_is_larger_than_the_budget_is_not_kept() -> None:
    kept: BoundedStore[int, str] = BoundedStore(10, Budget(100))
    kept.put(0, "x", 30)
    kept.put(1, "x", 500)
    assert (list(kept.items()), kept.dropped) == ([], 2)


def test_the_oldest_go_as_long_as_they_are_over() -> None:
    kept: BoundedStore[int, int] = BoundedStore(10, Budget(100))
    for number in (1, 2, 5, 3):
        kept.put(number, number, 1)
    kept.drop_while(lambda value: value < 4)
    assert [key for key, _ in kept.items()] == [5, 3]
    kept.drop_while(lambda value: True)
    assert (list(kept.items()), kept.dropped) == ([], 0)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "drop", "clear"]), st.integers(0, 1), st.integers(0, 5), st.integers(0, 60)),
        max_size=40,
    )
)
def test_the_budget_is_what_all_hold(steps: list[tuple[str, int, int, int]]) -> None:
    """A list of what was put, the oldest first, tells what is still there."""
    budget = Budget(100)
    both: list[BoundedStore[int, int]] = [BoundedStore(3, budget), BoundedStore(4, budget)]
    expected: list[tuple[int, int, int]] = []
    for step, which, key, weight in steps:
        expected = [row for row in expected if row[0] != which or (step != "clear" and row[1] != key)]
        if step == "put":
            both[which].put(key, weight, weight)
            expected.append((which, key, weight))
            own = [row for row in expected if row[0] == which]
            if len(own) > (3, 4)[which]:
                expected.remove(own[0])
            while sum(row[2] for row in expected) > 100:
                expected.pop(0)
        elif step == "drop":
            both[which].drop(key)
        else:
            both[which].clear()
            assert both[which] not in budget.stores  # sessions come and go
        found = [(index, key, value) for index, kept in enumerate(both) for key, value in kept.items()]
        assert found == sorted(expected, key=lambda row: row[0])
        assert budget.kept == sum(value for _, _, value in found) <= 100
