"""What is asked of the database all the time must not read whole tables: that takes longer with every job."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event

from headgate.delivery_types import DeliveryEnd, DeliveryState, Target, TargetKind
from headgate.file_types import Batch, BatchPage, Dialect, FileFilter, NewBatch, StoredFile
from headgate.job_types import Command, DeadFilter, ItemEnd, ItemState, JobFilter, OffPeak, RetryRules
from headgate.provider_batch_types import ProviderBatch, Stage
from headgate.queue_types import NewDeadLetter
from headgate.stores import sql_prospects
from headgate.stores.database import Database
from headgate.stores.sql_batches import SqlBatches
from headgate.stores.sql_dead_letters import SqlDeadLetters
from headgate.stores.sql_files import SqlFiles
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.stores.sql_outbox import SqlOutbox
from headgate.stores.sql_prospects import SqlProspects
from headgate.stores.sql_provider_batches import SqlProviderBatches
from headgate.stores.sql_purses import SqlPurses
from tests.contract.test_job_trees import child, items
from tests.contract.test_jobs import SECONDS, claim, end, job
from tests.contract.test_prospects import do
from tests.contract.test_provider_batch_records import batch
from tests.contract.working import Desk, on_database

LARGE = (
    "jobs|job_items|job_attempts|job_checkpoints|job_targets|job_holds|outbox|requests|files|file_pieces|batches|"
    "dead_letters"
)
PARTIAL = (
    "job_items_ready|job_items_leased|job_items_dead|job_items_died|job_items_due|job_items_waited|jobs_dead|jobs_erasing|"
    "requests_provisional|outbox_due|outbox_dead"
)
_WHOLE = re.compile(rf"SCAN ({LARGE})\b(?! USING (COVERING )?INDEX ({PARTIAL})\b)")
_PLANNED = ("SELECT", "UPDATE", "DELETE", "INSERT INTO outbox")


@contextmanager
def watched(database: Database) -> Iterator[dict[str, str]]:
    """Statements that read a whole large table, and how SQLite says it."""
    found: dict[str, str] = {}
    seen: set[str] = set()

    def look(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement in seen or not statement.startswith(_PLANNED):
            return
        seen.add(statement)
        one = parameters[0] if many else parameters
        plan = "; ".join(str(row[3]) for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", one))
        if _WHOLE.search(plan):
            found[statement] = plan

    event.listen(database._engine, "before_cursor_execute", look)
    yield found
    event.remove(database._engine, "before_cursor_execute", look)


async def work(here: Desk) -> None:
    """A tree of jobs, with everything that happens to one."""
    told = (Target(TargetKind.WEBHOOK, "https://hooks.example.com/", "acme hooks"),)
    off_peak = OffPeak("00:00-23:59", "UTC")
    more = {"targets": told, "origin": "redis://queue 1", "idempotency_key": "mine", "off_peak": off_peak}
    submitted = job(1, max_cost_picousd=10**12, deadline_at=here.clock.now() + 900.0, **more)
    await here.jobs.submit(submitted)
    await here.jobs.submit(msgspec.structs.replace(submitted, id="job_002"))
    (parent,) = await claim(here, "w1", 1)
    below, _ = await here.jobs.submit(child(parent))
    await here.jobs.add(below.id, items(1, 2, 3))
    await here.jobs.seal(below.id)
    await here.checkpoints.read(parent)
    await here.checkpoints.begin("w1", parent, "req_more")
    await here.checkpoints.write("w1", parent, "plan", b"{}", ["req_more"])
    await here.work.finish("w1", [end(parent, ItemState.RETRYING, awaits_children=True)])
    first, second, third = await claim(here, "w2", 3)
    await here.work.keep("w2", SECONDS)
    await here.work.finish("w2", [end(first), end(second, ItemState.DEAD, error_code="poison")])
    await here.pass_time(SECONDS + 1)
    await here.work.sweep(RetryRules())
    await here.work.book_duplicates()
    await here.work.backlog()
    await here.dead.page(DeadFilter(), 10)
    await here.dead.page(DeadFilter(job_id=below.id), 10)
    assert third.number == 3


async def look(here: Desk) -> None:
    """What those ask who watch jobs."""
    prospects, upkeep = SqlProspects(here.database), SqlJobUpkeep(here.database, here.clock)
    await here.jobs.get("job_001")
    await here.jobs.page(JobFilter(tenant="acme"), 10)
    await here.jobs.items("job_001", 10)
    await prospects.version("job_001")
    await prospects.of("job_001")
    await upkeep.held("acme")
    await upkeep.abandon(0.0)
    await upkeep.expire(0.0)


async def tell(here: Desk) -> None:
    outbox = SqlOutbox(here.database, here.clock)
    await here.pass_time(60)
    waiting = await outbox.waiting(10, ["other"], ["lane"])
    claimed = await outbox.claim([one.id for one in waiting], 60.0)
    await outbox.finish([DeliveryEnd(one.id, one.token, DeliveryState.DELIVERED, "200") for one in claimed])
    await outbox.standing()
    await outbox.prune(0.0)
    await outbox.of_job("job_001", 10)


async def others(here: Desk) -> None:
    """Files, batches of callers and at providers, purses, messages."""
    now = here.clock.now()
    files, stored = SqlFiles(here.database, here.clock), StoredFile("file-1", "acme", None, "batch", "a", 1, now, now)
    await files.write("file-1", 0, b"x")
    await files.finish(stored, 10)
    await files.page(FileFilter("acme", ("batch",)), 10)
    await files.sweep()
    batches, asked = SqlBatches(here.database), NewBatch(Dialect.OPENAI, "/v1", "chat", "file-1", now, now)
    await batches.add(Batch("batch_1", "acme", None, asked))
    await batches.page(BatchPage("acme", Dialect.OPENAI, 10))
    at_provider = SqlProviderBatches(here.database, here.clock)
    whose = ("acme", "key_1", None, "small", "openai/small", "fingerprint", None)
    made = ProviderBatch("pb_1", "job_003", "chat", *whose, Stage.PREPARED, now)
    await here.jobs.submit(job(3))
    await at_provider.decide("job_003", "batch", "it is cheaper")
    assert await at_provider.prepare(made, ["req_batch"], 10**6)
    await at_provider.waiting()
    await at_provider.open()
    await at_provider.taken(made)
    assert await at_provider.wanted(made) == 1
    purses = SqlPurses(here.database, here.clock)
    await purses.hold("job_001", "req_hold", 10**11)
    await purses.hold("job_001", "req_more", 10**12)
    await purses.settle("req_hold", 5)
    letters = SqlDeadLetters(here.database, here.clock)
    await letters.add(NewDeadLetter("redis://queue", "1", b"", "broken"))


def test_nothing_that_is_asked_all_the_time_reads_a_whole_table(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_database("sqlite", tmp_path)() as here:
            await here.database.prepare()
            with watched(here.database) as whole:
                for part in (work, look, tell, others):
                    await part(here)
            assert not whole, "\n\n".join(f"{statement}\n  {plan}" for statement, plan in whole.items())

    asyncio.run(scenario())


class Steps:
    """What SQLite's machine takes, which is the same in every run."""

    def __init__(self) -> None:
        self.taken = 0

    @contextmanager
    def counted(self, database: Database) -> Iterator[None]:
        is_over = False

        def step() -> None:
            self.taken += not is_over

        def look(connection: Connection, cursor: Any, *_: object) -> None:
            cursor.connection.set_progress_handler(step, 1)

        event.listen(database._engine, "before_cursor_execute", look)
        yield
        is_over = True
        event.remove(database._engine, "before_cursor_execute", look)


