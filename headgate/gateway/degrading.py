"""A cheaper model in place of a refusal, where the router or the tier has one."""

from __future__ import annotations

import msgspec

from headgate.gateway.fleet import ServedModel
from headgate.gateway.journey import Journey
from headgate.metering import Meter, Refusal, Verdict
from headgate.types import Measure, MeterKind


def cheaper(journey: Journey, refusal: Refusal) -> ServedModel | None:
    """The model that is asked instead when money is short, if the router or the tier has one that serves this."""
    tier, model = journey.caller.tier, journey.model
    rule = refusal.meter.rule
    is_money = rule.measure is Measure.USD and refusal.verdict in (Verdict.SPENT, Verdict.TOO_LARGE, Verdict.HELD)
    braked = refusal.verdict is Verdict.TRIPPED and rule.action == "degrade"
    if not (is_money or braked) or model is None:
        return None
    if journey.chosen is not None and (name := journey.chosen.cheaper_than(model.spec.name)):
        return journey.setup.models[name]
    cheaper = journey.setup.models.get(tier.degrade_to)
    if cheaper is None or cheaper is model or not cheaper.serves(journey.call.route):
        return None
    return cheaper


def go_on_with(journey: Journey, cheaper: ServedModel) -> None:
    """The caller is told (`x-headgate-degraded-from`)."""
    journey.degraded_from, journey.model = journey.asked_for, cheaper
    journey.tried = cheaper.mute[journey.call.route]


def without_brake(meter: Meter) -> Meter:
    """A velocity that has led to a cheaper model lets that model be asked; it still counts what it costs."""
    if meter.rule.kind is not MeterKind.VELOCITY or meter.rule.action != "degrade":
        return meter
    return msgspec.structs.replace(meter, rule=msgspec.structs.replace(meter.rule, action="alert"))
