"""What a request that no provider was asked for would have cost."""

from __future__ import annotations

import msgspec

from headgate.cache_types import Hit
from headgate.gateway.journey import Journey
from headgate.policy import pricing
from headgate.types import Usage


def note(journey: Journey, hit: Hit, model: str, deployment: str, usage: Usage, then_picousd: int = 0) -> None:
    """Note how a request was answered, and what its answer would have cost today from the deployment that gave it.

    `then_picousd` is what it had cost, for a deployment that is gone, or an answer whose tokens are not known.
    """
    journey.hit, journey.given_by = hit, model
    journey.saved_picousd = then_picousd
    served = journey.setup.models.get(model)
    if served is None or not (usage.input or usage.output):
        return
    for one in served.deployments:
        if one.spec.name == deployment:
            price = one.spec.price
            journey.saved_picousd = 0 if price is None else pricing.cost_picousd(usage, price)


def usage_of(journey: Journey) -> Usage:
    """The tokens of the answer that a provider gave, without its own words for them. Not known until it is booked."""
    usage = journey.attempts[-1].usage if journey.attempts else Usage()
    return msgspec.structs.replace(usage, raw=b"") if usage.raw else usage
