"""The confidence sequence holds at every look, and the switch acts on it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.semantic.confidence import ConfidenceSequence, wilson
from headgate.policy.semantic.switch import switched_on


@pytest.mark.parametrize("share", [0.005, 0.03, 0.2])
def test_it_holds_at_every_look(share: float) -> None:
    """With 95 % wanted, at most 5 % of the streams may leave it at any time, whoever stops when he likes."""
    streams, left = 200, 0
    for seed in range(streams):
        chance, sequence = random.Random(seed), ConfidenceSequence(expected=0.02)
        for _ in range(400):
            sequence = sequence.observe(chance.random() < share)
            if sequence.log_evidence_against(share) >= math.log(1 / sequence.alpha):
                left += 1
                break
    assert left / streams <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / streams)


def test_a_repeated_wilson_interval_does_not() -> None:
    """Why the sequence is needed: the usual interval, looked at after each outcome, is left far too often."""
    left = 0
    for seed in range(100):
        chance, failures = random.Random(seed), 0
        for trials in range(1, 401):
            failures += chance.random() < 0.05
            interval = wilson(failures, trials)
            if trials > 20 and not interval.low <= 0.05 <= interval.high:
                left += 1
                break
    assert left > 15


@given(failures=st.integers(0, 60), successes=st.integers(0, 3_000))
def test_an_interval_is_around_what_was_seen(failures: int, successes: int) -> None:
    sequence = ConfidenceSequence(trials=failures + successes, failures=failures)
    interval = sequence.interval()
    seen = failures / (failures + successes) if failures + successes else 0.5
    assert 0.0 <= interval.low <= seen <= interval.high <= 1.0
    for edge in (interval.low, interval.high):
        if 1e-9 < edge < 1.0 - 1e-9:  # nearer to 0 or 1 a float is too coarse to say
            assert sequence.log_evidence_against(edge) == pytest.approx(math.log(20), abs=1e-3)


def test_it_narrows() -> None:
    few, many = ConfidenceSequence(trials=100, failures=1), ConfidenceSequence(trials=10_000, failures=100)
    assert many.interval().high < few.interval().high
    assert many.interval().low > few.interval().low
    assert many.interval().high < 0.014


def test_wilson() -> None:
    assert wilson(0, 0).high == 1.0
    interval = wilson(10, 100)
    assert interval.low == pytest.approx(0.0552, abs=1e-4)
    assert interval.high == pytest.approx(0.1744, abs=1e-4)


def test_a_broken_bound_turns_off_with_its_reason_and_trials_turn_on_again() -> None:
    switch = switched_on(0.02)
    for _ in range(50):
        switch = switch.hit(correct=True)
    assert switch.on and switch.reason == ""
    for _ in range(10):
        switch = switch.hit(correct=False)
    assert not switch.on
    assert "verified hits were false" in switch.reason and "2.00%" in switch.reason
    trials = 0
    while not switch.on:
        switch = switch.would_have_hit(correct=True)
        trials += 1
    assert 50 < trials < 300
    assert switch.served.trials == 0 and switch.reason == ""


def test_a_kept_bound_seldom_turns_off() -> None:
    off = 0
    for seed in range(100):
        chance, switch = random.Random(seed), switched_on(0.05)
        for _ in range(300):
            switch = switch.hit(correct=chance.random() >= 0.05)
        off += not switch.on
    assert off <= 6


def test_bad_trials_do_not_turn_on() -> None:
    switch = switched_on(0.01)
    for _ in range(8):
        switch = switch.hit(correct=False)
    assert not switch.on
    for number in range(1_000):
        switch = switch.would_have_hit(correct=number % 20 != 0)
    assert not switch.on
