"""What every `job_ports.JobUpkeep` must do, here SqlJobUpkeep."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from headgate.delivery_types import Target, TargetKind
from headgate.errors import DatabaseUnavailable, InvalidRequest, NotFound
from headgate.file_types import StoredFile
from headgate.idempotency_types import KeyedRequest, KeyedResult
from headgate.job_types import (
    Command,
    Counts,
    DeadFilter,
    EraseScope,
    ItemState,
    JobFilter,
    JobsHeld,
    JobState,
    NewItem,
    NewJob,
    Owner,
    Parent,
)
from headgate.stores import sql_job_upkeep
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_files import DROPPED_AT_ONCE, SqlFiles
from headgate.stores.sql_idempotency import SqlIdempotencyStore
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.stores.sql_outbox import SqlOutbox
from tests.admin.office import ledger_row
from tests.contract.test_jobs import claim, end, job
from tests.contract.working import Desk, Open

HOOK = Target(TargetKind.WEBHOOK, "https://hooks.example.com/", "acme hooks")
TABLES = ("jobs", "job_items", "job_checkpoints", "job_targets", "outbox", "job_attempts", "job_costs")


async def rows(desk: Desk) -> dict[str, int]:
    def count(connection: object) -> dict[str, int]:
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in TABLES}  # type: ignore[attr-defined]

    return await desk.database.run(desk.database.jobs, count)


async def done(desk: Desk, most: int = 50, result: bytes = b"12345") -> None:
    await desk.work.finish("w1", [end(lease, result=result) for lease in await claim(desk, most=most)])


def told(number: int, items: int = 1, user: str | None = "alice", tenant: str = "acme") -> NewJob:
    return msgspec.structs.replace(job(number, items, Owner(tenant, "key_1", user)), targets=(HOOK,))


def test_what_a_tenants_jobs_take(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep = SqlJobUpkeep(opened.database, opened.clock)
            assert await upkeep.held("acme") == JobsHeld(0, 0)
            await opened.jobs.submit(msgspec.structs.replace(told(1), requests=(b"x" * 10, b"x" * 20)))
            await opened.jobs.submit(told(2, tenant="other"))
            assert await upkeep.held("acme") == JobsHeld(30, 2)
            await done(opened, 1)
            assert await upkeep.held("acme") == JobsHeld(35, 1)

    asyncio.run(scenario())


def test_a_job_whose_caller_went_away_between_portions_ends_some_day(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep, jobs = SqlJobUpkeep(opened.database, opened.clock), opened.jobs
            is_open = {"requests": (), "sealed": False, "is_fed": True}
            for number in (1, 2):
                await jobs.submit(msgspec.structs.replace(told(number), **is_open))
            await jobs.add("job_001", [NewItem(1, b"{}"), NewItem(2, b"{}")])
            await done(opened, 1)
            await jobs.seal("job_002")
            await jobs.submit(msgspec.structs.replace(told(3), sealed=False))  # filled by a worker, that may be late
            await jobs.submit(told(4))
            assert await upkeep.abandon(60.0) == 0
            await opened.database.run(opened.database.jobs, a_minute_ago, writes=True)
            await jobs.add("job_001", [NewItem(3, b"{}")])
            assert await upkeep.abandon(60.0) == 0
            await opened.database.run(opened.database.jobs, a_minute_ago, writes=True)
            await jobs.add("job_001", [NewItem(3, b"{}")])  # it is there already: nothing came
            assert await upkeep.abandon(60.0) == 1
            left = await jobs.get("job_001")
            assert (left.state, left.error_code, left.sealed) == (JobState.CANCELLED, "left_open", True)
            assert left.counts == Counts(succeeded=1, cancelled=2) and "0.0166667 hours" in left.error
            assert not (await jobs.get("job_003")).is_over and not (await jobs.get("job_004")).is_over
            with pytest.raises(InvalidRequest):
                await jobs.add("job_001", [NewItem(4, b"{}")])
            assert await upkeep.abandon(0.0) == 0 and await upkeep.expire(-1.0) == 2

    asyncio.run(scenario())


def a_minute_ago(connection: Connection) -> None:
    """What happened to jobs was a minute earlier."""
    connection.exec_driver_sql("UPDATE jobs SET fed_at = fed_at - 61 WHERE fed_at > 0")


def test_a_job_is_erased_with_all_that_belongs_to_it_and_the_ledger_stays(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep, mine = SqlJobUpkeep(opened.database, opened.clock), EraseScope(job_id="job_001", tenant="acme")
            await opened.jobs.submit(told(1))
            (lease,) = await opened.work.claim("w1", ["req_1"], 30.0)
            await SqlCheckpoints(opened.database, opened.clock).write("w1", lease, "plan", b"secret")
            child = NewJob("job_001-a", lease.owner, "chat", (), 1.0, parent=Parent("job_001", 1, "job_001"))
            await opened.jobs.submit(msgspec.structs.replace(child, sealed=False))
            await opened.jobs.add("job_001-a", [NewItem(1, b"{}")])
            await opened.jobs.seal("job_001-a")
            await opened.ledger.write([ledger_row(1)])
            assert await upkeep.erase(mine) == 0 and await upkeep.open(mine, 9) == ["job_001"]
            await opened.work.finish("w1", [end(lease)])
            assert await upkeep.erase(mine) == 0 and await upkeep.open(mine, 9) == ["job_001"]  # its child is not over
            await done(opened)
            assert await upkeep.erase(EraseScope(job_id="job_001", tenant="other")) == 0
            assert await upkeep.erase(mine) == 1 and await upkeep.erase(mine) == 0
            assert set((await rows(opened)).values()) == {0}
            assert await opened.ledger.known(["req_1"]) == {"req_1"}

    asyncio.run(scenario())


def test_of_a_tenant_and_of_a_user(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep = SqlJobUpkeep(opened.database, opened.clock)
            for number, user in enumerate(("alice", "bob", None), start=1):
                await opened.jobs.submit(told(number, user=user))
            await opened.jobs.submit(told(4, tenant="other"))
            await done(opened)
            assert await upkeep.erase(EraseScope(tenant="acme", user="bob")) == 1
            assert await upkeep.erase(EraseScope(tenant="acme")) == 2
            assert (await opened.jobs.get("job_004")).id == "job_004" and (await rows(opened))["jobs"] == 1

    asyncio.run(scenario())


def test_jobs_that_were_over_long_ago(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep, count = SqlJobUpkeep(opened.database, opened.clock), sql_job_upkeep.AT_ONCE + 3
            for number in range(count):
                await opened.jobs.submit(told(number))
            await done(opened)
            await opened.jobs.submit(told(900))
            assert await upkeep.expire(60.0) == 0
            assert await upkeep.expire(-1.0) == sql_job_upkeep.AT_ONCE
            assert await upkeep.expire(-1.0) == 3 and await upkeep.expire(-1.0) == 0
            assert (await rows(opened))["jobs"] == 1
            assert await SqlOutbox(opened.database, opened.clock).standing()

    asyncio.run(scenario())


def test_what_else_a_user_left(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep, keys = SqlJobUpkeep(opened.database, opened.clock), SqlIdempotencyStore(opened.database)
            await opened.ledger.write(
                [ledger_row(1, user="alice"), ledger_row(2, user="bob"), ledger_row(3, tenant="other")]
            )
            for number in (1, 2, 3):
                key = bytes([number]) * 32
                await keys.claim(KeyedRequest(key, key, f"req_{number}", "p", 9e9, 9e9), 1.0)
                if number != 2:
                    await keys.finish(key, f"req_{number}", KeyedResult(False, "m", "p", "d", 1.0, b"words"))
            assert await upkeep.erase_belongings(EraseScope(tenant="acme", user="alice")) == 1
            assert await upkeep.erase_belongings(EraseScope(tenant="acme")) == 0  # the other one is under way
            assert [await keys.read(bytes([number]) * 32) is not None for number in (1, 2, 3)] == [False, True, True]

    asyncio.run(scenario())


def test_much_is_erased_in_small_transactions(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers keep their leases with the same database: none of them may wait for all that a job has to go."""
    monkeypatch.setattr(sql_job_upkeep, "ROWS_AT_ONCE", 10)

    async def scenario() -> None:
        async with desk() as opened:
            upkeep, files = SqlJobUpkeep(opened.database, opened.clock), SqlFiles(opened.database, opened.clock)
            for number in range(1, 4):
                await opened.jobs.submit(told(number, items=20))
            await done(opened, 99)
            for number in range(3 * DROPPED_AT_ONCE):
                await files.write("file-1", number, b"x")
            await files.finish(StoredFile("file-1", "acme", None, "batch", "a", 48, 1.0))
            usual, transactions = opened.database.run, 0

            async def run(lane: Any, work: Any, *, writes: bool = False) -> Any:
                nonlocal transactions
                transactions += writes
                return await usual(lane, work, writes=writes)

            monkeypatch.setattr(opened.database, "run", run)
            assert await upkeep.erase(EraseScope(tenant="acme")) == 3
            assert transactions >= 12 and set((await rows(opened)).values()) == {0}
            transactions = 0
            assert await upkeep.erase_belongings(EraseScope(tenant="acme")) == 1
            assert transactions >= 4 and await files.piece("file-1", 0) == b""

    asyncio.run(scenario())


