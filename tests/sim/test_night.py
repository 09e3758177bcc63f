"""A night of jobs beside people at connections, in virtual time: in time, unfelt, and foreseen."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from math import cos, pi
from pathlib import Path
from statistics import quantiles

import msgspec
import pytest
from sqlalchemy import Connection, func, select, text

from headgate.job_types import Counts, Job, JobState, NewJob, RetryRules
from headgate.policy.background import Load, concurrency
from headgate.policy.jobs import TRANSITIONS
from headgate.sim.loop import run_virtual
from headgate.stores.job_counts import COUNTED
from headgate.stores.jobs_tables import job_attempts, job_items
from headgate.stores.jobs_tables import jobs as jobs_table
from headgate.stores.sql import SqlLedger
from tests.gateway.corridor import ALICE
from tests.jobs.floor import OWNER, Floor
from tests.scale import scaled
from tests.sim.crowded import CrowdedProvider

ITEMS = scaled(50_000, 2_500)
NIGHT_SECONDS = scaled(8 * 3600, 3600)
SEEDS = scaled(5, 1)
SLOTS = 40
MEAN_SECONDS = 4.0 + 0.33  # an answer's, of `CrowdedProvider`
WORKERS, CONCURRENCY = 2, 64
KILLS = scaled(20, 3)
LOOK_SECONDS = 60.0
WATCH = (
    "CREATE TABLE changes_seen (source TEXT, target TEXT)",
    """CREATE TRIGGER watch AFTER UPDATE OF state ON job_items WHEN old.state <> new.state
    BEGIN INSERT INTO changes_seen VALUES (old.state, new.state); END""",
)
ALLOWED = {(source.value, target.value) for (source, _), target in TRANSITIONS.items()}

pytestmark = [pytest.mark.timeout(scaled(3600, 300))]


class Night:
    """Interactive streams, from a busy evening at 80 % of what the engine can do into the small hours and out again;
    and, if there are any, the documents of a job, of very different lengths. Make it inside the loop."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance, self.arrivals = random.Random(seed), random.Random(seed + 2)
        self.provider = CrowdedProvider("engine", random.Random(seed + 1), slots=SLOTS, most_waiting=200)
        rules = RetryRules(retries=20, lost_workers=99)
        self.floor = Floor(folder, seed=seed, rules=rules, provider=self.provider)  # type: ignore[arg-type]
        self.ttft_seconds: list[float] = []
        self.written = 0

    async def people(self) -> None:
        """A Poisson process."""
        clock, began = self.floor.clock, self.floor.clock.monotonic()
        most = 0.8 * SLOTS / MEAN_SECONDS
        async with asyncio.TaskGroup() as clients:
            while (at := clock.monotonic() - began) < NIGHT_SECONDS:
                await asyncio.sleep(self.arrivals.expovariate(most))
                if self.arrivals.random() * 0.8 < 0.5 + 0.3 * cos(2 * pi * at / NIGHT_SECONDS):
                    clients.create_task(self._client())

    async def _client(self) -> None:
        corridor, clock = self.floor.corridor, self.floor.clock
        began = clock.monotonic()
        async with corridor.pipeline.handle(ALICE, corridor.call()) as answer:
            self.ttft_seconds.append(clock.monotonic() - began)
            async for _ in answer.events:
                pass

    async def submit(self) -> Job:
        body = b'{"model": "small", "max_tokens": 500, "messages": [{"role": "user", "content": "%b"}]}'
        lengths = [int(self.chance.lognormvariate(6.5, 1.0)) for _ in range(ITEMS)]
        requests = tuple(body % (b"word " * (length // 5 + 1)) for length in lengths)
        now = self.floor.clock.now()
        new = NewJob("job_night", OWNER, "chat", requests, now, deadline_at=now + NIGHT_SECONDS)
        return (await self.floor.jobs.submit(new))[0]

    async def watch(self, name: str = "job_night") -> tuple[Job, float, float]:
        """The job at its end, when that was, and the forecast of its cost when a tenth was done."""
        foreseen = 0.0
        await self.floor.database.run(self.floor.database.jobs, _install, writes=True)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.write_ledger()
            job = await self.floor.jobs.get(name)
            await self.floor.database.run(self.floor.database.jobs, partial(_assert_counted, name))
            if not foreseen and job.counts.done >= ITEMS / 10:
                cost = (await self.floor.desk.outlooks.of(job)).cost
                assert cost is not None
                foreseen = cost.cost_picousd
            if job.is_over:
                return job, self.floor.clock.monotonic(), foreseen

    async def write_ledger(self) -> None:
        """As the drain does."""
        rows = self.floor.corridor.journal.appended[self.written :]
        self.written += len(rows)
        await SqlLedger(self.floor.database).write(rows)

    async def pace(self) -> None:
        """As `concurrency: auto` does: no more items in hand than the gate has room for."""
        while True:
            gate, backlog = self.floor.gate, await self.floor.work.backlog()
            load = Load(self.floor.under_way, gate.held, gate.room, backlog.oldest_age_seconds)
            share = max(1, concurrency(load, CONCURRENCY) // WORKERS)
            self.floor.settings = msgspec.structs.replace(self.floor.settings, concurrency=share)
            await asyncio.sleep(LOOK_SECONDS / 10)

    async def deaths(self) -> None:
        """Now and then a worker says nothing any more, and another one comes."""
        for number in range(WORKERS):
            self.floor.start(f"w{number}")
        for number in range(KILLS):
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * NIGHT_SECONDS / 2 / KILLS)
            self.floor.kill(f"w{number}")
            self.floor.start(f"w{number + WORKERS}")

    @property
    def p99_seconds(self) -> float:
        return quantiles(self.ttft_seconds, n=100)[98]


def _assert_counted(name: str, connection: Connection) -> None:
    """The job's row says of its items what they say, in the same moment."""
    query = select(job_items.c.state, func.count()).where(job_items.c.job_id == name).group_by(job_items.c.state)
    states = dict(map(tuple, connection.execute(query).all()))
    row = connection.execute(select(jobs_table).where(jobs_table.c.id == name)).one()
    counted = {state: getattr(row, state) for state in COUNTED if getattr(row, state)}
    assert counted == states, "an item is in two states, or in none"


def _install(connection: Connection) -> None:
    for statement in WATCH:
        connection.execute(text(statement))


def alone(folder: Path, seed: int) -> float:
    """What people feel of the engine when nobody else is there."""

    async def scenario() -> float:
        night = Night(folder, seed)
        await night.people()
        await night.floor.stop()
        return night.p99_seconds

    return run_virtual(scenario())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_night(tmp_path: Path, seed: int) -> None:
    p99_alone = alone(tmp_path / "alone", seed)

    async def scenario() -> None:
        night = Night(tmp_path / "both", seed)
        await night.submit()
        began = night.floor.clock.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(night.people())
            group.create_task(night.deaths())
            pacing = group.create_task(night.pace())
            watching = group.create_task(night.watch())
            watching.add_done_callback(lambda _: pacing.cancel())
        job, ended, foreseen = watching.result()
        await asyncio.sleep(60)
        await night.write_ledger()
        await night.floor.work.book_duplicates()
        job = await night.floor.jobs.get(job.id)
        off = foreseen / job.cost_picousd - 1
        print(
            f"\nseed {seed}: {ITEMS} items in {(ended - began) / 3600:.2f} h, {len(night.ttft_seconds)} streams with a "
            f"p99 of {night.p99_seconds:.3f} s ({p99_alone:.3f} alone), forecast {off:+.1%}, "
            f"{job.duplicate_picousd / job.cost_picousd:.2%} paid for duplicates"
        )
        assert (job.state, job.counts) == (JobState.SUCCEEDED, Counts(succeeded=ITEMS)), "the deadline is met"
        assert night.p99_seconds <= 1.1 * p99_alone
        assert abs(off) <= 0.05
        await _assert_sums(night, job)
        await night.floor.stop()

    run_virtual(scenario())


async def _assert_sums(night: Night, job: Job) -> None:
    """Only changes that are listed; every attempt of the job is paid for once, in the ledger; all came to its end."""

    def work(connection: Connection) -> tuple[set[tuple[str, str]], set[str], Counter[str]]:
        changes = {tuple(row) for row in connection.execute(text("SELECT DISTINCT source, target FROM changes_seen"))}
        ours = connection.execute(select(job_attempts.c.request_id).where(job_attempts.c.job_id == job.id)).scalars()
        states = connection.execute(select(job_items.c.state, func.count()).group_by(job_items.c.state)).all()
        assert connection.execute(select(func.count()).select_from(jobs_table)).scalar_one() == 1
        return changes, set(ours), Counter(dict(map(tuple, states)))  # type: ignore[return-value,arg-type]

    changes, ours, states = await night.floor.database.run(night.floor.database.jobs, work)
    assert changes <= ALLOWED and states == {"succeeded": ITEMS}
    rows = {record.id: record for record in night.floor.corridor.journal.appended if record.id in ours}
    for record in rows.values():
        assert sum(attempt.cost_picousd for attempt in record.attempts) == record.cost_picousd
    assert sum(record.cost_picousd for record in rows.values()) == job.cost_picousd + job.duplicate_picousd
