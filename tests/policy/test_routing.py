"""Which deployment answers."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.routing import Balance, Candidate, choose

weights = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, 2.5]) | st.floats(0, 1e6)
balances = st.sampled_from(Balance)
chances = st.floats(0, 1, exclude_max=True)


@st.composite
def fleets(draw: st.DrawFn) -> list[Candidate]:
    parts = draw(st.lists(st.tuples(weights, st.integers(0, 10_000), st.booleans()), max_size=6))
    return [Candidate(index, *part) for index, part in enumerate(parts)]


@given(fleets(), balances, st.integers(0, 1000), chances)
def test_only_usable_deployments_are_chosen(fleet: list[Candidate], balance: Balance, turn: int, chance: float) -> None:
    choice = choose(fleet, balance, turn=turn, chance=chance)
    usable = {candidate.index for candidate in fleet if candidate.usable}
    assert choice.index in usable if usable else choice.index is None
    assert choice.reason


@given(fleets(), st.sampled_from([Balance.WEIGHTED, Balance.LEAST_BUSY]), st.integers(0, 1000), chances)
def test_weight_zero_gets_nothing_while_another_has_weight(
    fleet: list[Candidate], balance: Balance, turn: int, chance: float
) -> None:
    index = choose(fleet, balance, turn=turn, chance=chance).index
    if index is not None and any(candidate.usable and candidate.weight > 0 for candidate in fleet):
        assert fleet[index].weight > 0


def test_rounding_does_not_reach_a_deployment_without_weight() -> None:
    fleet = [Candidate(index, weight, 0, True) for index, weight in enumerate([0.1, 0.2, 0.3, 0.0])]
    assert choose(fleet, Balance.WEIGHTED, turn=0, chance=1 - 2**-53).index == 2


@given(st.integers(2, 6), st.integers(0, 1000))
def test_round_robin_is_fair(size: int, first_turn: int) -> None:
    fleet = [Candidate(index, 1.0, 0, True) for index in range(size)]
    chosen = [choose(fleet, Balance.ROUND_ROBIN, turn=first_turn + turn, chance=0).index for turn in range(3 * size)]
    assert Counter(chosen) == dict.fromkeys(range(size), 3)
    assert all(chosen[turn] == chosen[turn + size] for turn in range(2 * size))


def test_weights_are_shares_of_the_traffic() -> None:
    chance = random.Random(7)
    fleet = [Candidate(0, 1.0, 0, True), Candidate(1, 3.0, 0, True), Candidate(2, 6.0, 0, True)]
    chosen = Counter(choose(fleet, Balance.WEIGHTED, turn=0, chance=chance.random()).index for _ in range(10_000))
    for index, share in enumerate((0.1, 0.3, 0.6)):
        four_sigma = 4 * (share * (1 - share) / 10_000) ** 0.5
        assert abs(chosen[index] / 10_000 - share) < four_sigma


def test_without_any_weight_the_traffic_is_still_spread() -> None:
    fleet = [Candidate(index, 0.0, 0, True) for index in range(3)]
    assert {choose(fleet, Balance.WEIGHTED, turn=turn, chance=0.5).index for turn in range(3)} == {0, 1, 2}


@given(fleets(), st.integers(0, 1000))
def test_least_busy_picks_the_least_for_its_weight(fleet: list[Candidate], turn: int) -> None:
    index = choose(fleet, Balance.LEAST_BUSY, turn=turn, chance=0).index
    ranked = [candidate for candidate in fleet if candidate.usable and candidate.weight > 0]
    if ranked:
        assert index is not None
        least = min(candidate.tokens_in_flight / candidate.weight for candidate in ranked)
        assert fleet[index].tokens_in_flight / fleet[index].weight == least


def test_ties_of_least_busy_go_round() -> None:
    fleet = [Candidate(index, 1.0, 40, True) for index in range(3)]
    assert [choose(fleet, Balance.LEAST_BUSY, turn=turn, chance=0).index for turn in range(4)] == [0, 1, 2, 0]
