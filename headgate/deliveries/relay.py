"""The relay: takes what is due out of the outbox, tries to deliver it, and says what became of that.

Any number of processes may have one. A receiver that does not answer holds up what goes to itself, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

from headgate.deliveries.senders import Sender
from headgate.delivery_ports import Outbox
from headgate.delivery_types import Delivery, DeliveryEnd, DeliveryState, TargetKind
from headgate.errors import HeadgateError
from headgate.outgoing.undelivered import Undelivered
from headgate.policy.delivering import Busy, after_failure, next_ones
from headgate.ports import Clock

POLL_SECONDS = 0.5
CLAIM_SECONDS = 60.0  # longer than any attempt may take: it would be begun again and again while it goes on
LOOKED_AT = 500  # of those that are due, when some are chosen

log = logging.getLogger(__name__)


class Relay:
    """One process's relay."""

    def __init__(self, outbox: Outbox, senders: Mapping[TargetKind, Sender], clock: Clock) -> None:
        self._outbox = outbox
        self._senders = senders
        self._clock = clock
        self._attempts: dict[asyncio.Task[None], Delivery] = {}
        self._ends: list[DeliveryEnd] = []
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()  # what is written twice at once would take more off the list than was written

    async def run_forever(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._news.clear()
                try:
                    await self._write()
                    began = await self._begin()
                except HeadgateError as error:
                    log.warning("deliveries wait for the database: %s", error.message)
                    began = 0
                except Exception:  # whatever it is, what is told to others must not end for it
                    log.exception("deliveries failed inside headgate")
                    began = 0
                if not began:
                    await self._wait()
        finally:
            for attempt in self._attempts:
                attempt.cancel()

    async def step(self) -> int:
        """Begin what is due, wait for it and write what became of it; how many. Raises DatabaseUnavailable."""
        began = await self._begin()
        if self._attempts:
            await asyncio.wait(self._attempts)
        await self._write()
        return began

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, and write what became of it. What takes longer is tried again by others."""
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=seconds)
        try:
            await self._write()
        except HeadgateError as error:
            log.warning("what became of %d deliveries was not written: %s", len(self._ends), error.message)

    async def aclose(self) -> None:
        """Close connections."""
        for sender in {id(sender): sender for sender in self._senders.values()}.values():
            await sender.aclose()

    # --- its parts ---

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _begin(self) -> int:
        under_way = self._attempts.values()
        busy = Busy(Counter(one.tenant for one in under_way), Counter(one.target.lane for one in under_way))
        waiting = await self._outbox.waiting(LOOKED_AT, busy.full_tenants, busy.full_lanes)
        chosen = next_ones(waiting, busy)
        if not chosen:
            return 0
        claimed = await self._outbox.claim([one.id for one in chosen], CLAIM_SECONDS)
        for delivery in claimed:
            attempt = asyncio.get_running_loop().create_task(self._try(delivery))
            self._attempts[attempt] = delivery
            attempt.add_done_callback(self._over)
        return len(claimed)

    def _over(self, attempt: asyncio.Task[None]) -> None:
        del self._attempts[attempt]
        self._news.set()

    async def _try(self, delivery: Delivery) -> None:
        began_at = self._clock.monotonic()
        try:
            answer = await self._senders[delivery.target.kind].send(delivery, self._clock.now())
        except Undelivered as failure:
            took = self._clock.monotonic() - began_at
            self._ends.append(_failed(delivery, failure, delivery.age_seconds + took, self._clock.random.random()))
        except Exception as error:
            log.exception("the delivery %s failed inside headgate", delivery.id)
            chance = self._clock.random.random()
            self._ends.append(_failed(delivery, Undelivered(repr(error)), delivery.age_seconds, chance))
        else:
            self._ends.append(DeliveryEnd(delivery.id, delivery.token, DeliveryState.DELIVERED, answer))

    async def _write(self) -> None:
        async with self._writing:
            if ends := tuple(self._ends):
                await self._outbox.finish(ends)
                del self._ends[: len(ends)]


def _failed(delivery: Delivery, failure: Undelivered, age_seconds: float, chance: float) -> DeliveryEnd:
    again = after_failure(
        delivery.attempts + 1,
        age_seconds=age_seconds,
        chance=chance,
        final=failure.final,
        retry_after_seconds=failure.retry_after_seconds,
    )
    if again.pause_seconds is None:
        log.error("%s of job %s was given up: %s: %s", delivery.target.kind, delivery.job_id, again.reason, failure)
        answer = f"{failure.answer} ({again.reason})"
        return DeliveryEnd(delivery.id, delivery.token, DeliveryState.DEAD, answer)
    return DeliveryEnd(delivery.id, delivery.token, DeliveryState.PENDING, failure.answer, again.pause_seconds)
