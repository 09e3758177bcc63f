"""Families of Claude, by the ids they have wherever they are served."""

from __future__ import annotations

import pytest

from headgate.wire.claude import FAMILIES, Family, family_of
from headgate.wire.effort import LEVELS


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-sonnet-4-0", "claude-sonnet-4"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-3-5-haiku-latest", "claude-3-5"),
        ("claude-3-opus-20240229", "claude-3"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("anthropic/Claude-Opus-4.6", "claude-opus-4-6"),
        ("claude-opus-40", ""),
        ("gpt-5", ""),
    ],
)
def test_families(model: str, family: str) -> None:
    assert family_of(model).name == family


def test_a_claude_of_tomorrow_thinks_as_the_newest_do() -> None:
    assert family_of("claude-opus-9").thinking == "adaptive"
    assert family_of("kimi-k3").thinking == "budget"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_table_makes_sense(family: Family) -> None:
    assert family_of(family.name) is family
    assert family.thinking in ("none", "budget", "adaptive") and family.thinks in ("asked", "default", "always")
    assert family.samplers in ("all", "one", "none")
    assert set(family.efforts) < set(LEVELS) and list(family.efforts) == sorted(family.efforts, key=LEVELS.index)
    assert bool(family.efforts) or family.thinking != "adaptive"
