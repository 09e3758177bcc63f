"""What every `job_ports.JobProspects` must do, here SqlProspects."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.job_types import Group, ItemState, NewItem, NewJob, Owner, Parent, Sampled
from headgate.stores import sql_prospects
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_prospects import SqlProspects
from headgate.types import Outcome
from tests.admin.office import ledger_row
from tests.contract.test_jobs import RULES, end, job
from tests.contract.working import Desk, Open


async def do(desk: Desk, count: int, cost_picousd: int = 10, state: ItemState = ItemState.SUCCEEDED) -> None:
    """Have the next items end, each with a row in the ledger."""
    do.number += count  # type: ignore[attr-defined]
    numbers = range(do.number - count, do.number)  # type: ignore[attr-defined]
    leases = await desk.work.claim("w1", [f"req_{number}" for number in numbers], 30.0)
    assert len(leases) == count
    rows = [
        ledger_row(number, cost_picousd=cost_picousd * lease.number)
        for number, lease in zip(numbers, leases, strict=True)
    ]
    await desk.ledger.write(rows)
    await desk.work.finish("w1", [end(lease, state, result=b"12345") for lease in leases])


do.number = 5000  # type: ignore[attr-defined]


def bodies(*sizes: int) -> NewJob:
    return msgspec.structs.replace(job(), requests=tuple(b"x" * size for size in sizes))


def test_sizes_and_costs_of_what_is_done_and_what_is_left(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            prospects = SqlProspects(opened.database)
            await opened.jobs.submit(bodies(10, 20, 30, 40, 50))
            first = await prospects.of("job_001")
            assert first.groups == (Group(0, 5, 0, 150.0),) and first.ended_at == () and first.stride == 1
            await do(opened, 2)
            await do(opened, 1, state=ItemState.DEAD)
            then = await prospects.of("job_001")
            (group,) = then.groups
            sample = (Sampled(10, 10), Sampled(20, 20), Sampled(30, 30))
            assert sorted(group.sample, key=lambda one: one.size_bytes) == list(sample)
            assert (group.done, group.rest, group.cost_picousd, group.rest_bytes) == (3, 2, 60, 90.0)
            assert len(then.ended_at) == 3 and list(then.ended_at) == sorted(then.ended_at)
            await do(opened, 2)
            assert (await prospects.of("job_001")).groups[0].rest == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("done, stride", [(3, 2), (9, 8)])
def test_of_many_a_sample_is_enough(desk: Open, done: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_prospects, "SAMPLED", 2)

    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(bodies(*[100] * 12))
            await do(opened, done)
            (group,) = (prospects := await SqlProspects(opened.database).of("job_001")).groups
            assert prospects.stride == stride and len(group.sample) == done // prospects.stride
            assert (group.done, group.rest, group.rest_bytes) == (done, 12 - done, 100.0 * (12 - done))

    asyncio.run(scenario())


def test_of_large_jobs_only_some_items_are_read(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are mixed: what is found stands for the whole."""
    for name, many in (("SAMPLED", 40), ("PROBED", 10), ("FARTHEST", 30), ("NEAR", 5)):
        monkeypatch.setattr(sql_prospects, name, many)

    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(bodies(*range(1, 601)))
            await opened.jobs.submit(job(2))
            prospects = SqlProspects(opened.database)
            assert (await prospects.of("job_002")).ahead == 30, "so far it is counted"
            await do(opened, 1)
            assert (await prospects.of("job_001")).groups[0].sample == (Sampled(1, 10),)
            for done, known in ((11, 11), (41, 20), (151, 37), (451, 28), (591, 36)):
                await do(opened, done - (await opened.jobs.get("job_001")).counts.done)
                (group,) = (found := await prospects.of("job_001")).groups
                assert len(group.sample) == len(found.ended_at) == known == done // found.stride
                assert all(one.cost_picousd == 10 * one.size_bytes for one in group.sample)
                rest = sum(range(done + 1, 601))
                assert group.rest_bytes == pytest.approx(rest, rel=0.05) and group.rest == 600 - done

    asyncio.run(scenario())


