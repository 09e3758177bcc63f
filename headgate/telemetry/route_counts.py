"""Counts what routers choose, and what becomes of it."""

from __future__ import annotations

import msgspec

from headgate.route_types import Routed
from headgate.telemetry.totals import RouteTotals


class RouteCounts:
    """Told of every request that a router gave to a model, of second looks, and of shadow runs."""

    def __init__(self, totals: RouteTotals) -> None:
        self._totals = totals
        self._read = msgspec.json.Decoder(Routed).decode

    def routed(self, told: str) -> None:
        """A request is over; `told` is how it was routed, as JSON."""
        routed = self._read(told)
        _count(self._totals.decisions, (routed.router, routed.model, routed.why))

    def escalated(self, router: str, doubt: str, to: str) -> None:
        """An answer was not good enough, and a better model gave another one."""
        _count(self._totals.escalations, (router, doubt, to))

    def judged(self, router: str, outcome: str) -> None:
        """A shadow run is over."""
        _count(self._totals.judged, (router, outcome))

    def not_judged(self, router: str, reason: str) -> None:
        """A shadow run came to nothing."""
        _count(self._totals.not_judged, (router, reason))

    def turned(self, router: str, closed: bool) -> None:
        """A router was closed or opened again, by this process."""
        _count(self._totals.turns, (router, "closed" if closed else "open"))


def _count(counts: dict[tuple[str, ...], int], key: tuple[str, ...]) -> None:
    counts[key] = counts.get(key, 0) + 1
