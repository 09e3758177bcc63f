"""How much a model may think: levels, and what they are in tokens.

Some APIs take a level, others a ceiling of tokens. This is the one table between the two. A level means a budget of so
many tokens, and a budget means the level whose own is nearest:

| level   | tokens |
|---------|-------:|
| none    |      0 |
| minimal |  1,024 |
| low     |  1,024 |
| medium  |  4,096 |
| high    | 16,384 |
| xhigh   | 32,768 |
| max     | 63,999 |

1,024 is the least that Anthropic takes; 63,999 leaves one token of its usual ceiling of 64,000 for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.wire.neutral import Effort

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
LEAST_BUDGET_TOKENS = 1024

_BUDGETS = {"none": 0, "low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768, "max": 63_999}


def budget_of(level: str) -> int | None:
    """Tokens that a level stands for; None for a level that is not in the table."""
    return _BUDGETS.get("low" if level == "minimal" else level)


def level_of(budget_tokens: int) -> str:
    """The level whose budget is nearest, the lower one of two; "" for a negative budget: the model is to decide."""
    if budget_tokens <= 0:
        return "" if budget_tokens else "none"
    thinking = (level for level in _BUDGETS if level != "none")
    return min(thinking, key=lambda level: abs(_BUDGETS[level] - budget_tokens))


def as_level(effort: Effort) -> tuple[str, bool]:
    """The level for an API that takes nothing else, "" if there is none; and whether it says all that was asked for.

    A ceiling of tokens is said only nearly, and that the model is to decide not at all.
    """
    budget = effort.budget_tokens
    if budget is None or (effort.level and budget < 0):
        return effort.level, True
    return effort.level or level_of(budget), budget == 0


def nearest(level: str, known: Sequence[str]) -> str:
    """The level nearest to `level` of those that a model knows, the lower one of two; "" if there is none."""
    if level not in LEVELS or not known:
        return ""
    wanted = LEVELS.index(level)
    return min(known, key=lambda other: (abs(LEVELS.index(other) - wanted), LEVELS.index(other)))
