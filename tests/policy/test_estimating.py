"""The estimator: its bounds here, its accuracy in docs/tokens.md and, roughly, against the real vocabularies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.estimating import (
    SAMPLED_CHARACTERS,
    estimate_prompt_tokens,
    estimate_tokens,
    tool_prompt_tokens,
)

ENGLISH = (
    "The gate decides how much water enters the mill race. When the river is high it is lowered, and when the "
    "river is low it is raised; the miller wants a steady wheel, whatever the weather in the hills has been. "
)
GERMAN = "Das Wehr entscheidet, wie viel Wasser in den Mühlgraben fließt, und der Müller möchte ein ruhiges Rad. "
RUSSIAN = "Шлюз решает, сколько воды попадёт на мельницу, а мельник хочет, чтобы колесо вращалось ровно. "
CHINESE = "水闸决定有多少水流入磨坊的水渠，磨坊主希望水轮无论山里天气如何都平稳地转动。"
CODE = (
    "def settle(self, record: RequestRecord) -> None:\n"
    "    for observer in self._observers:\n"
    "        observer.settled(record)\n"
)


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, RUSSIAN, CHINESE, CODE], ids=["en", "de", "ru", "zh", "code"])
def test_it_is_near_the_real_count(text: str) -> None:
    toktok = pytest.importorskip("toktok", reason="needs headgate[tokenizers]")
    (real,) = toktok.batch_count([text], "o200k_base", threads=1)
    assert estimate_tokens(text) == pytest.approx(real, rel=0.3)


@given(st.text())
def test_it_is_a_sensible_number_for_any_text(text: str) -> None:
    estimate = estimate_tokens(text)
    assert (estimate == 0) == (text == "")
    assert len(text) // 16 <= estimate <= 3 * len(text.encode("utf-8", "replace"))


@pytest.mark.parametrize("unit", [ENGLISH, CHINESE, CODE])
def test_long_texts_are_estimated_from_a_sample(unit: str) -> None:
    whole = unit * (SAMPLED_CHARACTERS // len(unit))
    longer = unit * (10 * SAMPLED_CHARACTERS // len(unit))
    assert estimate_tokens(longer) == pytest.approx(estimate_tokens(whole) * len(longer) / len(whole), rel=0.02)


def test_runs_cost_less_than_their_parts() -> None:
    assert estimate_tokens("x = 1" + " " * 64) < 20
    assert estimate_tokens("\n" * 40) < 40


@pytest.mark.parametrize(("body_bytes", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000)])
def test_a_body_is_a_quarter_of_its_bytes(body_bytes: int, tokens: int) -> None:
    assert estimate_prompt_tokens(body_bytes) == tokens


@pytest.mark.parametrize(
    ("model", "adds"),
    [("claude-sonnet-5", True), ("us.anthropic.claude-haiku-4-5-20251001-v1:0", True), ("gemini-2.5-pro", False)],
)
def test_claude_is_instructed_in_the_use_of_tools(model: str, adds: bool) -> None:
    assert bool(tool_prompt_tokens(model)) is adds