def test_what_was_paid_twice_does_not_count(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(bodies(10, 20))
            await do(opened, 1)
            await opened.work.claim("w1", ["req_1"], 30.0)
            await opened.ledger.write([ledger_row(1, cost_picousd=999, outcome=Outcome.DUPLICATE)])
            assert (await SqlProspects(opened.database).of("job_001")).groups[0].cost_picousd == 10

    asyncio.run(scenario())


def test_a_tree_is_looked_at_by_kind_and_without_those_that_wait(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            prospects = SqlProspects(opened.database)
            await opened.jobs.submit(job())
            await opened.work.claim("w0", ["req_0"], 30.0)
            before = await prospects.version("job_001")
            for name, kind, sizes in (("a", "embed", (10, 10)), ("b", "chat", (70,))):
                child = NewJob(
                    f"job_001-{name}", Owner("acme", "key_1"), kind, (), 1.0, parent=Parent("job_001", 1, "job_001")
                )
                await opened.jobs.submit(msgspec.structs.replace(child, sealed=False))
                items = [NewItem(number, b"x" * size) for number, size in enumerate(sizes, start=1)]
                await opened.jobs.add(child.id, items)
                await opened.jobs.seal(child.id)
            between = await prospects.version("job_001")
            assert between > before
            await do(opened, 1)
            assert await prospects.version("job_001") > between
            found = {(group.done, group.rest, group.rest_bytes) for group in (await prospects.of("job_001")).groups}
            assert found == {(1, 1, 10.0), (0, 1, 70.0)}

    asyncio.run(scenario())


def test_the_place_in_the_queue(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            prospects = SqlProspects(opened.database)
            await opened.jobs.submit(job(1, items=3))
            await opened.jobs.submit(job(2, items=3))
            await opened.jobs.submit(job(3, items=1, priority=5))
            assert [(await prospects.of(f"job_00{number}")).ahead for number in (1, 2, 3)] == [1, 4, 0]
            await opened.work.claim("w1", ["req_1", "req_2"], 30.0)
            assert [(await prospects.of(f"job_00{number}")).ahead for number in (1, 2, 3)] == [0, 2, None]
            await opened.pass_time(31.0)
            await opened.work.sweep(RULES)
            assert (await prospects.of("job_003")).ahead == 0

    asyncio.run(scenario())


def test_steps_the_newest_first(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (lease,) = await opened.work.claim("w1", ["req_1"], 30.0)
            steps = SqlCheckpoints(opened.database, opened.clock)
            for name in ("plan", "1/3 sections", "2/3 sections"):
                await steps.write("w1", lease, name, b"{}")
                await opened.pass_time(1.0)
            found = (await SqlProspects(opened.database).of("job_001")).steps
            assert [step.name for step in found] == ["2/3 sections", "1/3 sections", "plan"]

    asyncio.run(scenario())


def test_those_begun_lately_say_nothing_of_the_others(desk: Open) -> None:
    """The short ones among them are done, and the long ones are not."""

    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(bodies(10, 20, 30, 40, 50))
            await do(opened, 2)
            await opened.pass_time(1.0)
            await asyncio.sleep(0.01)  # for the database that has a clock of its own
            short, _long = await opened.work.claim("w1", ["req_1", "req_2"], 30.0)
            await opened.ledger.write([ledger_row(1, cost_picousd=7)])
            await opened.work.finish("w1", [end(short)])
            (group,) = (await SqlProspects(opened.database).of("job_001")).groups
            assert (group.done, group.rest, group.cost_picousd, group.rest_bytes) == (2, 3, 30, 120.0)
            assert (group.unsettled, group.unsettled_picousd) == (1, 7)
            assert {one.cost_picousd for one in group.sample} == {10, 20}

    asyncio.run(scenario())
