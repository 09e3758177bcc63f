"""What stores of jobs must do where one thing ends while another begins: children of jobs that are over, cancelling
while work is submitted, erasing."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from headgate.errors import InvalidRequest
from headgate.job_types import Command, Counts, ItemState, JobState, NewItem
from headgate.stores.sql_prospects import SqlProspects
from tests.contract.test_job_trees import child, with_child
from tests.contract.test_jobs import claim, end, job
from tests.contract.working import Desk, Open


def test_nothing_is_submitted_below_a_job_that_is_over(desk: Open) -> None:
    """Its worker may not know yet that it was cancelled: what it submits then would go on costing money."""

    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (parent,) = await claim(opened)
            await opened.jobs.command("job_001", Command.CANCEL)
            with pytest.raises(InvalidRequest, match="is over"):
                await opened.jobs.submit(child(parent))
            assert (await opened.jobs.get("job_001")).below == Counts()

    asyncio.run(scenario())


def test_cancelling_reaches_what_is_submitted_in_the_same_moment(desk: Open) -> None:
    async def submit(here: Desk, parent: object, name: str) -> None:
        with contextlib.suppress(InvalidRequest):
            await here.jobs.submit(child(parent, name, requests=(b"1", b"2"), sealed=True))  # type: ignore[arg-type]

    async def scenario() -> None:
        async with desk() as one, desk() as other:
            for number in range(1, 13):
                await one.jobs.submit(job(number))
                (parent,) = await claim(one, "w1", 1)
                submitting = [submit(other, parent, f"part-{part}") for part in range(3)]
                await asyncio.gather(*submitting, one.jobs.command(parent.job_id, Command.CANCEL))
                root = await one.jobs.get(parent.job_id)
                assert (root.state, root.below.open) == (JobState.CANCELLED, 0)

    asyncio.run(scenario())


def test_cancelling_reaches_requests_that_come_in_the_same_moment(desk: Open) -> None:
    """Else they would wait in a job that is neither over nor goes on."""

    async def add(here: Desk, job_id: str) -> None:
        with contextlib.suppress(InvalidRequest):
            await here.jobs.add(job_id, [NewItem(number, b"{}") for number in range(1, 200)])

    async def scenario() -> None:
        async with desk() as one, desk() as other:
            for number in range(1, 9):
                new = msgspec.structs.replace(job(number), requests=(), sealed=False, is_fed=True)
                await one.jobs.submit(new)
                await asyncio.gather(add(other, new.id), one.jobs.command(new.id, Command.CANCEL))
                left = await one.jobs.get(new.id)
                assert (left.state, left.counts.open) == (JobState.CANCELLED, 0)

    asyncio.run(scenario())


def test_cancelling_reaches_items_that_are_given_back_in_the_same_moment(desk: Open) -> None:
    """Else they would be tried again, and cost money."""

    async def scenario() -> None:
        async with desk() as one, desk() as other:
            for number in range(1, 13):
                await one.jobs.submit(job(number, items=60))
                back = [end(lease, ItemState.RETRYING) for lease in await claim(other, "w1", 60)]
                cancelling = one.jobs.command(back[0].job_id, Command.CANCEL)
                await asyncio.gather(*(other.work.finish("w1", [each]) for each in back[:30]), cancelling)
                left = await one.jobs.get(back[0].job_id)
                assert (left.state, left.counts) == (JobState.CANCELLED, Counts(cancelled=60))

    asyncio.run(scenario())


def test_a_child_that_nobody_adds_to_any_more_is_over_when_its_items_are(desk: Open) -> None:
    """Else it would be there for ever: neither watched to its end nor erased."""

    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1)
            await opened.work.finish("w1", [end(parent, ItemState.FAILED, error_code="model_not_found")])
            assert not (await opened.jobs.get(below.id)).is_over
            (lease,) = await claim(opened)
            await opened.work.finish("w1", [end(lease)])
            done = await opened.jobs.get(below.id)
            assert (done.state, done.sealed) == (JobState.SUCCEEDED, True)

    asyncio.run(scenario())


def test_an_empty_child_of_a_job_that_ends_is_over_with_it(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1)
            (lease,) = await claim(opened)
            await opened.work.finish("w1", [end(lease)])
            await opened.work.finish("w1", [end(parent, ItemState.FAILED)])
            assert (await opened.jobs.get(below.id)).is_over

    asyncio.run(scenario())


def test_an_idempotency_key_that_no_database_takes_as_it_is_is_one_all_the_same(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            odd = job(1, idempotency_key="a\0b")
            assert (await opened.jobs.submit(odd))[1]
            again, is_new = await opened.jobs.submit(msgspec.structs.replace(odd, id="job_002"))
            assert (again.id, is_new) == ("job_001", False)

    asyncio.run(scenario())


def test_the_version_of_a_child_grows_with_it_and_that_of_none_is_none(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            prospects = SqlProspects(opened.database)
            _, below = await with_child(opened, 1, 2)
            before = await prospects.version(below.id)
            first, *_ = await claim(opened)
            await opened.work.finish("w1", [end(first)])
            assert 0 < before < await prospects.version(below.id)
            assert await prospects.version("job_999") == 0

    asyncio.run(scenario())
