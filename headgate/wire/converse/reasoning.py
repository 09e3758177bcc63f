"""How much a model may think, in the words of its family."""

from __future__ import annotations

from headgate.types import Frozen
from headgate.wire import claude, effort
from headgate.wire.converse.content import Block, BlockWriter
from headgate.wire.converse.families import Thinks
from headgate.wire.neutral import Effort, Message, Request, Role, Thinking, ToolCall, ToolResult

_MEMBER = "reasoning_effort"
_OWN_CHOICE = "medium"  # for a model that has no word for "as you like"


class EffortWords(Frozen, frozen=True):
    """Members of `additionalModelRequestFields` and of `outputConfig`; and whether a Claude will think."""

    additional: Block
    output: Block
    thinks: bool = False


_NOTHING = EffortWords({}, {})


def write_effort(request: Request, writer: BlockWriter) -> EffortWords:
    """What says it to the model. What cannot be said to it, or only nearly, is left over as a hint."""
    wanted = request.effort
    if wanted is None or (not wanted.level and wanted.budget_tokens is None):
        return _by_itself(writer)
    level = wanted.level or effort.level_of(wanted.budget_tokens or 0)
    if writer.family.thinks is Thinks.NO or writer.target.reasoning is False:
        return _NOTHING if level == "none" else _missed(writer)
    if writer.claude is None:
        return _in_a_word(level, writer)
    if level == "none":
        return _claude_unthinking(writer, writer.claude)
    if writer.claude.thinking == "adaptive":
        return _claude_adaptive(request, level, writer, writer.claude)
    if writer.claude.thinking == "budget":
        return _claude_budget(request, wanted, writer)
    return _missed(writer)


def _by_itself(writer: BlockWriter) -> EffortWords:
    """Nothing is said, and some think all the same."""
    return EffortWords({}, {}, thinks=writer.claude is not None and writer.claude.thinks != "asked")


def _in_a_word(level: str, writer: BlockWriter) -> EffortWords:
    if level == "none" and writer.family.thinks is Thinks.NOVA:
        return _NOTHING  # it thinks when asked to
    fitting = effort.nearest(level or _OWN_CHOICE, writer.family.levels)
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


def _claude_unthinking(writer: BlockWriter, family: claude.Family) -> EffortWords:
    if family.thinks == "always":
        _missed(writer)
        return EffortWords({}, {"effort": effort.nearest("none", family.efforts)}, thinks=True)
    return EffortWords({"thinking": {"type": "disabled"}}, {}) if family.thinks == "default" else _NOTHING


def _claude_adaptive(request: Request, level: str, writer: BlockWriter, family: claude.Family) -> EffortWords:
    wanted = request.effort or Effort()
    fitting = effort.nearest(level, family.efforts)
    if fitting != level or (wanted.budget_tokens or 0) > 0:
        _missed(writer)
    output: Block = {"effort": fitting} if fitting else {}
    if _forces_a_call(request):  # some of these models refuse both together; effort says it too
        return EffortWords({}, output, thinks=family.thinks != "asked")
    shown = {"display": "summarized"} if wanted.summary not in ("", "none") else {}
    return EffortWords({"thinking": {"type": "adaptive", **shown}}, output, thinks=True)


def _claude_budget(request: Request, wanted: Effort, writer: BlockWriter) -> EffortWords:
    """Thoughts count as output: a budget has to be below the ceiling, and a level's leaves room for the answer."""
    least, target = effort.LEAST_BUDGET_TOKENS, writer.target
    exact = max(0, wanted.budget_tokens or 0)
    tokens = exact or effort.budget_of(wanted.level or _OWN_CHOICE) or 0
    if not tokens or _forces_a_call(request) or _breaks_thoughts(request.messages, writer):
        return _missed(writer)
    ceiling = target.max_output_tokens
    if ceiling is not None:
        answer = 1 if exact else min(target.default_max_output_tokens, ceiling // 4)
        tokens = min(tokens, ceiling - answer)
    tokens = max(tokens, least)
    if ceiling is not None and tokens >= ceiling:
        return _missed(writer)
    if exact not in (0, tokens):
        _missed(writer)
    return EffortWords({"thinking": {"type": "enabled", "budget_tokens": tokens}}, {}, thinks=True)


def _forces_a_call(request: Request) -> bool:
    """Claude does not think when it has to call a tool."""
    choice = request.tool_choice
    return bool(request.tools) and choice is not None and choice.mode in ("required", "named")


def _breaks_thoughts(messages: tuple[Message, ...], writer: BlockWriter) -> bool:
    """Whether the last turn answers a tool call that was made without a thought that can be shown.

    A Claude that thinks to a budget wants to see what it thought before it called the tool.
    """
    if not messages or not any(isinstance(part, ToolResult) for part in messages[-1].parts):
        return False
    for message in reversed(messages):
        if message.role is Role.ASSISTANT:
            calls = any(isinstance(part, ToolCall) for part in message.parts)
            return calls and not any(isinstance(part, Thinking) and writer.reads(part) for part in message.parts)
    return False


def _missed(writer: BlockWriter) -> EffortWords:
    writer.left_over(_MEMBER, is_hint=True)
    return _NOTHING
