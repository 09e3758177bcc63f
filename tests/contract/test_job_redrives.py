"""What stores of jobs must do with what is asked of a job in the very moment in which items of it begin anew."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from headgate.job_types import Command, DeadFilter, ItemState
from headgate.stores.database import Database
from headgate.stores.sql_provider_batches import SqlProviderBatches
from tests.contract.test_jobs import claim, end, job
from tests.contract.working import Desk, Open

HALT_SECONDS = 0.1  # longer than what is asked meanwhile would take, if nothing kept it waiting


@contextmanager
def halted(database: Database, moved: threading.Event) -> Iterator[threading.Event]:
    """The first statement that changes items waits until something else has happened, or cannot happen before it."""
    reached = threading.Event()

    def wait(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE job_items") and not reached.is_set():
            reached.set()
            moved.wait(HALT_SECONDS)

    event.listen(database._engine, "before_cursor_execute", wait)
    yield reached
    event.remove(database._engine, "before_cursor_execute", wait)


async def with_dead(here: Desk, **more: object) -> None:
    """A job of six items of which five are dead."""
    await here.jobs.submit(job(items=6, **more))
    leases = await claim(here, most=5)
    await here.work.finish("w1", [end(lease, ItemState.DEAD, error_code="upstream") for lease in leases])


async def redrive(here: Desk, how: str) -> None:
    if how == "as dead letters":
        assert await here.dead.redrive(DeadFilter(job_id="job_001")) == 5
    else:
        await here.jobs.command("job_001", Command.REDRIVE)


HOW = pytest.mark.parametrize("how", ["as dead letters", "as a job"])


@HOW
def test_those_that_begin_anew_while_their_job_is_paused_wait_too(desk: Open, how: str) -> None:
    async def scenario() -> None:
        async with desk() as one, desk() as other:
            await with_dead(one)
            moved = threading.Event()
            with halted(one.database, moved) as reached:
                redriving = asyncio.create_task(redrive(one, how))
                await asyncio.to_thread(reached.wait)
                assert (await other.jobs.command("job_001", Command.PAUSE)).paused
                moved.set()
                await redriving
            assert await claim(one) == []
            await one.jobs.command("job_001", Command.RESUME)
            assert len(await claim(one)) == 6

    asyncio.run(scenario())


@HOW
def test_those_that_begin_anew_while_it_is_decided_to_do_them_live_are_not_left_behind(desk: Open, how: str) -> None:
    """Else they would wait for ever for a batch that nobody makes."""

    async def scenario() -> None:
        async with desk() as one, desk() as other:
            await with_dead(one)
            batches, moved = SqlProviderBatches(other.database, other.clock), threading.Event()
            await batches.decide("job_001", "batch", "it is cheaper")
            with halted(one.database, moved) as reached:
                redriving = asyncio.create_task(redrive(one, how))
                await asyncio.to_thread(reached.wait)
                await batches.decide("job_001", "spilled", "the deadline is near")
                moved.set()
                await redriving
            assert len(await claim(one)) == 6

    asyncio.run(scenario())
