"""Attempts: each channel is told of an alert until it takes it, or for an hour, with pauses of full jitter.

A channel that is away keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from headgate.alert_types import Alert, AlertDelivery, AlertRecord, DeliveryState
from headgate.alerts.channel import Channel
from headgate.outgoing.undelivered import ATTEMPT_SECONDS, Undelivered
from headgate.ports import Clock

FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 120.0
GIVE_UP_SECONDS = 3600.0  # after the alert was raised
MAX_WAITING_PER_CHANNEL = 200  # alerts that wait for one channel; more fail at once
AT_ONCE_PER_CHANNEL = 4
LEASE_SECONDS = LONGEST_BACKOFF_SECONDS + 6 * ATTEMPT_SECONDS  # a living process says more often how far it is

log = logging.getLogger(__name__)

Keep = Callable[[AlertRecord], Awaitable[None]]


def backoff_seconds(attempts: int, chance: float) -> float:
    """Exponential backoff with full jitter after so many attempts: uniform in [0, min(cap, base * 2^(n-1))).

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    return chance * min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts - 1, 30))


class Delivering:
    """What is under way. `keep` is told of every change of an alert's record; it must not raise."""

    def __init__(self, keep: Keep, clock: Clock) -> None:
        self.channels: Mapping[str, Channel] = {}  # by name
        self.sending = 0  # attempts being made
        self._keep = keep
        self._clock = clock
        self._records: dict[str, AlertRecord] = {}  # by the alert's key
        self._waiting: Counter[str] = Counter()  # alerts by channel
        self._turns: dict[str, asyncio.Semaphore] = {}  # by channel

    def records(self) -> list[AlertRecord]:
        """What is not delivered everywhere yet."""
        return list(self._records.values())

    def is_busy_with(self, record: AlertRecord) -> bool:
        return record.alert.key in self._records

    async def deliver(self, record: AlertRecord) -> None:
        """Tell every channel that has not been told; returns when all have, or were given up."""
        self._records[record.alert.key] = record
        pending = [delivery for delivery in record.deliveries if delivery.state is DeliveryState.PENDING]
        await asyncio.gather(*(self._tell(record.alert, delivery) for delivery in pending))
        del self._records[record.alert.key]

    async def _tell(self, alert: Alert, delivery: AlertDelivery) -> None:
        name = delivery.channel
        if self._waiting[name] >= MAX_WAITING_PER_CHANNEL:
            await self._note(alert, _failed(delivery, f"{MAX_WAITING_PER_CHANNEL} alerts wait for it already"))
            return
        self._waiting[name] += 1
        try:
            while True:
                delivery, pause_seconds = await self._attempt(alert, delivery)
                await self._note(alert, delivery)
                if delivery.state is not DeliveryState.PENDING:
                    return
                await asyncio.sleep(pause_seconds)
        finally:
            self._waiting[name] -= 1

    async def _attempt(self, alert: Alert, delivery: AlertDelivery) -> tuple[AlertDelivery, float]:
        """What became of one attempt, and how long to wait for the next one if it is still pending."""
        turns = self._turns.setdefault(delivery.channel, asyncio.Semaphore(AT_ONCE_PER_CHANNEL))
        async with turns:
            channel = self.channels.get(delivery.channel)
            if channel is None:
                return _failed(delivery, "it is not in the configuration any more"), 0.0
            self.sending += 1
            try:
                answer, failure = await channel.send(alert, self._clock.now()), None
            except Undelivered as error:
                answer, failure = error.answer, error
            except Exception as error:
                log.exception("the channel %s failed inside headgate", channel.name)
                answer, failure = repr(error), Undelivered(repr(error))
            finally:
                self.sending -= 1
        now, attempts = self._clock.now(), delivery.attempts + 1
        tried = msgspec.structs.replace(delivery, attempts=attempts, answer=answer, at=now)
        if failure is None:
            return msgspec.structs.replace(tried, state=DeliveryState.DELIVERED), 0.0
        pause_seconds = backoff_seconds(attempts, self._clock.random.random())
        pause_seconds = max(pause_seconds, min(failure.retry_after_seconds, LONGEST_BACKOFF_SECONDS))
        if failure.final or now + pause_seconds > alert.at + GIVE_UP_SECONDS:
            return _failed(tried, answer), 0.0
        return tried, pause_seconds

    async def _note(self, alert: Alert, delivery: AlertDelivery) -> None:
        record = self._records[alert.key]
        others = (delivery if one.channel == delivery.channel else one for one in record.deliveries)
        self._records[alert.key] = record = AlertRecord(alert, tuple(others))
        if delivery.state is DeliveryState.FAILED:
            words = "given up after %d attempts to tell %s that %s: %s"
            log.error(words, delivery.attempts, delivery.channel, alert.title, delivery.answer)
        await self._keep(record)


def _failed(delivery: AlertDelivery, answer: str) -> AlertDelivery:
    return msgspec.structs.replace(delivery, state=DeliveryState.FAILED, answer=answer)
