"""Levels of effort and budgets of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire import effort
from headgate.wire.effort import LEVELS, budget_of, level_of, nearest


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "minimal"])
def test_a_budget_leads_back_to_its_level(level: str) -> None:
    budget = budget_of(level)
    assert budget is not None and level_of(budget) == level


@pytest.mark.parametrize(
    ("budget_tokens", "level"),
    [(-1, ""), (0, "none"), (1, "low"), (2560, "low"), (2561, "medium"), (16_000, "high"), (10**9, "max")],
)
def test_the_nearest_level(budget_tokens: int, level: str) -> None:
    assert level_of(budget_tokens) == level


def test_the_page_says_what_the_table_says() -> None:
    rows = [line.split("|")[1:3] for line in (effort.__doc__ or "").split("\n") if line.startswith("|")][2:]
    assert {name.strip(): int(tokens.replace(",", "")) for name, tokens in rows} == {
        level: budget_of(level) for level in LEVELS
    }


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_tokens_are_never_a_lower_level(fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    assert LEVELS.index(level_of(fewer)) <= LEVELS.index(level_of(more))


@pytest.mark.parametrize(
    ("level", "known", "expected"),
    [
        ("high", ("low", "medium", "high"), "high"),
        ("minimal", ("low", "medium", "high"), "low"),
        ("xhigh", ("low", "high", "max"), "high"),
        ("none", ("low",), "low"),
        ("high", (), ""),
        ("some", ("low",), ""),
    ],
)
def test_the_nearest_of_those_that_are_known(level: str, known: tuple[str, ...], expected: str) -> None:
    assert nearest(level, known) == expected


def test_a_level_that_nobody_knows() -> None:
    assert budget_of("some") is None
