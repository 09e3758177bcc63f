"""Requests that are sent with an idempotency key: one of them is answered and charged, all others get its result.

The first to come takes the key. Who comes while it is under way gets what it gets, as it comes: in this process from
its log, in others by looking at what it leaves in the store. What is left is the result, kept before the answer is
booked and its end shown. A request that came to nothing leaves nothing, and the key is free again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial

import msgspec

from headgate.cache_types import Hit
from headgate.errors import ClientGone, DatabaseUnavailable, Draining, HeadgateError, StreamIncomplete
from headgate.gateway import saving
from headgate.gateway.admission import Admissions
from headgate.gateway.answers import Answer, AnswerHead
from headgate.gateway.entering import let_in_unpaid
from headgate.gateway.flights import Flight, Landing
from headgate.gateway.journey import Journey
from headgate.gateway.replaying import KeptStream, Settle, SharedStream
from headgate.gateway.settling import Settler
from headgate.gateway.tickets import KeyedTicket
from headgate.idempotency_errors import IdempotencyKeyReused, IdempotencyOutcomeUnknown, IdempotentResultNotKept
from headgate.idempotency_types import SECONDS_PER_HOUR, KeyedRequest, KeyedResult
from headgate.policy import idempotency
from headgate.policy.idempotency import Standing
from headgate.ports import Clock, IdempotencyStore
from headgate.types import Outcome, Usage
from headgate.wire import endings

ALIVE_SECONDS = 15.0  # a process that says nothing for so long is thought dead
PRUNE_SECONDS = 600.0
FIRST_LOOK_SECONDS = 0.05  # at a request that another process has; each later look after twice the time
LONGEST_LOOK_SECONDS = 1.0
MOST_UNSAVED = 100  # results that are kept here while the database is away

log = logging.getLogger(__name__)


class Idempotency:
    """One process's keys, and those of all others through the store."""

    def __init__(
        self,
        store: IdempotencyStore,
        clock: Clock,
        settler: Settler,
        admissions: Admissions,
        alive_seconds: float = ALIVE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settler = settler
        self._admissions = admissions
        self._alive_seconds = alive_seconds
        self._owner = clock.new_id("process")
        self._flights: dict[bytes, Flight] = {}  # by key, of requests that this process runs
        self._led: dict[str, Flight] = {}  # the same by request id
        self._unsaved: dict[bytes, tuple[str, KeyedResult | None]] = {}  # None: it came to nothing
        self._background: set[asyncio.Task[None]] = set()

    async def look_up(self, journey: Journey, settle: Settle) -> Answer | None:
        """The result of the key's request; None if the key is this one's now, which then runs as any other does.

        Raises IdempotencyKeyReused, IdempotencyOutcomeUnknown, IdempotentResultNotKept, DatabaseUnavailable or
        LimitRefusal.
        """
        call = journey.call
        ticket = KeyedTicket(idempotency.key_of(call, journey.caller), idempotency.content_of(call))
        journey.keyed = ticket
        pause_seconds = FIRST_LOOK_SECONDS
        while True:
            request = self._request(journey, ticket)
            ticket.is_asking = True
            found = await self._store.claim(request, self._clock.now())
            ticket.is_asking = found.request_id == call.id
            if ticket.is_asking:
                self._lead(journey, ticket)
                return None
            how = idempotency.standing(found, ticket.content, journey.setup.idempotency.on_unknown, self._clock.now())
            flight = self._flights.get(ticket.key)
            if flight is not None and how in (Standing.LOST, Standing.UNKNOWN):
                how = Standing.UNDER_WAY  # here, whatever the clock says
            _refuse(how)
            if how is Standing.DONE and found.result is not None:
                return await self._replay(journey, found.result, settle)
            if how is Standing.LOST:
                ticket.is_asking = True
                ticket.is_asking = await self._store.take_over(found, request)
                if ticket.is_asking:
                    self._lead(journey, ticket)
                    return None
            if flight is not None and flight.can_be_joined:
                if (answer := await self._follow(journey, ticket, flight, settle)) is not None:
                    return answer
            elif how is Standing.UNDER_WAY:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_LOOK_SECONDS)

    # --- of the request that has the key, on its way ---

    def committed(self, journey: Journey) -> None:
        """The commit point of a stream: who follows gets its pieces from here on."""
        if (flight := _led_by(journey)) is not None:
            flight.answered(journey.head())

    async def finished(self, journey: Journey, body: bytes, tail: bytes = b"") -> None:
        """The answer is complete and not booked yet: keep it. `body` is a JSON answer, of a stream `tail` is its end.

        While the database is away the answer goes out all the same, and its result waits here.
        """
        flight, ticket = _led_by(journey), journey.keyed
        if flight is None or ticket is None or ticket.is_finished:
            return
        result = await self._result(journey, flight, body, tail)
        try:
            journey.is_uncharged = not await self._store.finish(ticket.key, journey.call.id, result)
        except DatabaseUnavailable as error:
            self._later(ticket.key, journey.call.id, result, error)
        ticket.is_finished = True

    def answered(self, journey: Journey, body: bytes, tail: bytes = b"", error: HeadgateError | None = None) -> None:
        """It is booked too: give it to those who wait for it. `error`: the stream broke, and that is its end."""
        flight, ticket = _led_by(journey), journey.keyed
        if flight is None or ticket is None:
            return
        self._forget(journey, ticket)
        flight.usage = saving.usage_of(journey)
        if not journey.call.stream:
            flight.answered(journey.head(), body)
        elif error is None:
            flight.write(tail)
        flight.end(error)

    def left(self, journey: Journey, error: BaseException | None) -> None:
        """A request with a key is over, whatever became of it."""
        ticket = journey.keyed
        if ticket is None or (flight := ticket.flight) is None:
            if ticket is not None and ticket.is_asking and not ticket.leads:
                self._run(self._release(ticket.key, journey.call.id))  # left before the store could answer
            return
        if not ticket.leads:
            ticket.flight = None
            flight.leave()
            return
        self._forget(journey, ticket)
        theirs = error if isinstance(error, HeadgateError) else None
        flight.end(theirs or StreamIncomplete("The request that this answer came from was given up."))
        flight.sends_back()
        if not ticket.is_finished:
            self._run(self._release(ticket.key, journey.call.id))

    def outlives(self, request_id: str, cancel: Callable[[], object]) -> bool:
        """A request's client left: whether others wait for its result. `cancel` is called when the last has left."""
        flight = self._led.get(request_id)
        return flight is not None and flight.outlives(cancel)

    # --- all the time ---

    async def run_forever(self) -> None:
        """Say that this process lives, save what could not be saved, and drop keys whose time is over."""
        pruned_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(self._alive_seconds / 3)
            try:
                if self._flights:
                    await self._store.keep_alive(self._owner, self._clock.now() + self._alive_seconds)
                for key, (request_id, result) in list(self._unsaved.items()):
                    if result is None:
                        await self._store.release(key, request_id)
                    else:
                        await self._store.finish(key, request_id, result)
                    del self._unsaved[key]
                if self._clock.monotonic() - pruned_at >= PRUNE_SECONDS:
                    pruned_at = self._clock.monotonic()
                    await self._store.prune(self._clock.now())
            except HeadgateError as error:
                log.warning("idempotency keys were not kept up to date: %s", error.message)

    async def finish(self) -> None:
        """Wait for what is done in the background."""
        if self._background:
            await asyncio.wait(self._background)

    # --- parts ---

    def _request(self, journey: Journey, ticket: KeyedTicket) -> KeyedRequest:
        now = self._clock.now()
        keep_seconds = journey.setup.idempotency.keep_hours * SECONDS_PER_HOUR
        return KeyedRequest(
            ticket.key, ticket.content, journey.call.id, self._owner, now + self._alive_seconds, now + keep_seconds
        )

    def _lead(self, journey: Journey, ticket: KeyedTicket) -> None:
        ticket.flight, ticket.leads = Flight(journey.call.id), True
        self._flights[ticket.key] = self._led[journey.call.id] = ticket.flight

    def _forget(self, journey: Journey, ticket: KeyedTicket) -> None:
        """Nobody joins it any more."""
        flight, ticket.flight = ticket.flight, None
        self._led.pop(journey.call.id, None)
        if self._flights.get(ticket.key) is flight:
            del self._flights[ticket.key]

    async def _follow(self, journey: Journey, ticket: KeyedTicket, flight: Flight, settle: Settle) -> Answer | None:
        """What the key's request gets; None if that came to nothing."""
        await let_in_unpaid(journey, self._settler, self._admissions)
        flight.join()
        ticket.flight = flight
        landing, head = await flight.landed(), flight.head
        if landing is not Landing.ANSWERED or head is None:
            ticket.flight = None
            flight.leave()
            self._admissions.settle((journey,))
            return None
        head = self._head(journey, KeyedResult(head.stream, head.model, head.provider, head.deployment, 0.0))
        note = partial(_note, journey, head, flight)
        if head.stream:
            return Answer(head, stream=SharedStream(journey, flight.log, settle, note))
        note()
        return await self._give(journey, head, flight.body, settle)

    async def _replay(self, journey: Journey, result: KeyedResult, settle: Settle) -> Answer:
        await let_in_unpaid(journey, self._settler, self._admissions)
        head = self._head(journey, result)
        _note(journey, head, result)
        if result.stream:
            return Answer(head, stream=KeptStream(journey, result.body, result.tail, settle))
        return await self._give(journey, head, result.body, settle)

    async def _give(self, journey: Journey, head: AnswerHead, body: bytes, settle: Settle) -> Answer:
        journey.sent_bytes = len(body)
        await settle(journey, Outcome.CACHED, None)
        return Answer(head, body)

    def _head(self, journey: Journey, result: KeyedResult) -> AnswerHead:
        return AnswerHead(
            request_id=journey.call.id,
            stream=result.stream,
            model=result.model,
            provider=result.provider,
            deployment=result.deployment,
            attempts="",
            cost_picousd=0,
            requests=journey.requests,
            tokens=journey.tokens,
            is_replayed=True,
        )

    async def _result(self, journey: Journey, flight: Flight, body: bytes, tail: bytes) -> KeyedResult:
        """What is kept: the answer, or that there was one."""
        head = journey.head()
        if journey.call.stream:
            body = b"" if flight.log.has_dropped else b"".join(flight.log.kept())
        usage = journey.attempt.reported if journey.attempt is not None else None
        kept = KeyedResult(
            head.stream, head.model, head.provider, head.deployment, self._clock.now(), body, tail,
            usage=Usage() if usage is None else msgspec.structs.replace(usage, raw=b""),
        )  # fmt: skip
        fits = idempotency.fits(kept, journey.setup.idempotency.max_result_bytes) and not flight.log.has_dropped
        if fits and not await _holds_what_is_never_kept(journey, body + tail):
            return kept
        return msgspec.structs.replace(kept, body=b"", tail=b"", is_left_out=True)

    async def _release(self, key: bytes, request_id: str) -> None:
        try:
            await self._store.release(key, request_id)
        except DatabaseUnavailable as error:
            self._later(key, request_id, None, error)

    def _later(self, key: bytes, request_id: str, result: KeyedResult | None, error: DatabaseUnavailable) -> None:
        """Save a result, or free a key, once the database is back."""
        log.warning("what came of %s waits for the database: %s", request_id, error.message)
        if len(self._unsaved) < MOST_UNSAVED:
            self._unsaved[key] = (request_id, result)

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def is_a_result(error: HeadgateError) -> bool:
    """Whether a stream that broke is the result of its request: unless it was its client or this process that left."""
    return not isinstance(error, ClientGone | Draining)


