"""A way to tell people. What it is behind is in `hooks.py` and `postbox.py`."""

from __future__ import annotations

from typing import Protocol

from headgate.alert_types import Alert


class Channel(Protocol):
    """One entry of the block `alerts`."""

    name: str  # where it stands in the configuration, and whom it reaches: no secrets
    kinds: frozenset[str]  # what it wants to hear of

    async def send(self, alert: Alert, now: float) -> str:
        """Try once, at `now` in Unix seconds; what was answered. Raises Undelivered. May be cancelled."""

    async def aclose(self) -> None:
        """Close connections; what is under way may finish."""
