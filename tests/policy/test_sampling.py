"""Which items of large jobs are looked at."""

from __future__ import annotations

import pytest

from headgate.policy.sampling import Stretch, narrowed, spread, stride


def test_every_so_manieth_item_of_all_stretches() -> None:
    three = [Stretch("a", 1, 4), Stretch("b", 7, 7), Stretch("c", 1, 0), Stretch("d", 10, 15)]
    assert list(spread(three, 3)) == [("a", 3), ("d", 10), ("d", 13)]
    assert [number for _, number in spread(three, 1)] == [1, 2, 3, 4, 7, 10, 11, 12, 13, 14, 15]
    assert list(spread(three, 12)) == []


@pytest.mark.parametrize(
    "hits, at_front, first, last",
    [
        ((10, 20), True, 1, 29),  # those that are done
        ((30, 40), False, 21, 45),  # those that are not
        ((20,), True, 11, 29),
        ((10, 40), True, 1, 45),  # mixed
        ((), True, 1, 9),
        ((), False, 41, 45),
    ],
)
def test_probes_tell_where_items_are(hits: tuple[int, ...], at_front: bool, first: int, last: int) -> None:
    probes = {"a": [(number, number in hits) for number in (10, 20, 30, 40)], "b": [(1, True)]}
    assert narrowed(Stretch("a", 1, 45), probes, at_front=at_front) == Stretch("a", first, last)


def test_without_probes_they_may_be_anywhere() -> None:
    whole = Stretch("a", 1, 45)
    assert narrowed(whole, {}, at_front=True) == narrowed(whole, {}, at_front=False) == whole
    everything = {"a": [(number, False) for number in range(1, 46)]}
    assert narrowed(whole, everything, at_front=True).items == narrowed(whole, everything, at_front=False).items == 0


def test_strides_are_powers_of_two_and_find_enough() -> None:
    assert [stride(wanted, wanted, 10) for wanted in (0, 9, 10, 11, 20, 21, 40, 41, 1000)] == [
        1, 1, 1, 2, 2, 4, 4, 8, 128
    ]  # fmt: skip
    assert stride(5, 10_000, 10) == 512, "where they are rare, not all of them are found"
