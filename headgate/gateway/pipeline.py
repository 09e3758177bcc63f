"""The corridor: what happens to a request, top to bottom.

    authenticate -> look up -> route -> admit -> dispatch -> settle

Knows nothing of HTTP: the edge, and later job workers, WebSockets, the batch API and the simulator, all come in through
`Pipeline.handle`. Every decision is made by a pure function in `policy/`; every effect goes through a port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headgate.errors import (
    Draining,
    FeatureNotAllowed,
    HeadgateError,
    InternalError,
    LedgerFull,
    ModelNotFound,
    TotalTimeout,
)
from headgate.gateway.attempts import outcome_of
from headgate.gateway.dispatch import Dispatcher
from headgate.gateway.events import EventLog
from headgate.gateway.fleet import Setup
from headgate.gateway.journey import AnswerHead, Journey
from headgate.gateway.settling import Settler
from headgate.gateway.watchdog import Watchdog
from headgate.policy import access, pricing
from headgate.policy.access import Denial
from headgate.ports import Clock
from headgate.types import Call, Caller, Outcome
from headgate.wire import openai_stream, sse

DETACHED_LOG_BYTES = 4_000_000


class Answer:
    """What a caller gets: `head` is fixed at the commit point, `events` are the bytes to pass on, as they come.

    A JSON answer is one piece. The last piece of a stream is its end marker or a typed error event.
    """

    __slots__ = ("events", "head", "log")

    def __init__(self, head: AnswerHead, log: EventLog, events: AsyncIterator[bytes]) -> None:
        self.head = head
        self.log = log
        self.events = events


class Pipeline:
    """One process's corridor. `setup` is replaced as a whole by a reload; requests under way keep theirs."""

    def __init__(self, setup: Setup, clock: Clock, settler: Settler) -> None:
        self.setup = setup
        self._clock = clock
        self._settler = settler
        self._dispatcher = Dispatcher(clock, settler)
        self._under_way: set[Journey] = set()

    @property
    def in_flight(self) -> int:
        """Requests between admission and settlement."""
        return len(self._under_way)

    @asynccontextmanager
    async def handle(self, caller: Caller, call: Call) -> AsyncIterator[Answer]:
        """Take an authenticated call through the corridor.

        Raises HeadgateError when there is no answer to show. Whatever happens, the request is settled exactly once:
        leaving the block early counts as a client that went away.
        """
        clock = self._clock
        journey = Journey(caller, call, self.setup, started=clock.monotonic(), started_at=clock.now())
        self._under_way.add(journey)
        try:
            self._route(journey)
            self._admit(journey)
            await self._dispatcher.dispatch(journey)
            if not call.stream:
                journey.ends(Outcome.DONE)
                journey.bytes_out = len(journey.attempt.body) if journey.attempt else 0
                await self._settler.settle(journey)
            log = EventLog(DETACHED_LOG_BYTES if journey.setup.on_disconnect == "detach" else 0)
            yield Answer(journey.head(), log, self._stream(journey, log) if call.stream else self._whole(journey))
        except HeadgateError as error:
            journey.ends(outcome_of(error), error)
            raise
        except Exception as error:
            journey.ends(Outcome.FAILED, InternalError(f"headgate failed: {type(error).__name__}."))
            raise
        finally:
            if journey.watchdog is not None:
                journey.watchdog.stop()
            self._under_way.discard(journey)
            await self._settler.settle(journey)

    def refuse(self, caller: Caller, call: Call, error: HeadgateError) -> None:
        """Record a request that was refused before it could become a call: its body could not be read, say."""
        journey = Journey(caller, call, self.setup, started=self._clock.monotonic(), started_at=self._clock.now())
        journey.ends(Outcome.REFUSED, error)
        self._settler.record(journey)

    def undelivered(self, request_id: str) -> None:
        """The last write of a settled answer did not reach the client."""
        self._settler.undelivered(request_id)

    def interrupt(self, error: Draining) -> None:
        """End every stream still under way with a typed error."""
        for journey in list(self._under_way):
            if journey.watchdog is not None:
                journey.watchdog.interrupt(error)

    def _route(self, journey: Journey) -> None:
        """Find the model, and what the caller's tier lets the request do with it."""
        call, tier = journey.call, journey.caller.tier
        model = journey.setup.models.get(call.model)
        decision = access.decide(tier, call, model.spec.max_output_tokens if model else None)
        if model is None or decision.denied is Denial.MODEL:
            raise ModelNotFound(
                f"The model '{call.model}' does not exist or your key may not use it. GET /v1/models lists yours.",
                param="model",
            )
        if decision.denied is not None:
            raise FeatureNotAllowed(
                f"Your key may not send {decision.denied}: {decision.reason}.", param=decision.denied
            )
        journey.model, journey.lowered_to = model, decision.lowered_to

    def _admit(self, journey: Journey) -> None:
        """Let the request in if it can be accounted for. Limits and budgets will hold their share here."""
        if not self._settler.has_room():
            raise LedgerFull(
                "The ledger cannot take another record now; the operator has been told.", retry_after_seconds=5
            )
        if (model := journey.model) is not None:
            seconds = model.spec.total_seconds
            journey.watchdog = Watchdog(
                self._clock.monotonic,
                seconds,
                lambda: TotalTimeout(f"The request was not finished within {seconds:g} seconds."),
            )

    async def _whole(self, journey: Journey) -> AsyncIterator[bytes]:
        """A JSON answer: settled before it is shown."""
        if journey.attempt is not None:
            yield journey.attempt.body

    async def _stream(self, journey: Journey, log: EventLog) -> AsyncIterator[bytes]:
        """A stream: its pieces as they come, and its end once it is settled."""
        attempt, epoch = journey.attempt, log.claim()
        assert attempt is not None, "there is an answer"
        pieces = attempt.pieces()
        try:
            async for piece in pieces:
                journey.bytes_out += len(piece)
                log.append(epoch, piece)
                yield piece
            journey.ends(Outcome.DONE)
            record = await self._settler.settle(journey)
            last = sse.comment(f"x-headgate-cost-usd={pricing.format_usd(record.cost_picousd)}") + attempt.tail
        except HeadgateError as error:
            journey.ends(outcome_of(error), error)
            await self._settler.settle(journey)
            last = openai_stream.error_event(error, journey.call.id)
        log.append(epoch, last)
        log.close(epoch, journey.error)
        yield last
