"""Streams that no provider is sending to their caller: those that were kept, and those that others receive too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headgate.errors import ClientGone, HeadgateError
from headgate.gateway.blaming import outcome_of
from headgate.gateway.events import EventLog, EventsDropped
from headgate.gateway.journey import Journey
from headgate.policy import pricing
from headgate.ports import Take
from headgate.types import Outcome
from headgate.wire import sse
from headgate.wire.speakers import speaker

PIECE_BYTES = 65_536

Settle = Callable[[Journey, Outcome, HeadgateError | None], Awaitable[None]]


class KeptStream:
    """A stream that was kept: as much of it as the client takes, and its end once it is booked."""

    __slots__ = ("_at", "_body", "_journey", "_settle", "_tail", "log")

    def __init__(self, journey: Journey, body: bytes, tail: bytes, settle: Settle) -> None:
        self._journey = journey
        self._body = body
        self._tail = tail
        self._settle = settle
        self._at = 0
        self.log: EventLog | None = None

    async def relay(self, take: Take) -> bool:
        """As `Answer.relay`."""
        body = self._body
        while len(body) - self._at > PIECE_BYTES:
            piece = body[self._at : self._at + PIECE_BYTES]
            self._at += PIECE_BYTES
            if not take(piece):
                return False
        journey = self._journey
        if not journey.is_settled:
            journey.sent_bytes = len(body)
            last = await _end(journey, self._tail, self._settle)
            take(body[self._at :] + last)
        return True


class SharedStream:
    """A stream that another request receives too, read from its log. `whole` is called when all of it is there."""

    __slots__ = ("_events", "_journey", "_settle", "_shared", "_whole", "log")

    def __init__(self, journey: Journey, shared: EventLog, settle: Settle, whole: Callable[[], None]) -> None:
        self._journey = journey
        self._shared = shared
        self._whole = whole
        self._events = shared.read()
        self._settle = settle
        self.log: EventLog | None = None

    async def relay(self, take: Take) -> bool:
        """As `Answer.relay`."""
        journey, shared = self._journey, self._shared
        if journey.is_settled:
            return True
        try:
            async for number, piece in self._events:
                if shared.is_complete and number == shared.last:
                    self._whole()
                    last = await _end(journey, piece, self._settle)
                    take(last)
                    return True
                journey.sent_bytes += len(piece)
                if not take(piece):
                    return False
        except EventsDropped:
            error: HeadgateError = ClientGone("The answer was read too slowly: what came is not kept any more.")
        except HeadgateError as failure:
            error = failure
        await self._settle(journey, outcome_of(error), error)
        take(speaker(journey.call.route).error_event(error, journey.call.id))
        return True


async def _end(journey: Journey, tail: bytes, settle: Settle) -> bytes:
    """Book the request, and say what its end is: an error, if it could not be booked."""
    try:
        await settle(journey, Outcome.CACHED, None)
    except HeadgateError as error:
        await settle(journey, outcome_of(error), error)
        return speaker(journey.call.route).error_event(error, journey.call.id)
    return sse.comment(f"x-headgate-cost-usd={pricing.format_usd(journey.cost_picousd)}") + tail
