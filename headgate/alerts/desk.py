"""Takes alerts from anywhere, at once, and tells people in the background, each alert once over all processes.

Owns the queue, the claims and what is forgotten when; `delivering.py` owns the attempts. Nobody who raises an alert
ever waits: not for the database, not for a channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence

from headgate.alert_types import Alert, AlertDelivery, AlertRecord
from headgate.alerts.channel import Channel
from headgate.alerts.delivering import LEASE_SECONDS, Delivering
from headgate.ports import AlertLog, Clock

MAX_WAITING = 1000  # alerts that nobody has looked at yet
MAX_UNDER_WAY = 1000  # alerts being entered or delivered
MAX_RECENT_KEYS = 10_000
LOG_SECONDS = 5.0  # for the log of alerts to answer
UNENTERED_SECONDS = 30.0  # so long an alert waits for the log, then it goes out without
SWEEP_SECONDS = 15.0
KEEP_SECONDS = 100 * 86_400.0  # longer than any window, so that nothing is told twice within one
PRUNE_SECONDS = 3600.0
STOP_SECONDS = 2.0

log = logging.getLogger(__name__)


def record_for(alert: Alert, channels: Iterable[Channel]) -> AlertRecord:
    """An alert of which nobody has been told."""
    return AlertRecord(alert, tuple(AlertDelivery(one.name) for one in channels if alert.kind in one.kinds))


class Alerts:
    """One per process. Made anywhere, started and closed on the event loop."""

    def __init__(self, alert_log: AlertLog, clock: Clock) -> None:
        self.dropped = 0  # alerts that found no room
        self._log = alert_log
        self._clock = clock
        self._delivering = Delivering(self._keep, clock)
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(MAX_WAITING)
        self._recent: dict[str, None] = {}  # keys, the oldest first
        self._claiming: dict[str, AlertRecord] = {}  # not known yet whose they are
        self._unentered: dict[str, AlertRecord] = {}  # told without the log, which did not answer
        self._loops: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_full = False

    def configure(self, channels: Sequence[Channel]) -> None:
        """Tell these from now on; what the ones before are busy with may finish."""
        self._delivering.channels = {channel.name: channel for channel in channels}

    def raise_(self, alert: Alert) -> None:
        """Tell people, unless this process has raised the same key lately. Returns at once and never fails."""
        if alert.key in self._recent:
            return
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            self.dropped += 1
            if not self._is_full:
                self._is_full = True
                log.error("%d alerts are waiting: others are dropped, the first is: %s", MAX_WAITING, alert.sentence)
            return
        self._is_full = False
        self._recent[alert.key] = None
        if len(self._recent) > MAX_RECENT_KEYS:
            del self._recent[next(iter(self._recent))]

    def start(self) -> None:
        """Begin to deliver, first of all what processes that died have left."""
        self._loops = [asyncio.create_task(work) for work in (self._take_forever(), self._sweep_forever())]

    async def aclose(self) -> None:
        """Stop within a few seconds. What is not delivered is left to another process, or the next start."""
        if self._under_way and self._delivering.sending:
            await asyncio.wait(self._under_way, timeout=STOP_SECONDS)
        for task in (*self._loops, *self._under_way):
            task.cancel()
        await asyncio.gather(*self._loops, *self._under_way, return_exceptions=True)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._leave()
        except Exception as error:
            log.warning("alerts that were not delivered are lost, or repeated later: %s", error or "no answer")
        for channel in self._delivering.channels.values():
            await channel.aclose()

    async def _leave(self) -> None:
        now = self._clock.now()
        for record in self._delivering.records():
            await self._log.save(record, now)
        for record in self._claiming.values():
            await self._log.claim(record, now)
        while not self._queue.empty():
            await self._log.claim(self._record(self._queue.get_nowait()), now)

    # --- in the background ---

    async def _take_forever(self) -> None:
        while True:
            while len(self._under_way) >= MAX_UNDER_WAY:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            self._spawn(self._handle(await self._queue.get()))

    async def _sweep_forever(self) -> None:
        prune_at = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(LOG_SECONDS):
                    await self._sweep()
                if self._clock.monotonic() >= prune_at:
                    await self._log.prune(self._clock.now() - KEEP_SECONDS)
                    prune_at = self._clock.monotonic() + PRUNE_SECONDS
            except Exception as error:  # the database is away, which others say: alerts are looked for again
                log.debug("alerts were not swept: %s", error)
            await asyncio.sleep(SWEEP_SECONDS * (0.5 + self._clock.random.random()))

    async def _sweep(self) -> None:
        """Enter what could not be entered, and take over what others left."""
        for key, record in list(self._unentered.items()):
            await self._log.claim(record, self._clock.now() + LEASE_SECONDS)
            self._unentered.pop(key, None)
        now = self._clock.now()
        for record in await self._log.resume(now, now + LEASE_SECONDS):
            if not self._delivering.is_busy_with(record):
                log.info("an alert that was left undelivered is taken up again: %s", record.alert.title)
                self._spawn(self._delivering.deliver(record))

    async def _handle(self, alert: Alert) -> None:
        self._claiming[alert.key] = record = self._record(alert)
        is_ours = await self._is_ours(record)
        del self._claiming[alert.key]
        if is_ours:
            log.warning("%s", alert.sentence, extra={"alert": alert.key, "kind": alert.kind})
            await self._delivering.deliver(record)

    def _record(self, alert: Alert) -> AlertRecord:
        return record_for(alert, self._delivering.channels.values())

    async def _is_ours(self, record: AlertRecord) -> bool:
        """Whether this process is to deliver it. A log that stays away does not keep people from being told; that a
        store is away may be about the log itself, and does not wait."""
        patience = 0.0 if record.alert.kind == "store" else UNENTERED_SECONDS
        until = self._clock.monotonic() + patience
        while True:
            try:
                async with asyncio.timeout(LOG_SECONDS):
                    return await self._log.claim(record, self._clock.now() + LEASE_SECONDS)
            except Exception as error:
                if self._clock.monotonic() >= until:
                    log.warning("an alert is told without being entered: %s", error or "the log did not answer")
                    if len(self._unentered) < MAX_UNDER_WAY:
                        self._unentered[record.alert.key] = record
                    return True
            await asyncio.sleep(1.0 + self._clock.random.random())

    async def _keep(self, record: AlertRecord) -> None:
        """Write down what became of an alert so far; without the log its deliveries go on."""
        if record.alert.key in self._unentered:
            self._unentered[record.alert.key] = record
            return
        try:
            async with asyncio.timeout(LOG_SECONDS):
                await self._log.save(record, self._clock.now() + LEASE_SECONDS)
        except Exception as error:
            log.debug("what became of an alert was not kept: %s", error)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an alert was not delivered: %s", error, exc_info=error)