@pytest.mark.parametrize("done", [0.05, 0.9])
def test_looking_at_a_large_job_takes_no_longer_than_at_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: float
) -> None:
    for name, many in (("SAMPLED", 20), ("PROBED", 20), ("FARTHEST", 20), ("NEAR", 5)):
        monkeypatch.setattr(sql_prospects, name, many)

    async def scenario(items: int) -> int:
        steps = Steps()
        async with on_database("sqlite", tmp_path / str(items))() as here:
            await here.jobs.submit(job(1, items=items))
            await here.jobs.submit(job(2))
            await do(here, int(items * done))
            await claim(here, "w1", 3)
            prospects = SqlProspects(here.database)
            with steps.counted(here.database):
                for name in ("job_001", "job_002"):
                    await prospects.of(name)
                    await here.jobs.get(name)
                    for state in set(ItemState) - {ItemState.QUEUED}:  # which are looked for among the others
                        await here.jobs.items(name, 10, state=state)
            return steps.taken

    small, large = (asyncio.run(scenario(items)) for items in (500, 4000))
    assert large < 1.5 * small


def test_what_waits_and_what_is_dead_is_known_without_counting_it(tmp_path: Path) -> None:
    """Every process asks every few seconds."""

    async def scenario(items: int) -> int:
        steps = Steps()
        async with on_database("sqlite", tmp_path / str(items))() as here:
            for number in range(1, 5):
                await here.jobs.submit(job(number, items=items))
            dead = [end(lease, ItemState.DEAD, error_code="poison") for lease in await claim(here, "w1", items)]
            await here.work.finish("w1", dead)
            await here.jobs.command("job_004", Command.PAUSE)
            with steps.counted(here.database):
                backlog = await here.work.backlog()
            assert (backlog.ready, backlog.waiting, backlog.dead) == (2 * items, items, items)
            return steps.taken

    small, large = (asyncio.run(scenario(items)) for items in (5, 100))
    assert large < 1.2 * small


def test_results_of_a_batch_at_a_provider_cost_the_same_however_many_there_are(tmp_path: Path) -> None:
    async def scenario(items: int) -> int:
        steps = Steps()
        async with on_database("sqlite", tmp_path / str(items))() as here:
            batches, made = SqlProviderBatches(here.database, here.clock), batch()
            await here.jobs.submit(job(items=items))
            await batches.decide("job_001", "batch", "because")
            taken = await batches.prepare(made, [f"req_{number}" for number in range(items)], 10**6)
            ends = [ItemEnd(one.job_id, one.number, one.token, ItemState.SUCCEEDED) for one in taken]
            with steps.counted(here.database):
                assert await here.work.finish(made.worker, ends[:5]) == [True] * 5
            assert all(await here.work.finish(made.worker, ends[5:]))
            return steps.taken

    small, large = (asyncio.run(scenario(items)) for items in (10, 1100))
    assert large < 1.5 * small
