"""What stores of jobs must do with jobs that submit others: `ports.Jobs`, `ports.Work` and `ports.Checkpoints`."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.errors import InvalidRequest
from headgate.job_types import (
    Command,
    Counts,
    ItemEnd,
    ItemState,
    Job,
    JobFilter,
    JobState,
    Lease,
    NewItem,
    NewJob,
    Parent,
    Refusal,
    RetryRules,
)
from headgate.types import Outcome, RequestRecord
from tests.contract.test_jobs import SECONDS, claim, end, job
from tests.contract.working import Desk, Open

WAITS = {"state": ItemState.RETRYING, "awaits_children": True}


def child(parent: Lease, name: str = "map", **more: object) -> NewJob:
    made = NewJob(
        f"{parent.job_id}-{name}", parent.owner, "chat", (), 1_790_000_000.0,
        parent=Parent(parent.job_id, parent.number, parent.root_id), sealed=False,
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def items(*numbers: int) -> list[NewItem]:
    return [NewItem(number, b'{"item": %d}' % number, f"label {number}") for number in numbers]


def row(request_id: str, cost_picousd: int) -> RequestRecord:
    return RequestRecord(
        request_id, 1.0, "acme", None, "key_1", "chat/completions", "openai", "small", False, Outcome.DONE, 200,
        cost_picousd=cost_picousd,
    )  # fmt: skip


async def with_child(desk: Desk, *numbers: int, **more: object) -> tuple[Lease, Job]:
    """A job whose item has a child with such items."""
    await desk.jobs.submit(job(**more))
    (parent,) = await claim(desk, "w1", 1)
    below, is_new = await desk.jobs.submit(child(parent))
    assert is_new and below.state is JobState.QUEUED
    await desk.jobs.add(below.id, items(*numbers))
    return parent, below


def test_a_job_takes_items_until_it_is_sealed_each_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            _, below = await with_child(opened, 1, 2)
            assert await opened.jobs.add(below.id, items(2, 3)) == 1
            leases = await claim(opened)
            assert [(lease.number, lease.label) for lease in leases] == [
                (1, "label 1"), (2, "label 2"), (3, "label 3")
            ]  # fmt: skip
            await opened.work.finish("w1", [end(lease) for lease in leases])
            assert (await opened.jobs.get(below.id)).state is JobState.RUNNING  # there may come more
            await opened.jobs.seal(below.id)
            done = await opened.jobs.get(below.id)
            assert (done.state, done.counts, done.is_over) == (JobState.SUCCEEDED, Counts(succeeded=3), True)
            with pytest.raises(InvalidRequest, match="no more items"):
                await opened.jobs.add(below.id, items(4))
            assert [item.label for item in await opened.jobs.items(below.id, 9)] == ["label 1", "label 2", "label 3"]

    asyncio.run(scenario())


def test_a_child_is_submitted_once_and_has_what_its_parent_has(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1, priority=7, deadline_at=2_000_000_000.0)
            again, is_new = await opened.jobs.submit(child(parent))
            assert (again.id, is_new, again.counts.total) == (below.id, False, 1)
            assert (again.priority, again.deadline_at, again.root_id) == (7, 2_000_000_000.0, "job_001")
            shown, _ = await opened.jobs.page(JobFilter(), 9)
            assert [each.id for each in shown] == ["job_001"]

    asyncio.run(scenario())


def test_who_waits_begins_again_when_its_child_is_over(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1)
            assert await opened.work.finish("w1", [end(parent, **WAITS)]) == [True]
            (lease,) = await claim(opened)
            assert lease.job_id == below.id  # and not who waits for it
            await opened.work.finish("w1", [end(lease)])
            assert await claim(opened) == []
            await opened.jobs.seal(below.id)
            (again,) = await claim(opened)
            assert (again.job_id, again.token, again.retries, again.lost) == ("job_001", 2, 0, 0)
            # It waits again, for nothing that is under way: it is not left behind.
            await opened.work.finish("w1", [end(again, **WAITS)])
            assert [each.job_id for each in await claim(opened)] == ["job_001"]

    asyncio.run(scenario())


def test_a_root_counts_what_is_below_it_and_what_that_costs(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            _, below = await with_child(opened, 1, 2)
            first, _ = await claim(opened)
            await opened.work.finish("w1", [end(first)])
            await opened.ledger.write([row(first.request_id, 70)])
            root = await opened.jobs.get("job_001")
            assert (root.progress, root.counts) == (Counts(leased=1, succeeded=1), Counts(leased=1))
            assert (root.cost_picousd, (await opened.jobs.get(below.id)).cost_picousd) == (70, 70)

    asyncio.run(scenario())


@pytest.mark.parametrize("is_sealed", [True, False])
def test_commands_reach_children(desk: Open, is_sealed: bool) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1, 2)
            if is_sealed:
                await opened.jobs.seal(below.id)
            await opened.work.finish("w1", [end(parent, **WAITS)])
            assert (await opened.jobs.command("job_001", Command.PAUSE)).paused
            assert await claim(opened) == []
            if not is_sealed:
                await opened.jobs.add(below.id, items(3))
                assert await claim(opened) == [], "it is paused as its job is"
            await opened.jobs.command("job_001", Command.RESUME)
            (lease,) = await claim(opened, "w1", 1)
            assert lease.job_id == below.id
            cancelled = await opened.jobs.command("job_001", Command.CANCEL)
            assert (cancelled.state, cancelled.progress.open) == (JobState.CANCELLED, 0)
            assert (await opened.jobs.get(below.id)).state is JobState.CANCELLED
            assert await opened.work.keep("w1", SECONDS) == frozenset()

    asyncio.run(scenario())


def test_what_begins_anew_below_begins_its_parent_anew(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            parent, below = await with_child(opened, 1, 2)
            await opened.jobs.seal(below.id)
            assert await opened.checkpoints.write("w1", parent, "sum", b"of what is there")
            await opened.work.finish("w1", [end(parent, **WAITS)])
            good, bad = await claim(opened)
            await opened.work.finish("w1", [end(good), end(bad, state=ItemState.DEAD, error_code="poison")])
            (parent,) = await claim(opened)
            await opened.work.finish("w1", [end(parent, result=b"one is missing")])
            assert (await opened.jobs.get("job_001")).state is JobState.SUCCEEDED
            root = await opened.jobs.command("job_001", Command.REDRIVE)
            assert (root.state, root.progress) == (JobState.QUEUED, Counts(queued=1, succeeded=1))
            leases = {lease.job_id: lease for lease in await claim(opened)}
            assert leases[below.id].number == 2
            assert await opened.checkpoints.read(leases["job_001"]) == {}

    asyncio.run(scenario())


def test_steps_are_kept_once_and_by_who_has_the_item(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (lease,) = await claim(opened)
            assert await opened.checkpoints.write("w1", lease, "plan", '{"größe": 1}'.encode())
            assert await opened.checkpoints.write("w1", lease, "plan", b"another")
            assert await opened.checkpoints.begin("w1", lease, "req_more")
            await opened.pass_time(SECONDS + 1)
            await opened.work.sweep(RetryRules())
            assert not await opened.checkpoints.write("w1", lease, "late", b"")
            assert not await opened.checkpoints.begin("w1", lease, "req_late")
            await opened.pass_time(2)
            await opened.work.sweep(RetryRules())
            (again,) = await claim(opened, "w2")
            assert await opened.checkpoints.read(again) == {"plan": '{"größe": 1}'.encode()}
            assert not await opened.checkpoints.write("w1", again, "stolen", b"")
            await opened.ledger.write([row("req_more", 5)])
            assert (await opened.jobs.get("job_001")).cost_picousd == 5

    asyncio.run(scenario())


def test_an_empty_child_is_over_when_it_is_sealed(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (parent,) = await claim(opened)
            below, _ = await opened.jobs.submit(child(parent))
            await opened.work.finish("w1", [ItemEnd(parent.job_id, 1, parent.token, **WAITS)])  # type: ignore[arg-type]
            await opened.jobs.seal(below.id)
            assert (await opened.jobs.get(below.id)).state is JobState.SUCCEEDED
            assert [lease.job_id for lease in await claim(opened)] == ["job_001"]

    asyncio.run(scenario())


def test_a_child_may_have_an_earlier_deadline(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here:
            now = here.clock.now()
            for number, parents, its in ((1, None, now + 5), (2, now + 9, now + 5), (3, now + 3, now + 3)):
                await here.jobs.submit(job(number, deadline_at=parents))
                (parent,) = await claim(here, "w1", 1)
                below, _ = await here.jobs.submit(child(parent, deadline_at=now + 5))
                assert below.deadline_at == its

    asyncio.run(scenario())


def test_an_item_knows_how_its_last_attempt_ended(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here:
            made, _ = await here.jobs.submit(job(items=3))
            first, second = await claim(here, "w1", 2)
            refusal = Refusal(404, '{"error": {"message": "no \\u0000 such"}}')
            await here.work.finish(
                "w1", [end(first, ItemState.RETRYING), end(second, ItemState.FAILED, refusal=refusal)]
            )
            await here.work.sweep(RetryRules())
            again = {lease.number: lease for lease in await claim(here, "w2", 2)}
            found = await here.jobs.items(made.id, 9)
            assert [item.request_id for item in found] == [again[1].request_id, second.request_id, again[3].request_id]
            assert [item.refusal for item in found] == [None, refusal, None]
            assert [item.number for item in await here.jobs.items(made.id, 9, after=3)] == []

    asyncio.run(scenario())
