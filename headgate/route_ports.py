"""The ports of what is known of routers' choices, and of the conversations that keep their models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.route_types import Answered, Judged, LossSum, RouterGate


class RouteRecords(Protocol):
    """What is known of how well routers choose. Raises DatabaseUnavailable."""

    async def judge(self, judged: Judged) -> None:
        """Add a row; one whose id is there already is left as it is."""

    async def losses(self) -> list[LossSum]:
        """Shadow runs by router, week and gate, the newest weeks first."""

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Judged], str | None]:
        """Rows oldest first, and the cursor of the next page or None. Raises InvalidRequest for a bad cursor."""

    async def gates(self) -> list[RouterGate]:
        """The state of every router that was ever closed."""

    async def turn(self, gate: RouterGate) -> bool:
        """Close or open a router: False if somebody else did so before, and it has this number already."""

    async def answered(self, request_id: str) -> Answered | None:
        """Who asked, and which model a router gave the request to; None: there is no such request, or no router."""


class Sessions(Protocol):
    """Which model each conversation was given, for a while after its last turn. Bounded: who was silent for longest is
    forgotten first. Nothing here raises: a conversation that cannot be looked up is not known.
    """

    async def model(self, session: bytes) -> str:
        """The model of a conversation; empty if it is not known, or too long ago."""

    def keep(self, session: bytes, model: str, seconds: float, unless: Sequence[str] = ()) -> None:
        """A turn was given to a model. One of the models `unless` stays, if that is what the conversation has."""
