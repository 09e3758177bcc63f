"""A worker: claims items, takes each through the corridor, and says what became of it.

The database is the truth. A bell only says that looking may be worth while; who misses it looks a little later. What
ends is written together with what else ends meanwhile, so that a burst costs few transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import compress

from headgate.errors import Draining, HeadgateError, InternalError
from headgate.job_ports import Work
from headgate.job_types import ItemEnd, ItemState, Lease, RetryRules
from headgate.jobs.failing import end_of
from headgate.jobs.kinds import Kinds, kind_named
from headgate.jobs.tasks import LeaseLost, Means, Task, Waiting, is_being_cancelled
from headgate.types import Frozen

log = logging.getLogger(__name__)

Held = tuple[str, int, int]  # job, number and token
_MEASURED_SECONDS = 0.25  # over so long it is measured how fast items end


class WorkerSettings(Frozen, frozen=True, gc=False):
    """How a worker works. Times in seconds."""

    concurrency: int = 16
    claimed_at_once: int = 128
    ahead_seconds: float = 0.1  # what will begin so soon, at the present pace, is claimed with what begins now
    lease_seconds: float = 30.0
    poll_seconds: float = 0.5  # between looks without a bell
    gather_seconds: float = 0.002  # so that what ends, or becomes free, at nearly the same time is one transaction
    sweep_seconds: float = 1.0
    rules: RetryRules = RetryRules()


class Bell:
    """Rung when there may be work."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until it rings, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()


