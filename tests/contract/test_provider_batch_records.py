"""What every store of batches at providers must do: SqlProviderBatches."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.job_types import Command, Counts, ItemEnd, ItemState
from headgate.provider_batch_types import ProviderBatch, Stage, Taken
from headgate.stores import sql_provider_batches
from headgate.stores.sql_provider_batches import SqlProviderBatches
from tests.contract.test_jobs import RULES, claim, job
from tests.contract.working import Desk, Open


def batches_of(desk: Desk) -> SqlProviderBatches:
    return SqlProviderBatches(desk.database, desk.clock)


def batch(name: str = "batch_1", job_id: str = "job_001") -> ProviderBatch:
    return ProviderBatch(
        id=name, job_id=job_id, kind="chat", tenant="acme", key_id="key_1", user_name="alice", model="small",
        deployment="openai/small", key_fingerprint="abcd", deadline_at=None, stage=Stage.PREPARED, created_at=1.0,
    )  # fmt: skip


async def decided(desk: Desk, items: int) -> SqlProviderBatches:
    """With a job whose items are for a batch."""
    batches = batches_of(desk)
    await desk.jobs.submit(job(items=items))
    await batches.decide("job_001", "batch", "because")
    return batches


def test_items_go_into_a_batch_and_workers_leave_them_alone(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = batches_of(opened)
            await opened.jobs.submit(job(items=3))
            (waiting,) = await batches.waiting()
            assert (waiting.job_id, waiting.waiting, waiting.execution) == ("job_001", 3, "")
            assert waiting.first_request == b'{"item": 1}'
            assert await batches.prepare(batch(), ["req_a"], 1_000) == [], "it is not decided that they are for a batch"
            await batches.decide("job_001", "batch", "because")
            assert await claim(opened) == []
            taken = await batches.prepare(batch(), ["req_a", "req_b"], 1_000)
            assert [(one.number, one.request_id, one.token) for one in taken] == [(1, "req_a", 1), (2, "req_b", 1)]
            found = await opened.jobs.get("job_001")
            assert (found.execution, found.execution_reason) == ("batch", "because")
            assert found.counts == Counts(queued=1, leased=2)
            assert await batches.taken(batch()) == taken
            assert await batches.open() == [msgspec.structs.replace(batch(), size=2)]
            assert (await batches.waiting())[0].waiting == 1

    asyncio.run(scenario())


def test_what_a_batch_did_not_do_is_for_workers(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = await decided(opened, items=3)
            taken = await batches.prepare(batch(), ["req_a", "req_b"], 1_000)
            await batches.decide("job_001", "spilled", "the deadline is near")
            assert [lease.number for lease in await claim(opened)] == [3]
            ends = [ended(one, ItemState.RETRYING) for one in taken]
            assert await opened.work.finish(batch().worker, ends) == [True, True]
            await opened.work.sweep(RULES)
            assert [lease.number for lease in await claim(opened)] == [1, 2]

    asyncio.run(scenario())


def test_items_that_nobody_wants_any_more_are_not_wanted(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = await decided(opened, items=2)
            taken = await batches.prepare(batch(), ["req_a", "req_b"], 1_000)
            assert await batches.wanted(batch()) == 2
            await opened.jobs.command("job_001", Command.CANCEL)
            assert await batches.wanted(batch()) == 0
            assert await opened.work.finish(batch().worker, [ended(one, ItemState.SUCCEEDED) for one in taken]) == [
                False,
                False,
            ]

    asyncio.run(scenario())


def test_how_far_we_are_is_kept(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = await decided(opened, items=1)
            await batches.prepare(batch(), ["req_a"], 1_000)
            running = msgspec.structs.replace(
                batch(), stage=Stage.RUNNING, sent_at=5.0, provider_id="theirs", size=1, deadline_at=9.0
            )
            await batches.save(running)
            async with desk() as another:
                assert await batches_of(another).open() == [running]
                await batches_of(another).save(msgspec.structs.replace(running, stage=Stage.OVER))
            assert await batches.open() == []

    asyncio.run(scenario())


def ended(taken: Taken, state: ItemState) -> ItemEnd:
    return ItemEnd(taken.job_id, taken.number, taken.token, state)


def test_a_job_that_is_undecided_waits_until_it_is_decided(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = batches_of(opened)
            await opened.jobs.submit(msgspec.structs.replace(job(items=2), undecided=True))
            await opened.work.sweep(RULES)
            assert await claim(opened) == []
            assert [one.execution for one in await batches.waiting()] == ["undecided"]
            await batches.decide("job_001", "live", "because")
            assert len(await claim(opened)) == 2
            assert await batches.waiting() == [], "that is settled"

    asyncio.run(scenario())


def test_what_waits_for_a_decision_is_not_kept_waiting_by_what_workers_begin_anyway(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_provider_batches, "_AT_ONCE", 3)

    async def scenario() -> None:
        async with desk() as opened:
            batches = batches_of(opened)
            for number in range(1, 9):
                await opened.jobs.submit(job(number, undecided=number >= 7))
            await batches.decide("job_006", "batch", "because")
            assert [one.job_id for one in await batches.waiting()] == ["job_007", "job_008", "job_006"]

    asyncio.run(scenario())


def test_the_size_of_a_batch_is_in_bytes_whatever_the_script(desk: Open) -> None:
    """That is how providers measure it: else they would refuse it, and it would be done live at the full price."""

    async def scenario() -> None:
        async with desk() as opened:
            batches, request = batches_of(opened), '{"item": "一二三四五六七八九十"}'.encode()
            await opened.jobs.submit(msgspec.structs.replace(job(), requests=(request,) * 3))
            await batches.decide("job_001", "batch", "because")
            taken = await batches.prepare(batch(), ["a", "b", "c"], 2 * len(request) + 1)
            assert [one.number for one in taken] == [1, 2]

    asyncio.run(scenario())


def test_a_batch_is_no_larger_than_it_may_be_but_has_one_item_at_least(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = await decided(opened, items=4)
            size = len(b'{"item": 1}')
            taken = await batches.prepare(batch(), ["a", "b", "c", "d"], 2 * size)
            assert [one.number for one in taken] == [1, 2]
            taken = await batches.prepare(batch("batch_2"), ["e", "f"], size - 1)
            assert [one.number for one in taken] == [3]

    asyncio.run(scenario())


def test_only_who_knows_where_it_is_moves_it_on(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            batches = await decided(opened, items=1)
            await batches.prepare(batch(), ["req_a"], 1_000)
            sent = msgspec.structs.replace(batch(), stage=Stage.SENT, size=1)
            assert await batches.save(sent, was=Stage.PREPARED)
            assert not await batches.save(sent, was=Stage.PREPARED)

    asyncio.run(scenario())
