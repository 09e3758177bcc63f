"""Which settings have no effect in this version: accepted, so that one file serves several versions, and said aloud."""

from __future__ import annotations

from headgate.config.problems import Place

# A place in the configuration, * for any name or index: what it belongs to.
NOT_YET: dict[str, str] = {}
_PATTERNS = {tuple(pattern.split(".")): capability for pattern, capability in NOT_YET.items()}


def missing_capability(place: Place) -> str:
    """What this version lacks for a setting to have an effect; empty if it has one."""
    for pattern, capability in _PATTERNS.items():
        if len(pattern) == len(place) and all(step in ("*", name) for step, name in zip(pattern, place, strict=True)):
            return capability
    return ""
