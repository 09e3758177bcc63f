"""What the ledger says of calls that were lost with their workers: one is charged, the others are duplicates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headgate.job_types import Command, ItemEnd, ItemState, Lease, NewJob, Owner, RetryRules
from headgate.types import AttemptRecord, Outcome, RequestRecord, Usage
from tests.contract.working import Desk, Open

RULES = RetryRules(lost_workers=3)
SECONDS = 30.0
USAGE = Usage(input=10, output=5)


async def submit(desk: Desk, items: int = 1) -> None:
    await desk.jobs.submit(NewJob("job_1", Owner("acme", "key_1"), "chat", (b"{}",) * items, 1_790_000_000.0))


async def claim(desk: Desk, worker: str) -> list[Lease]:
    return await desk.work.claim(worker, [f"req_{worker}_{number}" for number in range(9)], SECONDS)


async def lose(desk: Desk, worker: str) -> list[Lease]:
    """A worker that takes what there is and is never heard of again."""
    leases = await claim(desk, worker)
    await desk.pass_time(SECONDS + 1)
    await desk.work.sweep(RULES)
    await desk.pass_time(1)
    await desk.work.sweep(RULES)
    return leases


def row(lease: Lease, outcome: Outcome, cost: int) -> RequestRecord:
    call = AttemptRecord(
        f"{lease.request_id}.1", lease.request_id, 1, 1.0, "told/told", "told", "http://one", "told", "", outcome, 200,
        usage=USAGE, cost_picousd=cost,
    )  # fmt: skip
    return RequestRecord(
        lease.request_id, 1.0, "acme", None, "key_1", "chat/completions", "openai", "small", False, outcome, 200,
        deployment="told/told", provider="told", upstream_model="told", usage=USAGE, cost_picousd=cost,
        attempts=(call,),
    )  # fmt: skip


async def end(desk: Desk, worker: str, leases: Sequence[Lease], state: ItemState, code: str = "") -> None:
    ends = [ItemEnd(lease.job_id, lease.number, lease.token, state, b"{}", code) for lease in leases]
    assert await desk.work.finish(worker, ends) == [True] * len(ends)


async def outcomes(desk: Desk) -> dict[str, Outcome]:
    rows, _ = await desk.ledger.page(100)
    for each in rows:
        assert [call.outcome for call in each.attempts] == [each.outcome] and each.attempts[0].cost_picousd > 0
    return {each.id: each.outcome for each in rows}


async def costs(desk: Desk) -> tuple[int, int, int]:
    """What the job is charged, what of that is provisional, and its duplicates."""
    job = await desk.jobs.get("job_1")
    return job.cost_picousd, job.provisional_picousd, job.duplicate_picousd


def test_what_is_charged_for_a_killed_worker_is_provisional_before_its_lease_ends(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened, 2)
            killed, done = await claim(opened, "w1")
            await opened.ledger.write([row(killed, Outcome.PROVISIONAL, 100), row(done, Outcome.DONE, 7)])
            await end(opened, "w1", [done], ItemState.SUCCEEDED)
            assert await costs(opened) == (107, 100, 0)
            await end(opened, "w1", [killed], ItemState.FAILED, "expired")  # nothing more is asked: it is the truth
            assert await costs(opened) == (107, 0, 0)

    asyncio.run(scenario())


def test_a_call_that_is_made_again_is_charged_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            (lost,) = await lose(opened, "w1")
            await opened.ledger.write([row(lost, Outcome.PROVISIONAL, 100)])
            (again,) = await claim(opened, "w2")
            assert await opened.work.book_duplicates() == []  # it is charged until there is another
            assert await costs(opened) == (100, 100, 0)  # nobody knows what came of it
            await opened.ledger.write([row(again, Outcome.DONE, 7)])
            assert await costs(opened) == (107, 100, 0)
            await end(opened, "w2", [again], ItemState.SUCCEEDED)
            assert await costs(opened) == (107, 100, 0)  # the ledger does not say yet that it is a duplicate
            (booked,) = await opened.work.book_duplicates()
            assert (booked.id, booked.cost_picousd, booked.usage) == (lost.request_id, 100, USAGE)
            assert await opened.work.book_duplicates() == []
            assert await outcomes(opened) == {lost.request_id: Outcome.DUPLICATE, again.request_id: Outcome.DONE}
            assert await costs(opened) == (7, 0, 100)
            (usage,) = await opened.ledger.usage("tenant")
            assert (usage.cost_picousd, usage.duplicate_picousd, usage.input_tokens) == (7, 100, 10)

    asyncio.run(scenario())


def test_the_row_of_a_lost_call_may_come_long_after(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            (lost,) = await lose(opened, "w1")
            (again,) = await claim(opened, "w2")
            await end(opened, "w2", [again], ItemState.SUCCEEDED)
            assert await opened.work.book_duplicates() == []
            await opened.ledger.write([row(lost, Outcome.DONE, 9)])  # it had its answer, and died before it said so
            assert [each.id for each in await opened.work.book_duplicates()] == [lost.request_id]
            assert await outcomes(opened) == {lost.request_id: Outcome.DUPLICATE}

    asyncio.run(scenario())


def test_what_was_never_done_is_charged_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            for number, worker in enumerate(("w1", "w2", "w3"), start=1):
                (lost,) = await lose(opened, worker)
                await opened.ledger.write([row(lost, Outcome.PROVISIONAL, number)])
            assert (await opened.jobs.get("job_1")).error_code == "poison"
            assert len(await opened.work.book_duplicates()) == 2
            job = await opened.jobs.get("job_1")
            assert (job.cost_picousd, job.duplicate_picousd) == (3, 1 + 2)

    asyncio.run(scenario())


def test_failures_and_answers_without_a_provider_are_no_duplicates(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened, items=2)
            leases = await lose(opened, "w1")
            await opened.ledger.write([row(leases[0], Outcome.FAILED, 1), row(leases[1], Outcome.CACHED, 1)])
            await end(opened, "w2", await claim(opened, "w2"), ItemState.SUCCEEDED)
            assert await opened.work.book_duplicates() == []
            assert sorted((await outcomes(opened)).values()) == [Outcome.CACHED, Outcome.FAILED]

    asyncio.run(scenario())


def test_what_a_stopped_worker_gives_back_is_not_charged_either(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            stopped = await claim(opened, "w1")
            await opened.ledger.write([row(lease, Outcome.DISCONNECTED, 4) for lease in stopped])
            await end(opened, "w1", stopped, ItemState.RETRYING, "draining")
            await opened.work.sweep(RULES)
            await end(opened, "w2", await claim(opened, "w2"), ItemState.SUCCEEDED)
            assert len(await opened.work.book_duplicates()) == 1

    asyncio.run(scenario())


def test_calls_that_a_kept_step_was_made_of_are_charged(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            (lease,) = await claim(opened, "w1")
            assert await opened.checkpoints.begin("w1", lease, "req_second")
            assert await opened.checkpoints.write("w1", lease, "step", b"{}", [lease.request_id])
            await opened.pass_time(SECONDS + 1)
            await opened.work.sweep(RULES)
            await opened.work.sweep(RULES)
            await opened.ledger.write([row(lease, Outcome.DONE, 3)])
            await end(opened, "w2", await claim(opened, "w2"), ItemState.SUCCEEDED)
            assert await opened.work.book_duplicates() == []
            assert (await opened.jobs.get("job_1")).cost_picousd == 3

    asyncio.run(scenario())


def test_a_cancelled_item_is_charged_for_what_was_lost(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await submit(opened)
            (lost,) = await lose(opened, "w1")
            await opened.ledger.write([row(lost, Outcome.PROVISIONAL, 5)])
            await opened.jobs.command("job_1", Command.CANCEL)
            assert await opened.work.book_duplicates() == []
            assert (await opened.jobs.get("job_1")).cost_picousd == 5

    asyncio.run(scenario())