class Pace:
    """How many items end in a second, of late."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._ended = 0
        self._known = 0.0

    def count(self) -> None:
        """One more ended."""
        self._ended += 1

    def a_second(self, now: float) -> float:
        """As measured over the last while."""
        passed = now - self._since
        if passed >= _MEASURED_SECONDS:
            self._known, self._ended, self._since = self._ended / passed, 0, now
        return self._known


class Worker:
    """One process's worker. `name` must be its own, as leases belong to it."""

    def __init__(
        self,
        name: str,
        work: Work,
        kinds: Kinds,
        means: Means,
        settings: Callable[[], WorkerSettings],
    ) -> None:
        self.name = name
        self.bell = Bell()
        self._work = work
        self._kinds = kinds
        self._means = means
        self._clock = clock = means.clock
        self._settings = settings
        self._tasks: dict[Held, asyncio.Task[None]] = {}
        self._next: dict[Held, Lease] = {}  # claimed, and to begin when there is room
        self._pace = Pace(clock.monotonic())
        self._ends: list[ItemEnd] = []
        self._ended = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._writing = asyncio.Lock()  # what is written twice at once would take more off the list than was written
        self._kept_at = clock.monotonic()
        self._is_draining = False

    @property
    def under_way(self) -> int:
        """Items that it has."""
        return len(self._tasks)

    async def run_forever(self) -> None:
        """Work until cancelled. Whoever wants what is under way to be given back drains it first; else it is stopped,
        and others get it when the leases run out."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._claim_forever, self._write_forever, self._keep_forever, self._sweep_forever):
                    group.create_task(part())
        finally:
            for task in self._tasks.values():
                task.cancel()

    def rest(self) -> None:
        """Claim nothing more."""
        self._is_draining = True

    async def drain(self, seconds: float) -> None:
        """Rest, wait for what is under way, and give back what does not end in time: that counts as no failure."""
        self.rest()
        async with self._claiming:  # what is being claimed right now is given back too
            self._give_back()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        while self._ends:
            await self._write()

    # --- its parts ---

    async def _claim_forever(self) -> None:
        while True:
            settings = self._settings()
            async with self._claiming:
                wanted = self._wanted(settings)
                found = await self._claim(min(wanted, settings.claimed_at_once)) if wanted > 0 else 0
            if not found:
                await self.bell.wait(settings.poll_seconds)
                await asyncio.sleep(settings.gather_seconds)

    def _wanted(self, settings: WorkerSettings) -> int:
        """How many items to claim: what there is room for, and ahead of that what will begin soon. A model that takes
        its time is asked for nothing ahead; one that answers at once would be waiting for the database."""
        if self._is_draining:
            return 0
        room = settings.concurrency - len(self._tasks) - len(self._next)
        ahead = int(self._pace.a_second(self._clock.monotonic()) * settings.ahead_seconds)
        return room + ahead if room > 0 or room + ahead > ahead // 2 else 0

    async def _claim(self, most: int) -> int:
        ids = [self._clock.new_id("req") for _ in range(most)]
        seconds = self._settings().lease_seconds
        try:
            leases = await self._work.claim(self.name, ids, seconds)
        except HeadgateError as error:
            log.warning("no jobs can be claimed: %s", error.message)
            return 0
        for lease in leases:
            self._next[lease.job_id, lease.number, lease.token] = lease
        if self._is_draining:  # since it asked
            self._give_back()
        self._begin(self._settings().concurrency)
        if leases:
            self._means.observer.claimed(len(leases))
        return len(leases)

    def _begin(self, concurrency: int) -> None:
        while self._next and len(self._tasks) < concurrency:
            held = next(iter(self._next))
            task = asyncio.get_running_loop().create_task(self._do(self._next.pop(held)))
            self._tasks[held] = task
            task.add_done_callback(partial(self._over, held))

    def _give_back(self) -> None:
        """What did not begin yet is for others."""
        for lease in self._next.values():
            self._failed(lease, Draining("The worker was stopped."))
        self._next.clear()

    def _over(self, held: Held, _task: asyncio.Task[None]) -> None:
        del self._tasks[held]
        self._pace.count()
        if self._next:
            self._begin(self._settings().concurrency)
        self.bell.ring()  # there is room for another

    async def _do(self, lease: Lease) -> None:
        try:
            result = await kind_named(self._kinds, lease.kind).run(Task(lease, self.name, self._means))
            self._say(ItemEnd(lease.job_id, lease.number, lease.token, ItemState.SUCCEEDED, result))
        except HeadgateError as error:
            self._failed(lease, error)
        except Waiting:
            end = ItemEnd(lease.job_id, lease.number, lease.token, ItemState.RETRYING, awaits_children=True)
            self._say(end)
        except LeaseLost:
            pass  # another worker has it
        except asyncio.CancelledError:
            if not is_being_cancelled():
                self._broke(lease)  # or nobody would say what became of it
            elif self._is_draining:
                self._failed(lease, Draining("The worker was stopped."))
        except Exception:
            self._broke(lease)

    def _broke(self, lease: Lease) -> None:
        """Inside an `except`: what no kind should raise."""
        log.exception("item %d of job %s failed inside headgate", lease.number, lease.job_id)
        self._failed(lease, InternalError("headgate failed. The operator finds the cause in the log."))

    def _failed(self, lease: Lease, error: HeadgateError) -> None:
        rules, chance = self._settings().rules, self._clock.random.random()
        self._say(end_of(lease, error, rules, self._clock.now(), chance))

    def _say(self, end: ItemEnd) -> None:
        self._ends.append(end)
        self._ended.set()

    async def _write_forever(self) -> None:
        while True:
            await self._ended.wait()
            await asyncio.sleep(self._settings().gather_seconds)
            self._ended.clear()
            try:
                await self._write()
            except HeadgateError as error:
                log.warning("%d results of jobs wait for the database: %s", len(self._ends), error.message)
                await asyncio.sleep(self._settings().poll_seconds)
                self._ended.set()

    async def _write(self) -> None:
        """What ended so far; it stays if the database does not take it. Raises DatabaseUnavailable."""
        async with self._writing:
            if not (ends := tuple(self._ends)):
                return
            stood = await self._work.finish(self.name, ends)
            del self._ends[: len(ends)]
        for how, items in Counter(map(_how, compress(ends, stood))).items():
            self._means.observer.ended(how, items)
        if lost := stood.count(False):
            self._means.observer.ended("lost", lost)
            log.warning("%d results came too late: their items belong to others or are over", lost)

    async def _keep_forever(self) -> None:
        while True:
            settings = self._settings()
            await asyncio.sleep(settings.lease_seconds / 6)
            asked_at = self._clock.monotonic()
            if not self._tasks and not self._next:
                self._kept_at = asked_at
                continue
            mine, give_up_at = (*self._tasks, *self._next), self._kept_at + settings.lease_seconds * 2 / 3
            try:
                async with asyncio.timeout(max(settings.lease_seconds / 6, give_up_at - asked_at)):
                    kept = await self._work.keep(self.name, settings.lease_seconds)
                self._kept_at = asked_at
            except (HeadgateError, TimeoutError) as error:
                log.warning("leases could not be kept: %s", str(error) or "the database did not answer in time")
                if self._clock.monotonic() < give_up_at:
                    continue
                kept = frozenset()  # they are about to be given to others: stop before that
            for held in mine:
                if held not in kept and self._next.pop(held, None) is not None:
                    self._means.observer.ended("lost")
                if held not in kept and held in self._tasks:
                    self._tasks[held].cancel()
                    self._means.observer.ended("lost")

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings().sweep_seconds * (0.5 + self._clock.random.random()))
            try:
                if await self._work.sweep(self._settings().rules):
                    self.bell.ring()
                await self._take_back()
            except HeadgateError as error:
                log.warning("jobs could not be looked through: %s", error.message)

    async def _take_back(self) -> None:
        """What duplicates were charged is free again in the budgets of those who were."""
        for record in await self._work.book_duplicates():
            self._means.observer.duplicated(record.cost_picousd)
            try:
                holder = self._means.accounts.holder(record.key_id)
                await self._means.pipeline.take_back(holder, record)
            except HeadgateError as error:
                log.warning("a duplicate stays counted in budgets until they are rebuilt: %s", error.message)


def _how(end: ItemEnd) -> str:
    """What became of a lease, as it is counted."""
    if end.state is not ItemState.RETRYING:
        return end.state.value
    if end.awaits_children:
        return "waiting"
    return "retried" if end.counts_as_retry else "postponed"
