"""Which settings have no effect in this version: accepted, so that one file serves several versions, and said aloud."""

from __future__ import annotations

from headgate.config.problems import Place

AVAILABLE_KINDS = ("openai", "sim")

# A place in the configuration, * for any name or index: what it belongs to.
NOT_YET = {
    "store": "a shared store",
    "on_store_failure": "a shared store",
    "queue": "queues",
    "routers": "routers",
    "alerts": "alerts",
    "pii": "PII rules",
    "models.*.cache": "caches",
    "models.*.on_untranslatable": "other dialects",
    "models.*.deployments.*.limits": "limits",
    "tiers.*.requests_per_minute": "limits",
    "tiers.*.tokens_per_minute": "limits",
    "tiers.*.concurrent_requests": "limits",
    "tiers.*.burst_seconds": "limits",
    "tiers.*.budgets": "budgets",
    "tiers.*.on_exceed": "budgets",
    "tiers.*.velocity": "velocity",
    "tiers.*.loop_guard": "loop guard",
    "tiers.*.enforce": "limits",
}
_PATTERNS = {tuple(pattern.split(".")): capability for pattern, capability in NOT_YET.items()}


def missing_capability(place: Place) -> str:
    """What a setting belongs to that this version does not have; empty if it has an effect."""
    for pattern, capability in _PATTERNS.items():
        if len(pattern) == len(place) and all(step in ("*", name) for step, name in zip(pattern, place, strict=True)):
            return capability
    return ""