def test_every_job_that_is_erased_is_counted(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            upkeep = SqlJobUpkeep(opened.database, opened.clock)
            for at_once in range(1, 9):  # the last row of one may be the last of a transaction
                monkeypatch.setattr(sql_job_upkeep, "ROWS_AT_ONCE", at_once)
                for number in (1, 2):
                    await opened.jobs.submit(told(number))
                await done(opened)
                assert await upkeep.erase(EraseScope(tenant="acme")) == 2

    asyncio.run(scenario())


def test_what_is_half_erased_is_gone_for_everybody(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the rest of it would begin anew, and whoever looked would find half a job."""
    monkeypatch.setattr(sql_job_upkeep, "ROWS_AT_ONCE", 10)

    async def scenario() -> None:
        async with desk() as one, desk() as other:
            upkeep, mine = SqlJobUpkeep(one.database, one.clock), EraseScope(tenant="acme")
            await one.jobs.submit(msgspec.structs.replace(told(1, items=20), idempotency_key="again"))
            leases = await claim(one, most=20)
            await one.work.finish("w1", [end(lease, ItemState.DEAD, error_code="poison") for lease in leases])
            usual, begun = one.database.run, asyncio.Event()

            async def run(lane: Any, work: Any, *, writes: bool = False) -> Any:
                if begun.is_set():
                    raise DatabaseUnavailable("as if the process died")
                begun.set()
                return await usual(lane, work, writes=writes)

            with monkeypatch.context() as patched, pytest.raises(DatabaseUnavailable):
                patched.setattr(one.database, "run", run)
                await upkeep.erase(mine)
            assert 0 < (await rows(one))["job_items"] < 20
            for asked in (other.jobs.get("job_001"), other.jobs.command("job_001", Command.REDRIVE)):
                with pytest.raises(NotFound):
                    await asked
            assert await other.dead.page(DeadFilter(), 9) == [] and await other.dead.redrive(DeadFilter()) == 0
            assert await other.jobs.page(JobFilter(tenant="acme"), 9) == ([], None)
            anew, is_new = await other.jobs.submit(msgspec.structs.replace(told(2), idempotency_key="again"))
            assert is_new and await claim(other) != []
            assert await upkeep.expire(900.0) == 1 and await upkeep.expire(900.0) == 0
            assert (await rows(one))["jobs"] == (await rows(one))["job_items"] == 1
            assert (await other.jobs.get(anew.id)).id == anew.id

    asyncio.run(scenario())
