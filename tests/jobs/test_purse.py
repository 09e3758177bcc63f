"""A job that may cost so much stops before it costs more, keeps what is done, and goes on when it may."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headgate.config.schema import SimFaults
from headgate.errors import DatabaseUnavailable
from headgate.job_types import Command, Hold, JobState, NewJob
from headgate.jobs.calls import call_of
from headgate.limit_errors import BackgroundHeld
from tests.gateway.corridor import run
from tests.jobs.floor import OWNER, Floor

BODY = b'{"model": "small", "max_tokens": 30, "messages": [{"role": "user", "content": "item"}]}'


FAULTS = SimFaults(server_error=0.05, cut=0.1, malformed=0.05, empty=0.05)
SOON_SECONDS = 10.0


@pytest.mark.parametrize("workers", [1, 3])
def test_it_is_paused_before_it_costs_more_and_goes_on_when_it_may(tmp_path: Path, workers: int) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=FAULTS)
        for number in range(workers):
            floor.start(f"w{number}")
        limit = 3_000_000
        new = NewJob("job_1", OWNER, "chat", (BODY,) * 40, floor.clock.now(), max_cost_picousd=limit)
        job, _ = await floor.jobs.submit(new)
        async with asyncio.timeout(3600):
            while not (job := await floor.jobs.get(job.id)).paused:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(1)
        rows = floor.corridor.journal.appended
        assert floor.clock.now() - max(each.started_at + each.e2e_seconds for each in rows) < SOON_SECONDS
        await asyncio.sleep(60)
        job = await floor.jobs.get(job.id)
        spent = sum(record.cost_picousd for record in rows)
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


def test_workers_that_are_lost_do_not_make_it_cost_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=FAULTS)
        limit = 4_000_000
        body = b'{"model": "small", "max_tokens": 30, "messages": [{"role": "user", "content": "item"}]}'
        new = NewJob("job_1", OWNER, "chat", (body,) * 60, floor.clock.now(), max_cost_picousd=limit)
        job, _ = await floor.jobs.submit(new)
        for number in range(8):
            floor.start(f"w{number}")
            await asyncio.sleep(1.5)
            if number % 2:
                floor.kill(f"w{number}")
        async with asyncio.timeout(3600):
            while not (job := await floor.jobs.get(job.id)).paused:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(1)
        await asyncio.sleep(60)
        assert limit / 2 < sum(record.cost_picousd for record in floor.corridor.journal.appended) <= limit
        await floor.stop()

    run(scenario)


def test_what_never_reaches_a_provider_holds_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        body = b'{"model": "small", "max_tokens": 30, "messages": [{"role": "user", "content": "item"}]}'
        most = floor.means.purse._most_picousd(call_of("chat", body, "req_1", None))
        await floor.jobs.submit(NewJob("job_1", OWNER, "chat", (body,), floor.clock.now(), max_cost_picousd=most))
        call = call_of("chat", body, "req_1", None)
        for _ in range(3):
            with pytest.raises(BackgroundHeld):
                async with floor.means.purse.paying("job_1", call):
                    raise BackgroundHeld("others are before it")
        assert await floor.purses.hold("job_1", "req_2", most) is Hold.TAKEN
        await floor.stop()

    run(scenario)
