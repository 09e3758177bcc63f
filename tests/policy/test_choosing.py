"""Which model a router picks: who can, what it is worth, what the operator wants."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy import choosing
from headgate.policy.choosing import Choice, Preference, Why, Wish, choose
from headgate.route_types import Candidate, Hardness, Signals

QUESTION = Signals("How high is Mont Blanc?")
SMALL = Candidate("small", 100, 60, tools=False, images=False, json_schema=False, context_tokens=1_000)
MEDIUM = Candidate("medium", 100, 300, images=False, context_tokens=8_000)
LARGE = Candidate("large", 100, 1_000, tools=True, images=True, json_schema=True)
LADDER = (SMALL, MEDIUM, LARGE)
HALF = Preference()

may_be_known = st.none() | st.booleans()
candidates = st.builds(
    Candidate,
    st.just(""),
    st.integers(0, 10_000),
    st.integers(0, 10**12),
    serves=st.booleans(),
    tools=may_be_known,
    images=may_be_known,
    json_schema=may_be_known,
    context_tokens=st.none() | st.integers(1, 20_000),
    usable=st.booleans(),
    ttft_seconds=st.none() | st.floats(0.01, 30),
)
ladders = st.lists(candidates, min_size=1, max_size=4).map(
    lambda found: [
        Candidate(f"m{place}", *(getattr(one, name) for name in Candidate.__struct_fields__[1:]))
        for place, one in enumerate(found)
    ]
)
questions = st.builds(Signals, st.just("?"), tools=st.booleans(), images=st.booleans(), json_schema=st.booleans())
shares = st.floats(0, 1)


def even(loss: float) -> Hardness:
    return Hardness(loss, loss)


def can(one: Candidate, question: Signals) -> bool:
    needed = [(question.tools, one.tools), (question.images, one.images), (question.json_schema, one.json_schema)]
    return one.serves and not any(needs and has is False for needs, has in needed)


def chosen(difficulty: float = 0.2, question: Signals = QUESTION, wants: Preference = HALF, *wishes: Wish) -> Choice:
    return choose(LADDER, question, even(difficulty), wants, wishes)


# --- who can ---


@given(ladders, questions, shares, shares)
def test_never_a_model_that_cannot(
    ladder: list[Candidate], question: Signals, difficulty: float, wanted: float
) -> None:
    choice = choose(ladder, question, even(difficulty), Preference(wanted))
    able = [one.model for one in ladder if can(one, question)]
    assert (choice.model in able) if able else choice.model is None
    assert {*choice.up, *choice.down} <= {*able} - {choice.model}
    assert [one.model for one in choice.candidates] == [one.model for one in ladder]


@given(ladders, questions, shares, shares)
def test_what_is_away_or_too_small_is_chosen_only_if_all_are(
    ladder: list[Candidate], question: Signals, difficulty: float, wanted: float
) -> None:
    choice = choose(ladder, question, even(difficulty), Preference(wanted))
    able = [one for one in ladder if can(one, question)]
    fits = [one for one in able if one.context_tokens is None or one.prompt_tokens + 16 <= one.context_tokens]
    best = [one for one in fits if one.usable] or fits or able
    assert choice.model in {one.model for one in best} or (choice.model is None and not able)


@pytest.mark.parametrize(
    ("question", "model", "excluded"),
    [
        (Signals("", tools=True), "medium", "it has no tools"),
        (Signals("", images=True), "large", "it takes no images"),
        (Signals("", json_schema=True), "medium", "it keeps to no JSON schema"),
    ],
)
def test_what_a_request_needs(question: Signals, model: str, excluded: str) -> None:
    choice = chosen(0.0, question)
    assert (choice.model, choice.candidates[0].excluded) == (model, excluded)


def test_the_prompt_must_fit_into_the_context() -> None:
    ladder = [Candidate(one.model, 5_000, one.cost_picousd, context_tokens=one.context_tokens) for one in LADDER]
    choice = choose(ladder, QUESTION, even(0.0), HALF)
    assert choice.model == "medium"
    assert choice.candidates[0].excluded == "the prompt may have 5000 tokens, its context 1000"


def test_a_slow_model_is_passed_over_while_another_is_faster() -> None:
    slow = [Candidate("small", 1, 1, ttft_seconds=9.0), Candidate("large", 1, 10, ttft_seconds=1.0)]
    wants = Preference(max_ttft_seconds=2.0)
    choice = choose(slow, QUESTION, even(0.0), wants)
    assert (choice.model, choice.why) == ("large", Why.ONLY)
    slower = [slow[0], Candidate("large", 1, 10, ttft_seconds=3.0)]
    assert choose(slower, QUESTION, even(0.0), wants).model == "small"


def test_none_can() -> None:
    choice = choose([SMALL], Signals("", tools=True), even(0.1), HALF)
    assert choice.model is None and choice.reason == "small: it has no tools"


# --- quality against price ---


@given(ladders, shares, shares, shares)
def test_more_wish_for_quality_never_gives_less(
    ladder: list[Candidate], difficulty: float, one: float, other: float
) -> None:
    low, high = (choose(ladder, QUESTION, even(difficulty), Preference(wanted)) for wanted in sorted((one, other)))
    if low.model is not None:
        assert high.quality >= low.quality - 1e-9


@given(ladders, shares)
def test_the_ends_of_the_scale_are_meant_literally(ladder: list[Candidate], difficulty: float) -> None:
    cheap, best = (choose(ladder, QUESTION, even(difficulty), Preference(wanted)) for wanted in (0.0, 1.0))
    able = [one for one in cheap.candidates if not one.excluded]
    if able:
        assert best.model == able[-1].model and not best.up
        costs = {one.model: one.cost_picousd for one in able}
        assert cheap.model is not None and costs[cheap.model] == min(costs.values())


@given(ladders, st.tuples(shares, shares), shares)
def test_a_harder_question_never_gets_less(
    ladder: list[Candidate], difficulties: tuple[float, float], wanted: float
) -> None:
    easy, hard = (choose(ladder, QUESTION, even(difficulty), Preference(wanted)) for difficulty in sorted(difficulties))
    names = [one.model for one in ladder]
    if easy.model is not None and hard.model is not None and wanted > 0:
        costs = {one.model: one.cost_picousd for one in ladder}
        assert names.index(hard.model) >= names.index(easy.model) or costs[hard.model] <= costs[easy.model]


def test_reasons_say_what_was_compared() -> None:
    choice = chosen(0.9)  # medium: 0.55 - 0.15
    assert (choice.model, choice.why, choice.down) == ("large", Why.SCORE, ("medium", "small"))
    assert choice.reason == "large is worth 0.50 at 100% of the dearest price, medium 0.40"


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_a_target_is_reached_on_average_and_costs_less_than_the_best(target: float) -> None:
    chance, exchange, qualities, costs = random.Random(7), 0.5, list[float](), list[int]()
    two = (SMALL, LARGE)
    for _ in range(6_000):
        difficulty = chance.random()
        choice = choose(two, QUESTION, even(difficulty), Preference(target_quality=target, exchange=exchange))
        exchange = choosing.adjusted(exchange, target, choice.quality)
        qualities.append(choice.quality)
        costs.append(next(one.cost_picousd for one in two if one.model == choice.model))
    late = qualities[1_000:]
    assert abs(sum(late) / len(late) - target) < 0.01
    assert sum(costs) < 0.8 * len(costs) * LARGE.cost_picousd


# --- what else decides ---


def test_a_conversation_keeps_its_model_as_long_as_that_can_answer() -> None:
    keeps = Wish("medium", Why.SESSION, "the conversation keeps its model")
    assert chosen(0.99, QUESTION, HALF, keeps).why is Why.SESSION
    moved = chosen(0.0, Signals("", images=True), HALF, keeps)
    assert (moved.model, moved.why) == ("large", Why.ONLY)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=3), st.floats(0, 0.999))
def test_shares_follow_weights(weights: list[tuple[str, float]], chance: float) -> None:
    model = choosing.weighted(weights, chance)
    assert (model == "") == (sum(weight for _, weight in weights) == 0) or model in dict(weights)


def test_half_and_half() -> None:
    spread = [choosing.weighted([("a", 3), ("b", 1)], place / 1000) for place in range(1000)]
    assert spread.count("a") == 750
