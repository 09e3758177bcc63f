"""Checks of the block `routers`. Pure."""

from __future__ import annotations

from headgate.config.problems import Findings, Place, nearest
from headgate.config.schema import Config, RouterConfig

OPERATOR = "headgate"  # the tenant of what the gateway asks for itself


def check_routers(config: Config, findings: Findings) -> None:
    """Add an error for a router that could not choose, and a warning for one that would not as it looks."""
    for name, router in config.routers.items():
        place: Place = ("routers", name)
        _check_members(router, place, findings)
        for model in router.weights:
            _check_member(router, model, (*place, "weights", model), findings)
        if router.weights and not any(router.weights.values()):
            findings.error((*place, "weights"), "every weight is 0", "give one of them a share")
        for index, flag in enumerate(router.flags):
            at = (*place, "flags", index)
            _check_member(router, flag.model, (*at, "model"), findings)
            for number, tier in enumerate(flag.tiers):
                if tier not in config.tiers:
                    where = (*at, "tiers", number)
                    hint = nearest(tier, config.tiers, "tiers")
                    findings.error(where, f"there is no tier {findings.quoted(where, tier)}", hint)
        for at, model in (
            ((*place, "shadow", "judge"), router.shadow.judge),
            ((*place, "escalate", "check_with"), router.escalate.check_with),
        ):
            if model and model not in config.models:
                hint = nearest(model, config.models, "models")
                findings.error(at, f"there is no model {findings.quoted(at, model)}", hint)
        if router.shadow.share and not router.shadow.max_usd_per_day:
            findings.warning((*place, "shadow", "share"), "has no effect without max_usd_per_day", "add an amount")
        if router.target is not None and ((*place, "cost_quality") in findings.origins or router.weights):
            findings.warning((*place, "target"), "a target and cost_quality or weights exclude each other", "keep one")

    if OPERATOR in config.tenants:
        findings.error(("tenants", OPERATOR), "shadow runs of routers are booked for this tenant", "rename it")


def _check_members(router: RouterConfig, place: Place, findings: Findings) -> None:
    if not router.from_:
        findings.error((*place, "from"), "there are no models to choose from", "name them, the cheapest first")
    for index, model in enumerate(router.from_):
        if model in router.from_[:index]:
            findings.error((*place, "from", index), "named twice", "remove it")


def _check_member(router: RouterConfig, model: str, place: Place, findings: Findings) -> None:
    if model not in router.from_:
        hint = nearest(model, router.from_, "models in from")
        findings.error(place, f"{findings.quoted(place, model)} is not one of the router's models", hint)
