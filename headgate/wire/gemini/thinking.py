"""How much a Gemini model may think: levels since the third generation, budgets of tokens in the second.

Ranges and levels by model: https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

import re

import msgspec

from headgate.types import Frozen
from headgate.wire import effort as efforts
from headgate.wire.neutral import Effort

NO_SUMMARY = ("none", "omitted")
_GENERATION = re.compile(r"gemini-(\d+)")
_NEWEST = re.compile(r"gemini-[a-z-]+-latest")  # an alias, which Google moves along
_NEWEST_GENERATION = 3


class ThinkingConfig(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    """A level or a budget, and whether thoughts are shown."""

    include_thoughts: bool = False
    thinking_level: str = ""
    thinking_budget: int | None = None


class Written(Frozen, frozen=True):
    """A configuration, and whether it says what was asked for."""

    config: ThinkingConfig | None
    fits: bool = True


class _Range(Frozen, frozen=True):
    """What a model takes: `levels`, or a budget of `least` to `most` tokens, and 0 if it `can_be_off`."""

    levels: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    can_be_off: bool = False


_RANGES = (
    (re.compile(r"gemini-[12]\.0|gemini-1\.5"), _Range()),
    (re.compile(r"gemini-2\.5-pro"), _Range(least=128, most=32_768)),
    (re.compile(r"gemini-2\.5-flash-lite"), _Range(least=512, most=24_576, can_be_off=True)),
    (re.compile(r"gemini-2"), _Range(least=1, most=24_576, can_be_off=True)),
    (re.compile(r"gemini-3-pro"), _Range(levels=("low", "high"))),
    (re.compile(r"gemini-[a-z0-9.-]*flash"), _Range(levels=("minimal", "low", "medium", "high"))),
    (re.compile(r"gemini-"), _Range(levels=("low", "medium", "high"))),
    (re.compile(r""), _Range(least=1, most=24_576, can_be_off=True)),
)


def generation(model: str) -> int:
    """The 3 of gemini-3-pro-preview; 0 if the name does not tell."""
    if found := _GENERATION.search(model):
        return int(found[1])
    return _NEWEST_GENERATION if _NEWEST.search(model) else 0


def write_thinking(effort: Effort | None, model: str, *, can_think: bool | None = None) -> Written:
    """The thinkingConfig for a model. A budget beyond what the model takes becomes the nearest that it does."""
    if effort is None:
        return Written(None)
    known = next(known for pattern, known in _RANGES if pattern.search(model)) if can_think is not False else _Range()
    is_off = effort.level == "none" or effort.budget_tokens == 0
    shown = effort.summary not in NO_SUMMARY and not is_off
    if known.levels:
        level = "none" if is_off else effort.level or efforts.level_of(effort.budget_tokens or -1)
        nearest = efforts.nearest(level, known.levels)
        is_exact = nearest == level and (effort.budget_tokens or 0) <= 0
        return Written(ThinkingConfig(shown, nearest), fits=is_exact)
    if not known.most:
        return Written(None, fits=is_off)
    if is_off:
        return Written(ThinkingConfig(thinking_budget=0 if known.can_be_off else known.least), fits=known.can_be_off)
    wanted = efforts.budget_of(effort.level) if effort.budget_tokens is None else effort.budget_tokens
    if wanted is None or wanted < 0:  # the model is to decide
        return Written(ThinkingConfig(shown, thinking_budget=wanted))
    budget = min(max(wanted, known.least), known.most)
    return Written(ThinkingConfig(shown, thinking_budget=budget), fits=budget == wanted)
