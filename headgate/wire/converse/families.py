"""What the families of models behind Converse take beyond its own members, as data; how Claude thinks: `claude.py`.

Sources: the vendors' pages in the Bedrock user guide ("Inference request parameters", "Prompt caching",
"ToolResultBlock", "Structured outputs"). A model that is not listed is taken for one that has nothing
of its own, except that its tools may be strict.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from headgate.types import Frozen


class Thinks(StrEnum):
    """How a family is told how much to think; the names are ours."""

    NO = "no"
    CLAUDE = "claude"  # as `wire/claude.py` says
    NOVA = "nova"  # reasoningConfig.maxReasoningEffort
    EFFORT = "effort"  # reasoning_effort
    REASONING = "reasoning"  # reasoning.effort


class Family(Frozen, frozen=True):
    """Models whose ids begin with one of `prefixes`, once region and ARN are taken off."""

    prefixes: tuple[str, ...] = ()
    thinks: Thinks = Thinks.NO
    levels: tuple[str, ...] = ()  # of effort, in rising order
    top_k: tuple[str, ...] = ()  # where it stands inside additionalModelRequestFields; empty: nowhere
    cache_points: bool = False
    cache_tools: bool = False  # cache points between tools
    cache_1h: bool = False  # cache points that hold for an hour
    thoughts_from: tuple[str, ...] = ()  # whose signed thoughts it reads
    tool_status: bool = False  # takes `status` in tool results
    strict_tools: bool = True
    stop_sequence_paths: tuple[str, ...] = ()  # where its own answer says which stop sequence it met


_THREE_LEVELS = ("low", "medium", "high")

_CLAUDE = Family(
    prefixes=("anthropic.",),
    thinks=Thinks.CLAUDE,
    top_k=("top_k",),
    cache_points=True,
    cache_tools=True,
    cache_1h=True,
    thoughts_from=("bedrock", "anthropic"),
    tool_status=True,
    stop_sequence_paths=("/stop_sequence", "/delta/stop_sequence"),  # of an answer, and of a stream's event
)
_CLAUDE_4 = msgspec.structs.replace(
    _CLAUDE,
    prefixes=(
        "anthropic.claude-3-7", "anthropic.claude-opus-4-2025", "anthropic.claude-sonnet-4-2025",
        "anthropic.claude-opus-4-1",
    ),
    cache_1h=False,
    strict_tools=False,
)  # fmt: skip
_CLAUDE_3_5_CACHING = msgspec.structs.replace(
    _CLAUDE_4,
    prefixes=("anthropic.claude-3-5-haiku", "anthropic.claude-3-5-sonnet-20241022"),
    thoughts_from=(),
)
_CLAUDE_3 = msgspec.structs.replace(
    _CLAUDE_3_5_CACHING,
    prefixes=("anthropic.claude-3", "anthropic.claude-v2", "anthropic.claude-instant"),
    cache_points=False,
    cache_tools=False,
)

_NOVA = Family(
    prefixes=("amazon.nova",),
    top_k=("inferenceConfig", "topK"),
    cache_points=True,
    tool_status=True,
    strict_tools=False,
)

UNKNOWN = Family()
FAMILIES: tuple[Family, ...] = (
    _CLAUDE,
    _CLAUDE_4,
    _CLAUDE_3_5_CACHING,
    _CLAUDE_3,
    _NOVA,
    msgspec.structs.replace(_NOVA, prefixes=("amazon.nova-2",), thinks=Thinks.NOVA, levels=_THREE_LEVELS),
    Family(prefixes=("amazon.titan", "meta.", "ai21."), strict_tools=False),
    Family(prefixes=("cohere.",), top_k=("k",), strict_tools=False),
    Family(prefixes=("mistral.mistral-7b", "mistral.mixtral"), top_k=("top_k",), strict_tools=False),
    Family(prefixes=("openai.gpt-oss",), thinks=Thinks.EFFORT, levels=_THREE_LEVELS),
    Family(prefixes=("openai.",), thinks=Thinks.REASONING, levels=("none", *_THREE_LEVELS, "xhigh", "max")),
    Family(prefixes=("moonshot",), thinks=Thinks.EFFORT, levels=_THREE_LEVELS),
)


_BY_PREFIX = tuple(
    sorted(
        ((prefix, family) for family in FAMILIES for prefix in family.prefixes),
        key=lambda pair: len(pair[0]),
        reverse=True,
    )
)


def family_of(model: str) -> Family:
    """The family of a model id, an inference profile's id or an ARN; the longest prefix wins."""
    name = model.rsplit("/", 1)[-1]
    without_region = name.partition(".")[2]  # "us.anthropic.claude-..." is asked for across regions
    for prefix, family in _BY_PREFIX:
        if name.startswith(prefix) or without_region.startswith(prefix):
            return family
    return UNKNOWN
