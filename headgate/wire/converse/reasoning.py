"""How much a model may think, in the words of its family."""

from __future__ import annotations

from headgate.types import Frozen
from headgate.wire import claude, effort
from headgate.wire.converse.content import Block, BlockWriter
from headgate.wire.converse.families import Thinks
from headgate.wire.neutral import Effort

_MEMBER = "reasoning_effort"
_USUAL = "medium"  # when the model is to decide and has no word for that


class EffortWords(Frozen, frozen=True):
    """Members of `additionalModelRequestFields` and of `outputConfig`."""

    additional: Block
    output: Block


_NOTHING = EffortWords({}, {})


def write_effort(wanted: Effort | None, writer: BlockWriter) -> EffortWords:
    """What says it to the model. What cannot be said to it, or only nearly, is left over as a hint."""
    if wanted is None:
        return _NOTHING
    level = wanted.level or effort.level_of(-1 if wanted.budget_tokens is None else wanted.budget_tokens)
    if writer.family.thinks is Thinks.NO or writer.target.reasoning is False:
        return _NOTHING if level == "none" else _missed(writer)
    if writer.claude is not None:
        return _claude(wanted, level, writer, writer.claude)
    if level == "none" and writer.family.thinks is Thinks.NOVA:
        return _NOTHING  # it thinks when asked to
    fitting = effort.nearest(level or _USUAL, writer.family.levels)
    if level != fitting:
        _missed(writer)
    if not fitting:
        return _NOTHING
    match writer.family.thinks:
        case Thinks.NOVA:
            return EffortWords({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": fitting}}, {})
        case Thinks.REASONING:
            return EffortWords({"reasoning": {"effort": fitting}}, {})
        case _:
            return EffortWords({"reasoning_effort": fitting}, {})


def _claude(wanted: Effort, level: str, writer: BlockWriter, family: claude.Family) -> EffortWords:
    if level == "none":
        if family.thinks == "always":
            return _missed(writer)
        return EffortWords({"thinking": {"type": "disabled"}}, {}) if family.thinks == "default" else _NOTHING
    if family.thinking == "none":
        return _missed(writer)
    if family.thinking == "budget":
        return _budget(wanted, level, writer)
    thinking = {"type": "adaptive"}
    if wanted.summary not in ("", "none"):
        thinking["display"] = "summarized"
    fitting = effort.nearest(level, family.efforts)
    if fitting != wanted.level:
        _missed(writer)
    return EffortWords({"thinking": thinking}, {"effort": fitting} if fitting else {})


def _budget(wanted: Effort, level: str, writer: BlockWriter) -> EffortWords:
    """Thoughts count as output: a budget has to be below the ceiling, and a level's leaves half of it to the answer."""
    ceiling = writer.target.max_output_tokens
    most = None if ceiling is None else ceiling - 1
    tokens = max(0, wanted.budget_tokens or 0)
    if not tokens:
        tokens = effort.budget_of(level or _USUAL) or 0
        most = most and min(most, max(effort.LEAST_BUDGET_TOKENS, most // 2))
    if not tokens:
        return _missed(writer)
    if most is not None and tokens > most:
        _missed(writer)
        tokens = most
        if tokens < effort.LEAST_BUDGET_TOKENS:
            return _NOTHING
    return EffortWords({"thinking": {"type": "enabled", "budget_tokens": tokens}}, {})


def _missed(writer: BlockWriter) -> EffortWords:
    writer.left_over(_MEMBER, is_hint=True)
    return _NOTHING
