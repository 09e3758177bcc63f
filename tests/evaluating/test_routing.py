"""Reports on judged prompts, source by source."""

from __future__ import annotations

import numpy as np
import pytest

from headgate.difficulty.loading import load_difficulty
from headgate.evaluating.judging import judge, losses_of
from headgate.evaluating.plan import Plan
from headgate.evaluating.routing import report
from headgate.judgements import Judgement, WeakOutcome

LOSE, TIE, WIN = WeakOutcome.LOSE, WeakOutcome.TIE, WeakOutcome.WIN


def rows(source: str, count: int, outcomes: list[WeakOutcome]) -> list[Judgement]:
    """The prompts grow longer, the outcomes repeat."""
    return [
        Judgement(f"{source} " + "word " * number, "small", "large", outcomes[number % len(outcomes)], source)
        for number in range(count)
    ]


def judged(*, curves: bool = False) -> dict[str, object]:
    some = [*rows("mixed", 500, [LOSE, TIE, TIE, TIE]), *rows("even", 20, [WIN, LOSE]), *rows("small", 40, [LOSE, TIE])]
    hardness = np.array([float(row.weak_outcome is LOSE) for row in some])
    result = report(some, hardness, np.array([row.source == "small" for row in some]), curves)
    return {"macro": result.macro_apgr, **result.by_source}


def test_each_source_has_figures_of_its_own() -> None:
    result = judged()
    mixed, even, small = (result[name] for name in ("mixed", "even", "small"))
    assert mixed.apgr == pytest.approx(0.875)  # type: ignore[attr-defined]
    assert mixed.low <= mixed.apgr <= mixed.high  # type: ignore[attr-defined]
    assert mixed.length_only == pytest.approx(0.5, abs=0.01)  # type: ignore[attr-defined]
    assert mixed.above_length[0] > 0.2  # type: ignore[attr-defined]
    assert even.apgr is None and even.n == 20  # type: ignore[attr-defined]
    assert (small.n, small.prompts, small.seen) == (40, 40, 40)  # type: ignore[attr-defined]


def test_the_average_is_over_large_sources() -> None:
    result = judged()
    assert result["macro"] == result["mixed"].apgr  # type: ignore[attr-defined]


def test_curves_if_asked_for() -> None:
    mixed = judged(curves=True)["mixed"]
    assert [point.share for point in mixed.curve][:3] == [0, 0.05, 0.1]  # type: ignore[attr-defined]
    assert mixed.curve[5].pgr == pytest.approx(1)  # type: ignore[attr-defined]
    assert mixed.curve[5].length_only == pytest.approx(0.25, abs=0.01)  # type: ignore[attr-defined]


def test_a_score_is_that_of_the_router() -> None:
    texts = ["What is 2 + 2?", "Prove the Riemann hypothesis.", "What is 2 + 2?"]
    losses = losses_of(load_difficulty(), texts, embedded=False)
    assert losses[0] == losses[2] != losses[1]


@pytest.mark.parametrize("left_out", ["prompts", "sources"])
def test_the_recipe_is_judged_on_what_it_has_not_seen(left_out: str) -> None:
    """Long prompts are lost in both sources: that can be learned from the others, by prompt and by source."""
    some = [
        Judgement(f"Tell me about {name} {'more ' * length}", "small", "large", LOSE if length > 60 else TIE, source)
        for source, name in (("one", "cats"), ("two", "dogs"), ("three", "birds"))
        for length in range(120)
    ]
    result = judge(some, Plan(left_out=left_out, never_trained_on=frozenset({"three"}), embedded=False))
    assert all(one.apgr > 0.7 and one.seen == 0 for one in result.by_source.values())
