"""What a worker does when the database answers slowly, just when it is stopped or its leases run out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from headgate.config.schema import SimFaults
from headgate.job_types import ItemEnd, ItemState, Lease
from headgate.jobs.worker import WorkerSettings
from headgate.stores.sql_work import SqlWork
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
        while not (await floor.jobs.get(job.id)).is_over:
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
