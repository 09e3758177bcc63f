"""What a job says it cost is what the ledger says, whatever happened, in which order, and how often."""

from __future__ import annotations

import asyncio
from random import Random

import msgspec
import pytest
from sqlalchemy import Connection, text

from headgate.job_types import ItemState, Job, Lease, RetryRules
from headgate.stores.cleaning import MAX_INTEGER
from headgate.types import Outcome, RequestRecord
from tests.contract.test_job_trees import row, with_child
from tests.contract.test_jobs import SECONDS, claim, end, job
from tests.contract.working import Desk, Open

RULES = RetryRules(lost_workers=50)
# The truth: all rows of the attempts of a job and of those below it.
JOIN = text(
    "SELECT requests.cost_picousd, requests.outcome FROM requests "
    "JOIN job_attempts ON job_attempts.request_id = requests.id JOIN jobs ON jobs.id = job_attempts.job_id "
    "WHERE jobs.id = :job_id OR jobs.root_id = :job_id"
)


async def costs_of(desk: Desk, *job_ids: str) -> list[Job]:
    """The jobs, whose costs were compared with their rows."""
    found = []
    for job_id in job_ids:

        def joined(connection: Connection, job_id: str = job_id) -> list[tuple[int, str]]:
            return [tuple(each) for each in connection.execute(JOIN, {"job_id": job_id})]

        rows = await desk.database.run(desk.database.reading, joined)
        known = await desk.jobs.get(job_id)
        twice = sum(cost for cost, outcome in rows if outcome == Outcome.DUPLICATE)
        assert (known.cost_picousd, known.duplicate_picousd) == (sum(cost for cost, _ in rows) - twice, twice)
        found.append(known)
    return found


async def forget_sums(desk: Desk, request_ids: list[str]) -> None:
    """As a release before left attempts whose rows it wrote itself."""

    def work(connection: Connection) -> None:
        for request_id in request_ids:
            connection.execute(text("UPDATE job_attempts SET summed = 0 WHERE request_id = :id"), {"id": request_id})

    await desk.database.run(desk.database.jobs, work, writes=True)


class Life:
    """What may happen to jobs and their rows."""

    def __init__(self, desk: Desk, chance: Random) -> None:
        self._desk, self._chance = desk, chance
        self._held: list[tuple[str, Lease]] = []
        self._owed: list[RequestRecord] = []  # rows that may come, or come again
        self._workers = 0

    async def claim(self) -> None:
        self._workers += 1
        name = f"w{self._workers}"
        leases = await self._desk.work.claim(name, [f"req_{name}_{number}" for number in range(3)], SECONDS)
        if self._chance.random() < 0.2:
            await forget_sums(self._desk, [lease.request_id for lease in leases])
        self._held += [(name, lease) for lease in leases]
        self._owe([lease.request_id for lease in leases])

    async def ask_more(self) -> None:
        if self._held:
            name, lease = self._chance.choice(self._held)
            request_id = f"{lease.request_id}_{self._chance.randrange(10**6)}"
            if await self._desk.checkpoints.begin(name, lease, request_id):
                self._owe([request_id])

    async def write(self) -> None:
        """Some rows, rows of nobody's job and rows that were there before among them."""
        some = self._chance.sample(self._owed, min(len(self._owed), 4))
        await self._desk.ledger.write([*some, row(f"live_{self._chance.randrange(10**6)}", 11)])

    async def finish(self) -> None:
        if self._held:
            name, lease = self._held.pop(self._chance.randrange(len(self._held)))
            state = self._chance.choice((ItemState.SUCCEEDED, ItemState.RETRYING, ItemState.FAILED))
            await self._desk.work.finish(name, [end(lease, state)])

    async def lose(self) -> None:
        await self._desk.pass_time(SECONDS + 1)
        await self._desk.work.sweep(RULES)
        await self._desk.work.sweep(RULES)

    async def book(self) -> None:
        await self._desk.work.book_duplicates()

    def _owe(self, request_ids: list[str]) -> None:
        outcomes = (Outcome.DONE, Outcome.DONE, Outcome.PROVISIONAL, Outcome.FAILED)
        for request_id in request_ids:
            record = row(request_id, self._chance.randrange(100))
            self._owed.append(msgspec.structs.replace(record, outcome=self._chance.choice(outcomes)))


@pytest.mark.parametrize("seed", range(2))
def test_the_cost_of_a_job_is_the_sum_of_its_rows(desk: Open, seed: int) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            chance = Random(seed)
            parent, below = await with_child(opened, *range(1, 9))
            await opened.jobs.submit(job(2, items=4))
            life, twice = Life(opened, chance), 0
            steps = (*(life.claim, life.write, life.lose) * 2, life.ask_more, life.finish, life.book)
            for _ in range(60):
                await chance.choice(steps)()
                found = await costs_of(opened, parent.job_id, below.id, "job_002")
                twice = max(twice, *(each.duplicate_picousd for each in found))
            assert twice > 0 and found[0].cost_picousd > 0

    asyncio.run(scenario())


def test_processes_that_write_at_once_count_each_row_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as one, desk() as two:
            await one.jobs.submit(job(1, items=20))
            await one.jobs.submit(job(2, items=20))
            rows = [row(lease.request_id, 5) for lease in await claim(one, most=40)]
            writes = [
                ledger.write(rows[start : start + 10])
                for start in range(0, 40, 5)
                for ledger in (one.ledger, two.ledger)
            ]
            await asyncio.gather(*writes)
            first, second = await costs_of(one, "job_001", "job_002")
            assert (first.cost_picousd, second.cost_picousd) == (100, 100)

    asyncio.run(scenario())


def test_the_cost_stays_when_its_rows_are_folded(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, items=2))
            await opened.ledger.write([row(lease.request_id, 5) for lease in await claim(opened)])
            assert await opened.ledger.compact(opened.clock.now()) == 2
            assert (await opened.jobs.get("job_001")).cost_picousd == 10

    asyncio.run(scenario())


def test_numbers_that_a_provider_made_up_do_not_stop_the_ledger(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, items=3))
            first, second, third = await claim(opened)
            await opened.ledger.write([row(first.request_id, MAX_INTEGER), row(second.request_id, MAX_INTEGER)])
            await opened.ledger.write([row(third.request_id, 1)])
            assert (await opened.jobs.get("job_001")).cost_picousd == MAX_INTEGER

    asyncio.run(scenario())
