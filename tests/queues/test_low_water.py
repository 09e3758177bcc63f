"""What of a Kafka partition may be committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.queues.kafka.low_water import LowWater


def test_nothing_is_committed_beyond_the_first_that_is_not_done() -> None:
    water = LowWater()
    for offset in (5, 6, 8, 9):  # 7 was compacted away
        water.begin(offset)
    assert water.done(6) is None and water.done(9) is None
    assert water.done(5) == 8
    assert water.done(5) is None  # long done
    assert water.done(8) == 10 and water.position == 10
    assert len(water) == 0


@given(st.permutations(range(30)))
def test_in_whatever_order_they_end_the_mark_is_the_first_open_one(order: list[int]) -> None:
    water, done, committed = LowWater(), set[int](), 0
    for offset in range(30):
        water.begin(offset)
    for offset in order:
        done.add(offset)
        moved = water.done(offset)
        first = next((each for each in range(30) if each not in done), 30)
        assert moved == (first if first != committed else None)
        committed = first
    assert committed == 30
