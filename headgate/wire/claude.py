"""What each family of Claude accepts, as data: it decides how a request is written, wherever Claude is served.

Sources: Anthropic's pages "Adaptive thinking", "Effort", "Mid-conversation system messages", "Models overview" and the
migration guides of Opus 4.7, Opus 5 and Sonnet 5; for `both` samplers, its error "`temperature` and `top_p` cannot both
be specified for this model".
"""

from __future__ import annotations

from headgate.types import Frozen


class Family(Frozen, frozen=True):
    """Models that accept the same. `name` is how their ids begin, "" for what is not known.

    `thinking` is how one asks for thoughts: `none`, `budget` (a number of tokens) or `adaptive`; `thinks` is when they
    think at all: `asked`, `default` (unless told not to) or `always`. `samplers` says which of temperature, top_p and
    top_k they take: `all`, `one` (temperature or top_p) or `none`. `system_turns` are system messages between others.
    """

    name: str
    thinking: str
    thinks: str = "asked"
    efforts: tuple[str, ...] = ()
    samplers: str = "one"
    system_turns: bool = False
    most_output_tokens: int = 128_000


_THREE = ("low", "medium", "high")
_FOUR = (*_THREE, "max")
_FIVE = (*_THREE, "xhigh", "max")

FAMILIES = (
    Family("claude-3", "none", samplers="all", most_output_tokens=4096),
    Family("claude-3-5", "none", samplers="all", most_output_tokens=8192),
    Family("claude-3-7", "budget", samplers="all", most_output_tokens=64_000),
    Family("claude-sonnet-4", "budget", samplers="all", most_output_tokens=64_000),
    Family("claude-opus-4", "budget", samplers="all", most_output_tokens=32_000),
    Family("claude-opus-4-1", "budget", most_output_tokens=32_000),
    Family("claude-sonnet-4-5", "budget", most_output_tokens=64_000),
    Family("claude-haiku-4-5", "budget", most_output_tokens=64_000),
    Family("claude-opus-4-5", "budget", efforts=_THREE, most_output_tokens=64_000),
    Family("claude-sonnet-4-6", "adaptive", efforts=_FOUR, most_output_tokens=64_000),
    Family("claude-opus-4-6", "adaptive", efforts=_FOUR),
    Family("claude-opus-4-7", "adaptive", efforts=_FIVE, samplers="none"),
    Family("claude-opus-4-8", "adaptive", efforts=_FIVE, samplers="none", system_turns=True),
    Family("claude-sonnet-5", "adaptive", "default", _FIVE, "none"),
    Family("claude-sonnet-5-5", "adaptive", "default", _FIVE, "none", system_turns=True),
    Family("claude-haiku-5-5", "adaptive", "default", _FIVE, "none", system_turns=True),
    Family("claude-opus-5", "adaptive", "default", _FIVE, "none", system_turns=True),
    Family("claude-opus-5-5", "adaptive", "always", _FIVE, "none", system_turns=True),
    Family("claude-fable-5", "adaptive", "always", _FIVE, "none", system_turns=True),
    Family("claude-mythos-5", "adaptive", "always", _FIVE, "none", system_turns=True),
    Family("claude-mythos-preview", "adaptive", "always", _FIVE, "none"),
)
# A Claude of tomorrow: it will think as the newest do, and say itself what else it does not take.
_TOMORROW = Family("", "adaptive", efforts=_FIVE, samplers="all")
# Another model behind the same API: these servers know what Anthropic has had the longest.
_FOREIGN = Family("", "budget", samplers="all")


def family_of(model: str) -> Family:
    """The family of a model's id, wherever it is served: `us.anthropic.claude-opus-4-5-20251101-v1:0` too."""
    place = model.lower().find("claude")
    if place < 0:
        return _FOREIGN
    name = model[place:].lower().replace(".", "-")
    found = [family for family in FAMILIES if _begins(name, family.name)]
    return max(found, key=lambda family: len(family.name), default=_TOMORROW)


def _begins(name: str, family: str) -> bool:
    """claude-opus-4-5 begins claude-opus-4-5-20251101, and not claude-opus-4-50."""
    return name.startswith(family) and not name[len(family) : len(family) + 1].isalnum()
