"""Settle: the last step of the corridor. Books what a request used, once, whatever happened to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from headgate.errors import DatabaseUnavailable, LedgerFull, UpstreamError, WeakAnswer
from headgate.gateway import asking, embedded
from headgate.gateway.attempts import Attempt
from headgate.gateway.blaming import outcome_of
from headgate.gateway.fleet import Deployment
from headgate.gateway.journey import Journey
from headgate.gateway.preflight import count_prompt
from headgate.metering import NO_SLOT, EmbeddingUse
from headgate.ports import Clock, Journal, Observer, TokenCounter, Witness
from headgate.types import Call, Counted, Outcome, Route, Usage
from headgate.writing import Batch

_TRY_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Audience(NamedTuple):
    """Who is told of requests that are over. `settled` hears of journeys before they are booked."""

    observers: tuple[Observer, ...] = ()
    witness: Witness | None = None
    settled: Callable[[Sequence[Journey]], None] = lambda journeys: None


class Settler:
    """Turns journeys that ended into ledger rows, and tells the observers."""

    def __init__(
        self,
        journal: Journal,
        counter: TokenCounter,
        clock: Clock,
        audience: Audience = Audience(),  # noqa: B008  # it is immutable
        database_answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._journal = journal
        self._counter = counter
        self._clock = clock
        self._observers, self._witness, self._settled = audience
        self._database_answers = database_answers
        self._counting: set[asyncio.Task[None]] = set()
        self._held: dict[Batch, list[Journey]] = {}  # to be booked before the batch is sent
        self._notes: list[str] = []  # on answers that may be among them

    def check(self, on_database_failure: str) -> None:
        """Before a request is let in: raises LedgerFull or DatabaseUnavailable if it could not be booked."""
        self._check_room()
        if on_database_failure == "deny" and not self._database_answers():
            raise DatabaseUnavailable(
                "The database does not answer, and on_database_failure is deny. Try again later.",
                retry_after_seconds=_TRY_AGAIN_SECONDS,
            )

    async def settle(self, journey: Journey) -> None:
        """Book the request, unless that was done. Counting tokens goes on when the caller is cancelled.

        Raises LedgerFull when the record cannot be written: then the client must not get the end of the answer.
        """
        if not self.settle_now(journey):
            assert journey.counting is not None, "what is not booked is being counted"
            await asyncio.shield(journey.counting)

    def settle_now(self, journey: Journey) -> bool:
        """As `settle`, but False if tokens must be counted first, which has begun then."""
        if journey.is_settled:
            return True
        if journey.counting is not None:
            return False
        if journey.watchdog is not None:
            journey.watchdog.stop()
        if journey.set_aside:
            return self._settle_all(journey)
        attempt = journey.attempt
        if attempt is None:
            self.record(journey)
            return True
        attempt.close(outcome=journey.outcome, error=journey.error)
        if attempt.usage is not None:
            self._book(journey, attempt, attempt.usage)
            return True
        self._count(journey, self._count_and_book(journey, attempt))
        return False

    def begin(self, journey: Journey) -> None:
        """A provider is about to be asked by the journey's attempt: if this process dies, what is held is charged."""
        hold, is_repeatable = journey.hold, journey.call.is_repeatable
        costs = hold is not None and hold.picousd > 0
        if is_repeatable and not costs:
            hold = asking.supposed(journey)
        if hold is not None and (costs or is_repeatable):
            if journey.slot != NO_SLOT:
                self._journal.end(journey.slot)
            journey.slot = self._journal.begin(journey.under_way(hold))

    def close_failed(self, journey: Journey, attempt: Attempt, error: UpstreamError) -> None:
        """Book an attempt that failed before its commit point: nothing came of it."""
        outcome = outcome_of(error)
        attempt.close(outcome=outcome, error=error)
        if not journey.set_aside:  # whoever dies before the next attempt owes nothing for this one
            self._journal.failed(journey.slot)
        journey.attempts.append(attempt.record(outcome=outcome, error=error, usage=Usage()))

    def record(self, journey: Journey) -> None:
        """Write the ledger's row, now or before the journey's batch is sent. Raises LedgerFull."""
        journey.is_settled = True
        batch = journey.batch
        if batch is None or not journey.is_let_in:  # never let in: there may be no room for it, but for the others
            self._settled((journey,))
            self._write((journey,))
            return
        if batch not in self._held:
            self._held[batch] = []
            batch.before(partial(self._write_held, batch))
        self._held[batch].append(journey)

    def embedded(self, use: EmbeddingUse) -> None:
        """Write the row of texts that a provider was paid for embedding, and that are for no request."""
        try:
            self._journal.append(embedded.row(use))
        except LedgerFull:
            log.error("a call for embeddings of %d pico-dollars was not booked: the ledger is full", use.cost_picousd)

    def undelivered(self, request_id: str) -> None:
        """Note that the last write of a settled answer did not reach the client."""
        if self._held:
            self._notes.append(request_id)
        else:
            self._journal.mark_undelivered(request_id)

    async def count_prompt(self, call: Call, deployment: Deployment) -> int:
        """As `preflight.count_prompt`."""
        return await count_prompt(call, deployment, self._counter)

    async def finish(self) -> None:
        """Wait until what is being counted is booked, and book what is held."""
        if self._counting:
            await asyncio.wait(self._counting)
        for batch in tuple(self._held):
            batch.flush()

    def _check_room(self) -> None:
        if not self._journal.room():
            raise LedgerFull(
                "The ledger cannot take another record now. Try again later.", retry_after_seconds=_TRY_AGAIN_SECONDS
            )

    def _write_held(self, batch: Batch) -> None:
        held = self._held.pop(batch)
        self._settled(held)
        try:
            self._write(held)
        finally:
            notes, self._notes = self._notes, []
            for request_id in notes:
                self.undelivered(request_id)

    def _write(self, journeys: Sequence[Journey]) -> None:
        now = self._clock.monotonic()
        records = [journey.request_record(now) for journey in journeys]
        try:
            if not journeys[0].is_let_in:  # never let in: the last room is for those who were
                self._check_room()
            self._journal.append_all(records)
            for journey in journeys:
                if journey.slot != NO_SLOT:
                    self._journal.end(journey.slot)
        finally:
            for observer in self._observers:
                for journey, record in zip(journeys, records, strict=True):
                    observer.settled(record, journey.itl_counts())

    def _count(self, journey: Journey, work: Coroutine[object, object, None]) -> None:
        journey.batch = None  # the answer waits until its tokens are counted
        journey.counting = asyncio.get_running_loop().create_task(work)
        self._counting.add(journey.counting)
        journey.counting.add_done_callback(self._counting.discard)

    def _settle_all(self, journey: Journey) -> bool:
        """As `settle_now`, for a request with answers that were set aside: each was paid for."""
        for weak in journey.set_aside:
            weak.close(outcome=Outcome.DONE, error=None)
        if journey.attempt is not None:
            journey.attempt.close(outcome=journey.outcome, error=journey.error)
        self._count(journey, self._count_and_book_all(journey))
        return False

    async def _count_and_book_all(self, journey: Journey) -> None:
        call, error = journey.call, WeakAnswer("A better model was asked.")
        for weak in journey.set_aside:
            usage = weak.usage or await self._estimate(call, weak)
            journey.attempts.append(weak.record(outcome=Outcome.DONE, error=error, usage=usage))
        journey.set_aside = ()
        if (attempt := journey.attempt) is None:
            self.record(journey)
        else:
            self._book(journey, attempt, attempt.usage or await self._estimate(call, attempt))

    async def _count_and_book(self, journey: Journey, attempt: Attempt) -> None:
        usage = await self._estimate(journey.call, attempt)
        self._book(journey, attempt, usage)

    def _book(self, journey: Journey, attempt: Attempt, usage: Usage) -> None:
        journey.attempts.append(attempt.record(outcome=journey.outcome, error=journey.error, usage=usage))
        if self._witness is not None:
            self._witness.saw(journey.call, attempt.body.decode(errors="replace") or "".join(attempt.texts))
        self.record(journey)

    async def _estimate(self, call: Call, attempt: Attempt) -> Usage:
        """Tokens of an answer whose provider did not report them all: it was cut, left, or the provider does not count.

        What was reported before that is believed: the prompt's tokens, and the generated ones if they are more.
        """
        reported, deployment = attempt.usage_so_far or Usage(), attempt.deployment
        prompt = reported.input or await self.count_prompt(call, deployment)
        generated = 0
        if attempt.texts and call.route is not Route.EMBEDDINGS:
            generated = await self._counter.count(deployment.spec.upstream_model, ["".join(attempt.texts)])
        output = max(reported.output, generated)
        return msgspec.structs.replace(reported, input=prompt, output=output, counted=Counted.ESTIMATED)
