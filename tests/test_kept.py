"""What is kept: the newest, so many and so many bytes; the budget always knows what all of them hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.stores.kept import Budget, Kept


def test_the_oldest_are_forgotten_over_the_number_and_what_is_put_again_is_the_newest() -> None:
    kept: Kept[str, int] = Kept(2, Budget(100))
    assert [kept.put("a", 1, 1), kept.put("b", 2, 1), kept.put("a", 3, 1)] == [(), (), ()]
    assert (kept.put("c", 4, 1), list(kept.items())) == (["b"], [("a", 3), ("c", 4)])
    assert (kept.get("b"), kept.get("c"), "b" in kept, "c" in kept) == (None, 4, False, True)


def test_the_one_that_puts_makes_room_and_keeps_its_newest() -> None:
    budget = Budget(100)
    one: Kept[int, str] = Kept(10, budget)
    two: Kept[int, str] = Kept(10, budget)
    assert [one.put(number, "x", 30) for number in range(3)] == [(), (), ()]
    assert (two.put(0, "y", 80), two.put(1, "y", 20)) == ([], [0])
    assert one.put(3, "x", 40) == [0, 1]
    assert (list(one.items()), list(two.items()), budget.kept) == ([(2, "x"), (3, "x")], [(1, "y")], 90)
    assert (two.put(2, "y", 500), list(two.items())) == ([1], [(2, "y")])


def test_the_oldest_go_as_long_as_they_are_over() -> None:
    kept: Kept[int, int] = Kept(10, Budget(100))
    for number in (1, 2, 5, 3):
        kept.put(number, number, 1)
    kept.drop_while(lambda value: value < 4)
    assert [key for key, _ in kept.items()] == [5, 3]
    kept.drop_while(lambda value: True)
    assert list(kept.items()) == []


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "drop", "clear"]), st.integers(0, 1), st.integers(0, 5), st.integers(0, 60)),
        max_size=40,
    )
)
def test_the_budget_is_what_all_hold(steps: list[tuple[str, int, int, int]]) -> None:
    budget = Budget(100)
    both: list[Kept[int, int]] = [Kept(3, budget), Kept(4, budget)]
    for step, which, key, weight in steps:
        kept = both[which]
        if step == "put":
            dropped = kept.put(key, weight, weight)
            assert (kept.get(key), key in dropped, set(dropped) & {held for held, _ in kept.items()}) == (
                weight,
                False,
                set(),
            )
        elif step == "drop":
            kept.drop(key)
        else:
            kept.clear()
        held = [value for item in both for _, value in item.items()]
        assert budget.kept == sum(held)
        assert [len(list(item.items())) <= most for item, most in zip(both, (3, 4), strict=True)] == [True, True]
        if step == "put":
            assert budget.kept <= 100 or len(list(kept.items())) == 1
