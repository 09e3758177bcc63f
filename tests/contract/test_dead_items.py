"""What every `job_ports.DeadItems` must do."""

from __future__ import annotations

import asyncio

import pytest

from headgate.job_types import Counts, DeadFilter, ItemEnd, ItemState, JobState, NewItem, NewJob, Owner, Parent
from headgate.stores import sql_dead_items
from tests.contract.working import Desk, Open

ACME, OTHER = Owner("acme", "key_1", "alice"), Owner("other", "key_2")


async def bury(desk: Desk, job_id: str, items: int, owner: Owner = ACME, code: str = "upstream") -> None:
    """A job whose first item succeeds and whose others are dead."""
    bodies = tuple(b'{"item": %d}' % number for number in range(1, items + 1))
    await desk.jobs.submit(NewJob(job_id, owner, "chat", bodies, 1_790_000_000.0))
    await end(desk, code, f"{job_id}_1")


async def end(desk: Desk, code: str, ids: str) -> int:
    """What waits succeeds if it is the first of its job, else it dies."""
    leases = await desk.work.claim("w1", [f"{ids}_{number}" for number in range(9)], 30.0)
    ends = [
        ItemEnd(lease.job_id, lease.number, lease.token, ItemState.SUCCEEDED, b"{}")
        if lease.number == 1
        else ItemEnd(lease.job_id, lease.number, lease.token, ItemState.DEAD, b"", code, f"no {lease.number}")
        for lease in leases
    ]
    await desk.work.finish("w1", ends)
    return len(leases)


async def found(desk: Desk, wanted: DeadFilter = DeadFilter()) -> list[tuple[str, int]]:  # noqa: B008  # it is immutable
    return [(item.job_id, item.number) for item in await desk.dead.page(wanted, 100)]


def test_they_are_listed_with_what_they_asked_for_and_why_they_died(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await bury(opened, "job_1", 4)
            await bury(opened, "job_2", 3, OTHER, "poison")
            assert await found(opened) == [("job_2", 3), ("job_2", 2), ("job_1", 4), ("job_1", 3), ("job_1", 2)]
            (item,) = await opened.dead.page(DeadFilter(ids=(("job_1", 3),)), 9)
            assert (item.owner, item.kind, item.attempts, item.request) == (ACME, "chat", 1, b'{"item": 3}')
            assert (item.error_code, item.error) == ("upstream", "no 3") and item.died_at > 0
            assert await found(opened, DeadFilter(tenant="other")) == [("job_2", 3), ("job_2", 2)]
            assert await found(opened, DeadFilter(job_id="job_2", error_code="upstream")) == []
            assert await found(opened, DeadFilter(ids=(("job_1", 10**17),))) == []  # more than a column can hold
            assert await opened.jobs.items("job_1", 9, after=10**12) == []

    asyncio.run(scenario())


def test_those_that_died_last_come_first_and_pages_go_on_where_one_ended(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            for job_id in ("job_2", "job_1", "job_3"):  # an older job's items may die later
                await bury(opened, job_id, 4)
                await opened.pass_time(1.0)
            ids = [(job_id, number) for job_id in ("job_3", "job_1", "job_2") for number in (4, 3, 2)]
            assert await found(opened) == ids
            shown: list[tuple[str, int]] = []
            place = None
            while page := await opened.dead.page(DeadFilter(), 2, place):
                shown += [(item.job_id, item.number) for item in page]
                place = page[-1].place
                await opened.dead.drop(DeadFilter(ids=(shown[-1],)))  # the next page begins there all the same
            assert shown == ids
            assert await found(opened, DeadFilter(tenant="acme")) == [ids[place] for place in (0, 2, 4, 6)]

    asyncio.run(scenario())


def test_some_begin_anew_and_the_others_stay(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_dead_items, "TREES_AT_ONCE", 1)

    async def scenario() -> None:
        async with desk() as opened:
            await bury(opened, "job_1", 4)
            await bury(opened, "job_2", 3, OTHER)
            assert await opened.dead.redrive(DeadFilter(ids=(("job_1", 3), ("job_2", 2), ("job_2", 1)))) == 2
            first = await opened.jobs.get("job_1")
            assert (first.state, first.counts) == (JobState.RUNNING, Counts(succeeded=1, dead=2, queued=1))
            assert await found(opened) == [("job_2", 3), ("job_1", 4), ("job_1", 2)]
            assert await opened.dead.redrive(DeadFilter(tenant="acme")) == 2
            assert await opened.dead.redrive(DeadFilter(tenant="acme")) == 0
            assert await end(opened, "again", "more") == 4
            assert await found(opened, DeadFilter(error_code="again")) == [
                ("job_2", 2), ("job_1", 4), ("job_1", 3), ("job_1", 2)
            ]  # fmt: skip

    asyncio.run(scenario())


def test_what_is_dropped_has_failed(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await bury(opened, "job_1", 3)
            assert await opened.dead.drop(DeadFilter(ids=(("job_1", 2),))) == 1
            assert (await opened.jobs.get("job_1")).state is JobState.DEAD
            assert await opened.dead.drop(DeadFilter(job_id="job_1")) == 1
            ended = await opened.jobs.get("job_1")
            assert (ended.state, ended.counts) == (JobState.FAILED, Counts(succeeded=1, failed=2))
            (item,) = await opened.jobs.items("job_1", 1, after=1)
            assert item.error == "no 2" and await found(opened) == []

    asyncio.run(scenario())


def test_what_was_made_of_a_dead_item_is_made_anew(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            for job_id, parent in (("a", None), ("a-b", Parent("a", 1, "a")), ("a-b-c", Parent("a-b", 1, "a"))):
                items = (b"{}",) if job_id != "a-b-c" else ()
                await opened.jobs.submit(
                    NewJob(job_id, ACME, "chat", items, 1_790_000_000.0, parent=parent, sealed=job_id != "a-b-c")
                )
            await opened.jobs.add("a-b-c", [NewItem(2, b"{}")])
            await opened.jobs.seal("a-b-c")
            assert await end(opened, "upstream", "r") == 3  # those above made the best of it
            assert (await opened.jobs.get("a")).state is JobState.SUCCEEDED
            assert await opened.dead.redrive(DeadFilter(ids=(("a-b-c", 2),))) == 1
            assert [(await opened.jobs.get(each)).counts.queued for each in ("a", "a-b", "a-b-c")] == [1, 1, 1]

    asyncio.run(scenario())
