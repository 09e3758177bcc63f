"""How much a model may think, and the sampling that goes with it."""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.types import Frozen
from headgate.wire.claude import Family
from headgate.wire.effort import LEAST_BUDGET_TOKENS, LEVELS, budget_of, level_of, nearest
from headgate.wire.messages.blocks import ORIGIN, Block
from headgate.wire.messages.toolbox import forces_a_call
from headgate.wire.neutral import Effort, Leftover, Message, Request, Role, Target, Thinking, ToolCall, ToolResult

_FIELD = "reasoning_effort"  # as most callers that are translated write it
_OWN_CHOICE = "medium"  # for a model that must be given a budget, when the caller leaves it to the model
_LEAST_TOP_P_THINKING = 0.95


class ThinkingView(msgspec.Struct):
    """The member `thinking` of a request."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


def read_effort(thinking: ThinkingView | None, level: str | None, leftovers: list[Leftover]) -> Effort | None:
    """What `thinking` and `output_config.effort` ask for together. Raises InvalidRequest."""
    if level is not None and level not in LEVELS:
        raise InvalidRequest(
            f"'output_config.effort' is one of {', '.join(LEVELS)}, not '{level}'.", param="output_config.effort"
        )
    if thinking is None:
        return Effort(level) if level else None
    summary = "auto" if thinking.display == "summarized" else ""
    match thinking.type:
        case "disabled":
            if level:
                leftovers.append(Leftover("output_config.effort", is_hint=True))
            return Effort("none")
        case "adaptive":
            return Effort(level or "", -1, summary)
        case "enabled" if thinking.budget_tokens is not None and thinking.budget_tokens > 0:
            return Effort(level or "", thinking.budget_tokens, summary)
        case "enabled":
            place = "thinking.budget_tokens"
            raise InvalidRequest(f"'{place}' must be a number of at least {LEAST_BUDGET_TOKENS}.", param=place)
        case _:
            raise InvalidRequest(
                f"'thinking.type' is enabled, adaptive or disabled, not '{thinking.type}'.", param="thinking.type"
            )


class Plan(Frozen, frozen=True):
    """How a request is to think: the members `thinking` and `output_config.effort`, and the output ceiling."""

    max_tokens: int
    thinking: Block | None = None
    effort: str = ""
    thinks: bool = False


def plan_thinking(request: Request, target: Target, family: Family, leftovers: list[Leftover]) -> Plan:
    """The effort asked for, in what the family knows. What cannot be kept exactly is left over as a hint."""
    given = request.max_output_tokens if target.max_output_tokens is None else target.max_output_tokens
    ceiling = given or target.default_max_output_tokens
    wanted = request.effort
    if wanted is None or (not wanted.level and wanted.budget_tokens is None):
        return Plan(ceiling, thinks=family.thinks != "asked")
    if wanted.level == "none" or wanted.budget_tokens == 0:
        return _plan_none(ceiling, family, leftovers)
    if target.reasoning is False or family.thinking == "none":
        leftovers.append(Leftover(_FIELD, is_hint=True))
        return Plan(ceiling)
    if family.thinking == "adaptive":
        return _plan_adaptive(request, family, _room(given, target, wanted, family), leftovers)
    return _plan_budget(request, target, _room(given, target, wanted, family), leftovers)


def _room(given: int | None, target: Target, wanted: Effort, family: Family) -> int:
    """The output ceiling: the one given, else room for the thoughts beside the answer."""
    if given is not None:
        return given
    budget = wanted.budget_tokens if wanted.budget_tokens is not None else -1
    thoughts = budget if budget > 0 else budget_of(wanted.level or _OWN_CHOICE) or 0
    return min(target.default_max_output_tokens + thoughts, family.most_output_tokens)


def _plan_none(ceiling: int, family: Family, leftovers: list[Leftover]) -> Plan:
    if family.thinks == "default":
        return Plan(ceiling, {"type": "disabled"})
    if family.thinks == "always":
        leftovers.append(Leftover(_FIELD, is_hint=True))
        return Plan(ceiling, effort=nearest("none", family.efforts), thinks=True)
    return Plan(ceiling)


def _plan_adaptive(request: Request, family: Family, ceiling: int, leftovers: list[Leftover]) -> Plan:
    wanted = request.effort or Effort()
    exact = wanted.budget_tokens is not None and wanted.budget_tokens > 0
    level = wanted.level or level_of(wanted.budget_tokens or -1)
    effort = nearest(level, family.efforts)
    if effort != level or exact:
        leftovers.append(Leftover(_FIELD, is_hint=True))
    if forces_a_call(request):  # some of these models refuse both together; effort says it too
        return Plan(ceiling, effort=effort, thinks=family.thinks != "asked")
    shown: Block = {"display": "summarized"} if wanted.summary else {}
    return Plan(ceiling, {"type": "adaptive", **shown}, effort, thinks=True)


def _plan_budget(request: Request, target: Target, ceiling: int, leftovers: list[Leftover]) -> Plan:
    """The budget is at least 1,024 and below the ceiling; one that stands for a level leaves room for the answer."""
    wanted = request.effort or Effort()
    exact = wanted.budget_tokens if wanted.budget_tokens is not None and wanted.budget_tokens > 0 else None
    if exact is not None:
        budget = min(max(exact, LEAST_BUDGET_TOKENS), ceiling - 1)
    else:
        answer = min(target.default_max_output_tokens, ceiling // 4)
        budget = max(min(budget_of(wanted.level or _OWN_CHOICE) or 0, ceiling - answer), LEAST_BUDGET_TOKENS)
    if forces_a_call(request) or _breaks_thoughts(request.messages) or not LEAST_BUDGET_TOKENS <= budget < ceiling:
        leftovers.append(Leftover(_FIELD, is_hint=True))
        return Plan(ceiling)
    if exact is not None and budget != exact:
        leftovers.append(Leftover(_FIELD, is_hint=True))
    return Plan(ceiling, {"type": "enabled", "budget_tokens": budget}, thinks=True)


def _breaks_thoughts(messages: tuple[Message, ...]) -> bool:
    """Whether the last turn waits for the answer to a tool call that was made without a thought that can be shown.

    A model that thinks to a budget wants to see what it thought before it called the tool.
    """
    if not messages or not any(isinstance(part, ToolResult) for part in messages[-1].parts):
        return False
    for message in reversed(messages):
        if message.role is Role.ASSISTANT:
            calls = any(isinstance(part, ToolCall) for part in message.parts)
            return calls and not any(is_own_thought(part) for part in message.parts)
    return False


def is_own_thought(part: object) -> bool:
    """Whether it is a thought that Anthropic will take back."""
    return isinstance(part, Thinking) and part.origin == ORIGIN and bool(part.signature or part.redacted)


def write_sampling(request: Request, family: Family, plan: Plan, leftovers: list[Leftover]) -> Block:
    """temperature, top_p and top_k, as far as the family takes them beside this thinking. 1 is the default."""
    written: Block = {}
    fixed = plan.thinks or family.samplers == "none"
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and not (fixed and temperature == 1):
        if fixed or temperature > 1:
            leftovers.append(Leftover("temperature"))
        else:
            written["temperature"] = temperature
    if top_p is not None and not (top_p == 1 and (fixed or written)):
        refused = family.samplers == "none" or (family.samplers == "one" and bool(written))
        if refused or (plan.thinks and top_p < _LEAST_TOP_P_THINKING):
            leftovers.append(Leftover("top_p"))
        else:
            written["top_p"] = top_p
    if request.top_k is not None:
        if fixed:
            leftovers.append(Leftover("top_k"))
        else:
            written["top_k"] = request.top_k
    return written
