"""When deliveries are tried again, and whose turn it is."""

from __future__ import annotations

from collections import Counter

import pytest

from headgate.delivery_types import Waiting
from headgate.policy.delivering import (
    AT_ONCE,
    AT_ONCE_PER_LANE,
    AT_ONCE_PER_TENANT,
    GIVE_UP_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    Busy,
    after_failure,
    backoff_seconds,
    next_ones,
)

NOBODY = Busy({}, {})


def failed(attempts: int, final: bool = False, asked: float = 0.0) -> float | None:
    again = after_failure(attempts, age_seconds=0.0, chance=0.5, final=final, retry_after_seconds=asked)
    return again.pause_seconds


def test_pauses_grow_to_an_hour() -> None:
    pauses = [backoff_seconds(attempt, 0.5) for attempt in range(1, 40)]
    assert pauses == sorted(pauses) and pauses[0] == 3.75 and pauses[-1] == LONGEST_BACKOFF_SECONDS * 0.75
    assert backoff_seconds(1, 0.0) == 2.5 and backoff_seconds(10_000, 0.999) < LONGEST_BACKOFF_SECONDS


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_it_is_tried_for_a_day_and_not_longer(chance: float) -> None:
    age, attempts = 0.0, 0
    while True:
        attempts += 1
        again = after_failure(attempts, age_seconds=age, chance=chance, final=False, retry_after_seconds=0.0)
        if again.pause_seconds is None:
            break
        age += again.pause_seconds
    assert GIVE_UP_SECONDS - LONGEST_BACKOFF_SECONDS <= age <= GIVE_UP_SECONDS
    assert 20 < attempts < 60 and f"{attempts} attempts" in again.reason


def test_what_the_receiver_asks_for() -> None:
    assert failed(1, final=True) is None
    assert failed(1, asked=120.0) == 120.0
    assert failed(1, asked=1e9) == LONGEST_BACKOFF_SECONDS
    assert failed(9, asked=1.0) == LONGEST_BACKOFF_SECONDS * 0.75


def test_who_does_not_answer_keeps_nobody_waiting() -> None:
    silent = [Waiting(f"s{index}", "evil", "hole") for index in range(500)]
    others = [Waiting(f"o{index}", "acme", f"host{index}") for index in range(10)]
    chosen = Counter(one.lane for one in next_ones(silent + others, NOBODY))
    assert chosen["hole"] == AT_ONCE_PER_LANE and all(chosen[f"host{index}"] == 1 for index in range(10))
    busy = Busy({"evil": AT_ONCE_PER_LANE}, {"hole": AT_ONCE_PER_LANE})
    assert busy.full_lanes == ("hole",) and next_ones(silent, busy) == []


def test_a_tenant_with_many_receivers_leaves_room() -> None:
    many = [Waiting(str(index), "evil", f"hole{index}") for index in range(500)]
    chosen = next_ones([*many, Waiting("mine", "acme", "host")], NOBODY)
    assert len(chosen) == AT_ONCE_PER_TENANT + 1 and chosen[-1].id == "mine"
    assert Busy({"evil": AT_ONCE_PER_TENANT}, {}).full_tenants == ("evil",)


def test_a_process_has_only_so_many_under_way() -> None:
    waiting = [Waiting(str(index), f"tenant{index}", f"lane{index}") for index in range(500)]
    assert len(next_ones(waiting, NOBODY)) == AT_ONCE
    assert len(next_ones(waiting, Busy({"x": AT_ONCE - 3}, {"x": AT_ONCE - 3}))) == 3
