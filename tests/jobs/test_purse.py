"""A job that may cost so much stops before it costs more, keeps what is done, and goes on when it may."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headgate.config.schema import SimFaults
from headgate.errors import DatabaseUnavailable
from headgate.job_types import Command, JobState, NewJob
from tests.gateway.corridor import run
from tests.jobs.floor import OWNER, Floor

BODY = b'{"model": "small", "max_tokens": 30, "messages": [{"role": "user", "content": "item"}]}'


@pytest.mark.parametrize("workers", [1, 3])
def test_it_is_paused_before_it_costs_more_and_goes_on_when_it_may(tmp_path: Path, workers: int) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=SimFaults(server_error=0.05))
        for number in range(workers):
            floor.start(f"w{number}")
        limit = 3_000_000
        new = NewJob("job_1", OWNER, "chat", (BODY,) * 40, floor.clock.now(), max_cost_picousd=limit)
        job, _ = await floor.jobs.submit(new)
        async with asyncio.timeout(3600):
            while not (job := await floor.jobs.get(job.id)).paused:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(1)
        await asyncio.sleep(60)
        job = await floor.jobs.get(job.id)
        spent = sum(record.cost_picousd for record in floor.corridor.journal.appended)
        assert limit / 2 < spent <= limit
        assert job.error_code == "job_budget_spent" and 0 < job.counts.succeeded < 40 and job.counts.leased == 0
        await floor.purses.resize(job.id, 10**12)
        await floor.jobs.command(job.id, Command.RESUME)
        done = await floor.until_over(job)
        assert (done.state, done.counts.succeeded) == (JobState.SUCCEEDED, 40)
        await floor.stop()

    run(scenario)


def test_an_answer_is_kept_though_the_purse_does_not_take_what_is_left(tmp_path: Path) -> None:
    """The database goes away between the answer and its settling: it was paid for and must not be asked for again."""

    async def scenario() -> None:
        floor = Floor(tmp_path)
        settle, refused = floor.purses.settle, [DatabaseUnavailable("It is away.")]

        async def settled(request_id: str, cost_picousd: int) -> None:
            if refused:
                raise refused.pop()
            await settle(request_id, cost_picousd)

        floor.purses.settle = settled  # type: ignore[method-assign]
        floor.start("w1")
        new = NewJob("job_1", OWNER, "chat", (BODY,) * 3, floor.clock.now(), max_cost_picousd=10**12)
        job, _ = await floor.jobs.submit(new)
        done = await floor.until_over(job)
        assert done.state is JobState.SUCCEEDED and not refused
        assert len(floor.corridor.journal.appended) == 3
        await floor.stop()

    run(scenario)
