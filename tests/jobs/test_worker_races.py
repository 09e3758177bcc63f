"""What a worker does when the database answers slowly, just when it is stopped or its leases run out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headgate.config.schema import SimFaults
from headgate.errors import DatabaseUnavailable
from headgate.job_types import Command, ItemEnd, ItemState, JobState, Lease
from headgate.jobs.tasks import Task
from headgate.jobs.worker import WorkerSettings
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_work import SqlWork
from headgate.types import Caller
from tests.gateway.corridor import run
from tests.jobs.floor import Floor


class SlowWork(SqlWork):
    """Each call takes some seconds more; one to `keep` may never come back."""

    claim_seconds = finish_seconds = 0.0
    hangs = False

    async def claim(self, worker: str, request_ids: Sequence[str], seconds: float) -> list[Lease]:
        leases = await super().claim(worker, request_ids, seconds)
        await asyncio.sleep(self.claim_seconds)
        return leases

    async def finish(self, worker: str, ends: Sequence[ItemEnd]) -> list[bool]:
        stood = await super().finish(worker, ends)
        await asyncio.sleep(self.finish_seconds)
        return stood

    async def keep(self, worker: str, seconds: float) -> frozenset[tuple[str, int, int]]:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().keep(worker, seconds)


def slow(floor: Floor) -> SlowWork:
    floor.work = work = SlowWork(floor.database, floor.clock)
    return work


def test_what_is_claimed_while_a_worker_is_stopped_is_given_back_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        slow(floor).claim_seconds = 3.0
        worker = floor.start("w1")
        job = await floor.submit()
        await asyncio.sleep(1)
        assert (await floor.jobs.get(job.id)).counts.leased == 1 and worker.under_way == 0
        await floor.stop_worker("w1")
        (item,) = await floor.jobs.items(job.id, 9)
        assert (item.state, item.error_code) == (ItemState.RETRYING, "draining")
        await floor.stop()

    run(scenario)


def test_what_ended_is_written_once_though_a_worker_is_stopped_meanwhile(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        slow(floor).finish_seconds = 3.0
        floor.start("w1")
        job = await floor.submit()
        while not (await floor.jobs.get(job.id)).is_over:  # noqa: ASYNC110  # virtual time
            await asyncio.sleep(0.1)
        await floor.stop_worker("w1")
        assert floor.counts.ended == {"succeeded": 1}
        await floor.stop()

    run(scenario)


def test_a_worker_stops_asking_before_its_leases_run_out_if_the_database_does_not_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=SimFaults(hang_before=1.0))
        floor.settings = WorkerSettings(concurrency=4, lease_seconds=12.0)
        work = slow(floor)
        worker = floor.start("w1")
        await floor.submit()
        await asyncio.sleep(1)
        assert worker.under_way == 1
        work.hangs = True
        await asyncio.sleep(floor.settings.lease_seconds)
        assert worker.under_way == 0 and floor.corridor.at_rest()
        await floor.stop()

    run(scenario)


class AwayCheckpoints(SqlCheckpoints):
    """Takes no step for some seconds."""

    until = 0.0

    async def write(self, worker: str, lease: Lease, name: str, result: bytes, asked: Sequence[str] = ()) -> bool:
        if self._clock.monotonic() < self.until:
            raise DatabaseUnavailable("It is away.")
        return await super().write(worker, lease, name, result, asked)


class OneStep:
    """A kind that asks in a step."""

    public = True

    def check(self, caller: Caller, body: bytes) -> None:
        """Anything goes."""

    async def run(self, task: Task) -> bytes:
        return await task.step("ask", lambda: task.ask("chat", task.lease.request))


def test_a_step_that_was_paid_for_waits_for_the_database(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        checkpoints = AwayCheckpoints(floor.database, floor.clock)
        floor.means = msgspec.structs.replace(floor.means, checkpoints=checkpoints)
        floor.kinds["one"] = OneStep()
        checkpoints.until = floor.clock.monotonic() + 10.0
        floor.start("w1")
        done = await floor.until_over(await floor.submit(kind="one"))
        assert done.state is JobState.SUCCEEDED and len(floor.corridor.journal.appended) == 1
        await floor.stop()

    run(scenario)


def test_a_step_is_given_up_with_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        checkpoints = AwayCheckpoints(floor.database, floor.clock)
        floor.means = msgspec.structs.replace(floor.means, checkpoints=checkpoints)
        floor.kinds["one"] = OneStep()
        checkpoints.until = floor.clock.monotonic() + 1e6
        worker = floor.start("w1")
        job = await floor.submit(kind="one")
        await asyncio.sleep(60)
        assert worker.under_way == 1
        await floor.jobs.command(job.id, Command.CANCEL)
        await asyncio.sleep(10)
        assert worker.under_way == 0
        await floor.stop()

    run(scenario)
