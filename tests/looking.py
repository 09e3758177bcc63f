"""How often to look for what another process does and does not announce."""

from __future__ import annotations

SHORTEST_SECONDS, LONGEST_SECONDS = 0.02, 0.2


def pause_seconds(waited_seconds: float) -> float:
    """Until the next look, after having waited so long: each look takes time from the process that is looked at."""
    return min(max(SHORTEST_SECONDS, waited_seconds / 10), LONGEST_SECONDS)