def _note(journey: Journey, head: AnswerHead, answered: Flight | KeyedResult) -> None:
    saving.note(journey, Hit.IDEMPOTENT, head.model, head.deployment, answered.usage)


def _led_by(journey: Journey) -> Flight | None:
    return journey.keyed.flight if journey.keyed is not None and journey.keyed.leads else None


def _refuse(how: Standing) -> None:
    """Raise what a request is told whose key cannot serve it."""
    param = "idempotency-key"
    if how is Standing.OTHER_CONTENT:
        raise IdempotencyKeyReused("This key was sent with another body. Give every request its own.", param=param)
    if how is Standing.UNKNOWN:
        raise IdempotencyOutcomeUnknown(
            "The process that had this request died, and nobody knows whether it was answered. Send it with another "
            "key if it may be answered twice.",
            param=param,
        )
    if how is Standing.NOT_KEPT:
        raise IdempotentResultNotKept(
            "This request was answered and charged, and its result was not kept. Send it with another key to have it "
            "answered and charged again.",
            param=param,
        )


async def _holds_what_is_never_kept(journey: Journey, sent: bytes) -> bool:
    """Whether an answer holds a secret, or a class of content of which the configuration says `never`."""
    from headgate.policy.pii.find import find  # takes a while to load
    from headgate.policy.pii.findings import PiiClass

    call, rules = journey.call, journey.setup.pii
    try:
        texts = (endings.of_stream if call.stream else endings.of_whole)(call.route, sent).texts
    except (ValueError, RecursionError):
        texts = (sent.decode(errors="replace"),)
    for text in texts:
        if find(text, rules.never | {PiiClass.SECRET}, rules.names):
            return True
        await asyncio.sleep(0)
    return False
