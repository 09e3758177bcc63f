"""Look up: is the answer there already, or on its way to somebody who asked the same?

What may be kept and what is the same are decided by `policy.caching`; this carries it out. A request that finds an
answer counts as a request and costs nothing. One that finds none gets a ticket: with it, its answer is kept when it is
complete, and those who ask the same meanwhile wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from headgate.cache_types import CachedAnswer, CacheScope, Hit, NotKept, Sharing
from headgate.errors import (
    Draining,
    HeadgateError,
    InvalidRequest,
    NotCached,
    Overloaded,
    StreamIncomplete,
    UpstreamError,
)
from headgate.gateway import saving, vectors
from headgate.gateway.admission import Admissions
from headgate.gateway.answers import Answer, AnswerHead
from headgate.gateway.blaming import callers_fault
from headgate.gateway.elsewhere import Elsewhere
from headgate.gateway.entering import let_in_unpaid
from headgate.gateway.flights import Flight, Landing
from headgate.gateway.journey import Journey
from headgate.gateway.keeping import CacheObserver, Keeper
from headgate.gateway.replaying import KeptStream, Settle, SharedStream
from headgate.gateway.settling import Settler
from headgate.gateway.tickets import Ticket
from headgate.policy import access, caching
from headgate.ports import CacheStore, Clock
from headgate.types import CacheMode, Outcome, Route

if TYPE_CHECKING:
    from headgate.gateway.semantic import Semantic

LOG_BYTES = 1_000_000  # of each request under way: how far others may fall behind, and how long a stream is kept
MOST_FAILURES = 2  # leaders that a provider failed, until their error is everybody's


class Cache:
    """One process's answers that may be given again."""

    def __init__(
        self, store: CacheStore, clock: Clock, settler: Settler, admissions: Admissions, observer: CacheObserver
    ) -> None:
        self._store = store
        self._keeper = Keeper(store, clock, observer)
        self._clock = clock
        self._settler = settler
        self._admissions = admissions
        self._observer = observer
        self._flights: dict[bytes, Flight] = {}  # that others may join, by what is asked
        self._led: dict[str, Flight] = {}  # by the leader's request id
        self.semantic: Semantic | None = None  # who looks by meaning
        self.elsewhere: Elsewhere | None = None  # who knows what other processes are asking

    def look_by_meaning(self, semantic: Semantic | None) -> None:
        """From now on, or no more."""
        self.semantic = self._keeper.semantic = semantic

    async def look_up(self, journey: Journey, settle: Settle) -> Answer | None:
        """The answer, if it is there or on its way. Else None, and the journey leads those who ask the same.

        Raises NotCached for a request that wants nothing else, or what its leader failed with, or LimitRefusal.
        """
        mode, ticket = journey.call.cache.mode, self._ticket(journey)
        failures = 0
        while ticket is not None:
            if mode is not CacheMode.REFRESH and (kept := await self._find_same(journey, ticket)) is not None:
                return await self._give(journey, kept, settle, Hit.EXACT)
            if mode is CacheMode.ONLY:
                if (kept := await self._find_alike(journey, ticket)) is not None:
                    return await self._give(journey, kept, settle, Hit.SEMANTIC)
                break
            flight = self._flights.get(ticket.flight_key) if ticket.rules.coalesce else None
            if flight is None or mode is CacheMode.REFRESH or not flight.can_be_joined:
                self._lead(journey, ticket, failures)
                if mode is not CacheMode.REFRESH and (kept := await self._find_alike(journey, ticket)) is not None:
                    return await self._give(journey, kept, settle, Hit.SEMANTIC)
                if await self._waited(journey, ticket) and (kept := await self._find_same(journey, ticket)) is not None:
                    return await self._give(journey, kept, settle, Hit.EXACT)
                self._observer.missed()
                if ticket.inputs is not None:
                    vectors.narrow(journey, ticket.inputs)
                return None
            if (answer := await self._follow(journey, ticket, flight, settle)) is not None:
                return answer
            failures = flight.failures
        if mode is CacheMode.ONLY:
            raise NotCached("No answer to this request is kept, and x-headgate-cache: only asks no provider.")
        return None

    # --- of a request that found nothing, on its way ---

    def committed(self, journey: Journey) -> None:
        """The commit point of a stream: who follows gets its pieces from here on."""
        if (flight := _led_by(journey)) is not None:
            if _concerns_others(journey):
                flight.answered(journey.head())
            else:
                self._forget(journey, flight)
                flight.sends_back()

    def complete(self, journey: Journey) -> None:
        """Before an answer is booked: put what was kept to what a provider has answered. Raises StreamMalformed."""
        ticket, attempt = journey.ticket, journey.attempt
        if ticket is not None and ticket.inputs is not None and attempt is not None:
            attempt.body = vectors.complete(ticket.inputs, attempt.body)

    def answered(self, journey: Journey, body: bytes, tail: bytes = b"") -> None:
        """The answer is complete and booked: keep it, if it may be, and give it to those who wait for it.

        `body` is a JSON answer; of a stream `tail` is its end.
        """
        flight, ticket = _led_by(journey), journey.ticket
        if ticket is None or flight is None:
            return
        ticket.flight = None
        flight.usage = saving.usage_of(journey)
        if journey.call.stream:
            flight.write(tail)
            flight.end()
        elif _concerns_others(journey):
            flight.answered(journey.head(), body)
        else:
            self._forget(journey, flight)
            flight.sends_back()
        # The client does not wait for it, and whoever asks the same until then joins the flight.
        asyncio.get_running_loop().call_soon(self._keep, journey, ticket, flight, body, tail)

    def _keep(self, journey: Journey, ticket: Ticket, flight: Flight, body: bytes, tail: bytes) -> None:
        deciding = None
        try:
            if flight.log.has_dropped:
                self._observer.not_kept(NotKept.TOO_LONG)
            elif journey.call.stream:
                deciding = self._keeper.keep(journey, ticket, b"".join(flight.log.kept()[:-1]), tail)
            else:
                deciding = self._keeper.keep(journey, ticket, body, tail)
        finally:
            if deciding is None:
                self._forget(journey, flight)
            else:
                deciding.add_done_callback(lambda _: self._forget(journey, flight))

    def left(self, journey: Journey, error: BaseException | None) -> None:
        """A request that has a ticket is over, whatever became of it."""
        ticket = journey.ticket
        if ticket is None or ticket.flight is None:
            return
        flight, ticket.flight = ticket.flight, None
        if not ticket.leads:
            flight.leave()
            return
        self._forget(journey, flight)
        if not isinstance(error, HeadgateError):
            error = None
        flight.end(error or StreamIncomplete("The request that this answer came from was given up."))
        is_theirs = isinstance(error, InvalidRequest | Draining)
        if isinstance(error, UpstreamError | Overloaded) and not is_theirs:
            is_theirs = isinstance(error, UpstreamError) and callers_fault(error)
            flight.failures += not is_theirs
        if error is not None and (is_theirs or flight.failures >= MOST_FAILURES):
            flight.failed(error)
        else:
            flight.sends_back()

    async def finish(self) -> None:
        """Wait until it is decided what may be kept."""
        await asyncio.sleep(0)
        await self._keeper.finish()

    def outlives(self, request_id: str, cancel: Callable[[], object]) -> bool:
        """A request's client left: whether its answer is still wanted by others.

        Then `cancel` is called when the last of them has left too.
        """
        flight = self._led.get(request_id)
        return flight is not None and flight.outlives(cancel)

    async def flush(self, scope: CacheScope) -> int:
        """As `CacheStore.flush`; questions that are known by their meaning are forgotten with their answers."""
        dropped = await self._store.flush(scope)
        if self.semantic is not None:
            self.semantic.forget(scope)
        return dropped

    # --- looking ---

    def _ticket(self, journey: Journey) -> Ticket | None:
        """What is asked, unless nobody may be given an answer to it again."""
        call, caller = journey.call, journey.caller
        rules = journey.setup.caches.get(call.model)
        if rules is None or rules.exact is None or call.cache.mode is CacheMode.OFF:
            return None
        question = caching.question(call, caller, rules.exact, access.lowered_to(caller.tier, call, None))
        if question.reason is not None:
            self._observer.not_kept(question.reason)
            return None
        ttl_seconds, wanted = rules.exact.ttl_seconds, call.cache.ttl_seconds
        journey.ticket = ticket = Ticket(
            question, rules.exact, ttl_seconds if wanted is None else min(ttl_seconds, wanted)
        )
        if journey.setup.pii.private:
            ticket.private_key = caching.private(question.key, call, caller)
        if call.route is Route.EMBEDDINGS:
            ticket.inputs = vectors.inputs_of(journey, ticket)
        return ticket

    def _may_be_given(self, journey: Journey, ticket: Ticket, kept: CachedAnswer) -> bool:
        """Whether an answer that was kept is still one to give, and to this caller.

        That it is for this tenant is in its key, or its partition; it is made sure of, whatever a store does.
        """
        call, caller, setup = journey.call, journey.caller, journey.setup
        model = setup.models.get(kept.answered_by)
        return (
            (kept.tenant == caller.tenant or ticket.rules.share is Sharing.EVERYBODY)
            and (kept.model, kept.route, kept.stream) == (call.model, call.route, call.stream)
            and model is not None
            and kept.answered_by in setup.caches[call.model].models
            and model.origins.get(kept.deployment) == kept.origin
            and journey.may_have(kept.answered_by)
            and self._clock.now() - kept.stored_at <= ticket.ttl_seconds
        )

    async def _find_same(self, journey: Journey, ticket: Ticket) -> CachedAnswer | None:
        """An answer to the same question; of a request for embeddings it may be put together."""
        if ticket.inputs is not None:
            may_be_given = partial(self._may_be_given, journey, ticket)
            return await vectors.look(self._store, ticket.inputs, may_be_given)
        if ticket.private_key:
            kept, own = await self._store.get_all([ticket.question.key, ticket.private_key])
            kept = kept or own
        else:
            kept = await self._store.get(ticket.question.key)
        given = kept is not None and _is_answer_to(ticket, kept) and self._may_be_given(journey, ticket, kept)
        return kept if given else None

    async def _find_alike(self, journey: Journey, ticket: Ticket) -> CachedAnswer | None:
        """An answer to a question that means the same, in the same context."""
        if self.semantic is None:
            return None
        return await self.semantic.look_up(journey, ticket, lambda kept: self._may_be_given(journey, ticket, kept))

    async def _give(self, journey: Journey, kept: CachedAnswer, settle: Settle, how: Hit) -> Answer:
        """`how` it was found: exact or semantic."""
        call, ticket = journey.call, journey.ticket
        await let_in_unpaid(journey, self._settler, self._admissions)
        journey.cache = how
        saving.note(journey, how, kept.answered_by, kept.deployment, kept.usage, kept.cost_picousd)
        head = AnswerHead(
            request_id=call.id,
            stream=call.stream,
            model=kept.answered_by,
            provider=kept.provider,
            deployment=kept.deployment,
            attempts="",
            cache=how,
            cost_picousd=journey.cost_picousd,  # what the look-up took: a provider may have embedded the question
            requests=journey.requests,
            tokens=journey.tokens,
            age_seconds=int(self._clock.now() - kept.stored_at),
            kept_from=_told(ticket, kept, how),
            route=journey.route_told(),
        )
        self._land(journey, head, kept)
        if how is Hit.SEMANTIC and ticket is not None and self.semantic is not None:
            self.semantic.served(journey, ticket, kept)
        if call.stream:
            return Answer(head, stream=KeptStream(journey, kept.body, kept.tail, settle))
        journey.sent_bytes = len(kept.body)
        await settle(journey, Outcome.CACHED, None)
        return Answer(head, kept.body)

    # --- the same at the same time ---

    def _lead(self, journey: Journey, ticket: Ticket, failures: int) -> None:
        ticket.flight, ticket.leads = Flight(journey.call.id, failures, LOG_BYTES), True
        journey.cache = "miss"
        if ticket.rules.coalesce and ticket.flight_key not in self._flights:
            self._flights[ticket.flight_key] = ticket.flight
            self._led[journey.call.id] = ticket.flight

    async def _waited(self, journey: Journey, ticket: Ticket) -> bool:
        """Whether another process was asking the same, and does not any more. Not for streams: whoever waits sees
        nothing of one until it is whole."""
        if self.elsewhere is None or journey.call.id not in self._led or journey.call.stream:
            return False
        if ticket.ttl_seconds <= 0 or ticket.inputs is not None or journey.call.cache.mode is not CacheMode.USE:
            return False
        return await self.elsewhere.wait(ticket.flight_key, ticket.question.key)

    async def _follow(self, journey: Journey, ticket: Ticket, flight: Flight, settle: Settle) -> Answer | None:
        """The leader's answer, or None if there will be none that this caller may be given."""
        await let_in_unpaid(journey, self._settler, self._admissions)
        flight.join()
        ticket.flight = flight
        landing = await flight.landed()
        if landing is Landing.FAILED:
            assert flight.error is not None, "it failed with an error"
            raise flight.error.with_traceback(None)
        head = flight.head
        if landing is Landing.SENT_BACK or head is None or not journey.may_have(head.model):
            ticket.flight = None
            flight.leave()
            self._admissions.settle((journey,))
            return None
        journey.cache = Hit.COALESCED
        note = partial(_note_coalesced, journey, flight)
        head = msgspec.structs.replace(
            head, request_id=journey.call.id, attempts="", cache="coalesced", cost_picousd=0,
            requests=journey.requests, tokens=journey.tokens,
        )  # fmt: skip
        if head.stream:
            return Answer(head, stream=SharedStream(journey, flight.log, settle, note))
        note()
        journey.sent_bytes = len(flight.body)
        await settle(journey, Outcome.CACHED, None)
        return Answer(head, flight.body)

    def _land(self, journey: Journey, head: AnswerHead, kept: CachedAnswer) -> None:
        """What was found is what everybody gets who asked the same meanwhile."""
        flight = _led_by(journey)
        if flight is None or journey.ticket is None:
            return
        self._forget(journey, flight)
        journey.ticket.flight = None
        flight.usage = kept.usage
        if kept.stream:
            flight.write(kept.body)
            flight.write(kept.tail)
            flight.end()
        flight.answered(head, kept.body)

    def _forget(self, journey: Journey, flight: Flight) -> None:
        """Nobody joins it any more."""
        if self._led.pop(journey.call.id, None) is not None and journey.ticket is not None:
            key = journey.ticket.flight_key
            if self._flights.get(key) is flight:
                del self._flights[key]
            if self.elsewhere is not None:
                self.elsewhere.over(key)


def _is_answer_to(ticket: Ticket, kept: CachedAnswer) -> bool:
    """It is in the key that was asked for; it is made sure of, whatever a store does."""
    return kept.key in (ticket.question.key, ticket.private_key)


def _told(ticket: Ticket | None, kept: CachedAnswer, how: Hit) -> str:
    """Whose answer is given; to another question, how near that is, and how likely the answer is held to be right."""
    if how is not Hit.SEMANTIC or ticket is None or ticket.asked is None:
        return kept.request_id
    decision = ticket.asked.decision
    similarity = decision.evidence.similarity if decision.evidence is not None else 0.0
    return f"{kept.request_id}; similarity={similarity:.3f}; probability={decision.probability:.3f}"


def _note_coalesced(journey: Journey, flight: Flight) -> None:
    if (head := flight.head) is not None:
        saving.note(journey, Hit.COALESCED, head.model, head.deployment, flight.usage)


def _led_by(journey: Journey) -> Flight | None:
    return journey.ticket.flight if journey.ticket is not None and journey.ticket.leads else None


def _concerns_others(journey: Journey) -> bool:
    """Whether the answer is what everybody would get who asks the same, however much money he has."""
    return journey.degraded_from is None and not journey.is_short_of_money
