"""Which settings have no effect in this version: accepted, so that one file serves several versions, and said aloud."""

from __future__ import annotations

from headgate.config.problems import Place

# A place in the configuration, * for any name or index: what it belongs to.
NOT_YET = {
    "store": "shared store",
    "on_store_failure": "shared store",
    "queue": "queues",
    "routers": "routers",
    "alerts": "alerts",
    "pii": "PII rules",
    "models.*.cache": "caches",
    "models.*.deployments.*.limits": "limits",
    "models.*.price.batch": "batches",
    "models.*.deployments.*.price.batch": "batches",
    "tiers.*.requests_per_minute": "limits",
    "tiers.*.tokens_per_minute": "limits",
    "tiers.*.concurrent_requests": "limits",
    "tiers.*.burst_seconds": "limits",
    "tiers.*.budgets": "budgets",
    "tiers.*.on_exceed": "budgets",
    "tiers.*.velocity": "spend velocity",
    "tiers.*.loop_guard": "loop guard",
    "tiers.*.enforce": "limits",
}
_PATTERNS = {tuple(pattern.split(".")): capability for pattern, capability in NOT_YET.items()}


def missing_capability(place: Place) -> str:
    """What this version lacks for a setting to have an effect; empty if it has one."""
    for pattern, capability in _PATTERNS.items():
        if len(pattern) == len(place) and all(step in ("*", name) for step, name in zip(pattern, place, strict=True)):
            return capability
    return ""
