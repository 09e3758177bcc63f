"""What a caller's tier lets a request do: which models, which features, how much output."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from headgate.types import Call, Features, Frozen, Route, Tier


class Denial(StrEnum):
    """Why a tier refuses."""

    MODEL = "model"
    TOOLS = "tools"
    IMAGES = "images"


class Access(Frozen, frozen=True, gc=False):
    """The decision."""

    denied: Denial | None
    reason: str


_ALLOWED = Access(None, "allowed")


def may_use(tier: Tier, model: str) -> bool:
    """Whether a tier may use a model at all."""
    return "*" in tier.models or model in tier.models


def members(tier: Tier, models: Sequence[str]) -> tuple[str, ...]:
    """The models of a router that a tier's requests may be given.

    A tier that names some of them beside the router is given those alone: whoever may not ask for a model is not given
    it behind another name. A tier that names none has the router in their place, and is given all.
    """
    named = tuple([model for model in models if may_use(tier, model)])
    return named or tuple(models)


def decide(tier: Tier, call: Call, used: Features) -> Access:
    """Decide on a call to a name that exists. `used` are the features the call uses."""
    if not may_use(tier, call.model):
        return Access(Denial.MODEL, f"the tier '{tier.name}' does not include the model '{call.model}'")
    if denied := _missing_feature(tier.features, used):
        return Access(denied, f"the tier '{tier.name}' does not allow {denied}")
    return _ALLOWED


def lowered_to(tier: Tier, call: Call, model_ceiling: int | None) -> int | None:
    """The output ceiling to send upstream, if the caller asked for more or named none.

    `model_ceiling` is the model's own limit on output tokens.
    """
    if (tier.max_output_tokens is None and model_ceiling is None) or call.route is Route.EMBEDDINGS:
        return None
    lowest = min(ceiling for ceiling in (tier.max_output_tokens, model_ceiling) if ceiling is not None)
    if call.max_output_tokens is None:
        # Without a tier ceiling the model's own limit holds anyway: the body can stay as the caller wrote it.
        return tier.max_output_tokens and lowest
    return lowest if lowest < call.max_output_tokens else None


def _missing_feature(allowed: Features, used: Features) -> Denial | None:
    if used.tools and not allowed.tools:
        return Denial.TOOLS
    if used.images and not allowed.images:
        return Denial.IMAGES
    return None
