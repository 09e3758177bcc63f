"""What every `ports.Jobs` and `ports.Work` must do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import msgspec
import pytest
from sqlalchemy import Connection, event

from headgate.errors import Conflict, InvalidRequest, NotFound
from headgate.job_types import (
    Command,
    Counts,
    ItemEnd,
    ItemState,
    JobFilter,
    JobState,
    Lease,
    NewJob,
    Owner,
    RetryRules,
)
from headgate.types import Outcome, RequestRecord
from tests.contract.working import Desk, Open, hours_from

RULES = RetryRules(retries=2, lost_workers=2)
SECONDS = 30.0
ACME = Owner("acme", "key_1", "alice")


def job(number: int = 1, items: int = 1, owner: Owner = ACME, **more: object) -> NewJob:
    requests = tuple(b'{"item": %d}' % item for item in range(1, items + 1))
    made = NewJob(f"job_{number:03}", owner, "chat", requests, 1_790_000_000.0 + number)
    return msgspec.structs.replace(made, **more)


async def claim(desk: Desk, worker: str = "w1", most: int = 10) -> list[Lease]:
    claim.number += most  # type: ignore[attr-defined]
    ids = [f"req_{claim.number + index:06}" for index in range(most)]  # type: ignore[attr-defined]
    return await desk.work.claim(worker, ids, SECONDS)


claim.number = 0  # type: ignore[attr-defined]


def end(lease: Lease, state: ItemState = ItemState.SUCCEEDED, **more: object) -> ItemEnd:
    made = ItemEnd(lease.job_id, lease.number, lease.token, state)
    return msgspec.structs.replace(made, **more)


def test_a_job_from_its_submission_to_its_result(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            submitted, is_new = await opened.jobs.submit(job(items=2, priority=3))
            assert is_new and submitted.state is JobState.QUEUED and submitted.counts == Counts(queued=2)
            assert (submitted.owner, submitted.priority, submitted.kind) == (ACME, 3, "chat")
            first, second = await claim(opened)
            assert (first.number, first.request, first.owner, first.token) == (1, b'{"item": 1}', ACME, 1)
            assert (await opened.jobs.get("job_001")).state is JobState.RUNNING
            assert await opened.work.finish("w1", [end(first, result=b'{"text": "\xc3\xa4"}'), end(second)]) == [
                True,
                True,
            ]
            done = await opened.jobs.get("job_001", "acme")
            assert done.state is JobState.SUCCEEDED and done.counts == Counts(succeeded=2)
            assert done.finished_at is not None and done.version > submitted.version
            items = await opened.jobs.items("job_001", 10)
            assert [(item.number, item.state, item.result) for item in items] == [
                (1, ItemState.SUCCEEDED, b'{"text": "\xc3\xa4"}'), (2, ItemState.SUCCEEDED, b"")
            ]  # fmt: skip
            assert await opened.jobs.items("job_001", 10, after=1, state=ItemState.FAILED) == []

    asyncio.run(scenario())


def test_the_same_idempotency_key_is_the_same_job_of_its_tenant(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            keyed = job(1, idempotency_key="k", digest="a")
            first, _ = await opened.jobs.submit(keyed)
            again, is_new = await opened.jobs.submit(msgspec.structs.replace(keyed, id="job_002"))
            assert (again.id, is_new) == (first.id, False)
            with pytest.raises(Conflict):
                await opened.jobs.submit(job(3, idempotency_key="k", digest="b"))
            _, is_new = await opened.jobs.submit(job(4, owner=Owner("other", "key_2"), idempotency_key="k", digest="b"))
            assert is_new
            assert (await opened.jobs.get("job_001")).counts.total == 1

    asyncio.run(scenario())


def test_many_who_submit_the_same_at_once_get_the_same_job(desk: Open) -> None:
    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            desks = [await stack.enter_async_context(desk()) for _ in range(6)]
            for round_ in range(5):
                keyed = [job(round_ * 10 + at, idempotency_key=f"k{round_}", digest="a") for at in range(6)]
                found = await asyncio.gather(*(one.jobs.submit(new) for one, new in zip(desks, keyed, strict=True)))
                assert len({each.id for each, _ in found}) == 1
                assert [is_new for _, is_new in found].count(True) == 1

    asyncio.run(scenario())


def test_another_tenants_job_is_not_there(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            with pytest.raises(NotFound):
                await opened.jobs.get("job_001", "other")
            with pytest.raises(NotFound):
                await opened.jobs.command("job_001", Command.CANCEL, "other")
            with pytest.raises(NotFound):
                await opened.jobs.get("job_009")

    asyncio.run(scenario())


def test_pages_and_filters(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            for number in range(1, 6):
                await opened.jobs.submit(job(number, owner=ACME if number % 2 else Owner("other", "key_2")))
            found, cursor = await opened.jobs.page(JobFilter(tenant="acme"), 2)
            assert [each.id for each in found] == ["job_005", "job_003"] and cursor is not None
            found, cursor = await opened.jobs.page(JobFilter(tenant="acme"), 2, cursor)
            assert [each.id for each in found] == ["job_001"] and cursor is None
            await opened.jobs.command("job_001", Command.CANCEL)
            found, _ = await opened.jobs.page(JobFilter(state=JobState.CANCELLED), 9)
            assert [each.id for each in found] == ["job_001"]
            assert (await opened.jobs.page(JobFilter(kind="embed"), 9))[0] == []

    asyncio.run(scenario())


def test_jobs_of_all_kinds_come_by_age(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            ids = [f"{kind}_{number:026x}" for number, kind in enumerate(("msgbatch", "job", "batch"))]
            for id in ids:
                await opened.jobs.submit(job(id=id))
            found, cursor = await opened.jobs.page(JobFilter(tenant="acme"), 2)
            found += (await opened.jobs.page(JobFilter(tenant="acme"), 2, cursor))[0]
            assert [each.id for each in found] == ids[::-1]

    asyncio.run(scenario())


def test_priority_first_and_then_the_tenants_in_turn(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, items=6))
            await opened.jobs.submit(job(2, items=2, owner=Owner("other", "key_2")))
            await opened.jobs.submit(job(3, priority=1))
            order = [(each.owner.tenant, each.priority) for each in [await opened.jobs.get("job_003")]]
            assert order == [("acme", 1)]
            leases = [lease for _ in range(3) for lease in await claim(opened, most=3)]
            assert leases[0].job_id == "job_003"
            first_five = Counter(lease.owner.tenant for lease in leases[:5])
            assert first_five["other"] == 2  # though the other tenant had six before it
            await opened.jobs.submit(job(4, owner=Owner("late", "key_3")))
            assert [lease.owner.tenant for lease in await claim(opened, most=1)] == ["late"]

    asyncio.run(scenario())


def test_many_workers_get_every_item_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened, desk() as another:
            await opened.jobs.submit(job(items=40))
            claims = [claim((opened, another)[turn % 2], f"w{turn}", 7) for turn in range(8)]
            leases = [lease for found in await asyncio.gather(*claims) for lease in found]
            while more := await claim(opened, "rest", 7):
                leases += more
            assert sorted(lease.number for lease in leases) == list(range(1, 41))
            assert (await opened.jobs.get("job_001")).counts == Counts(leased=40)

    asyncio.run(scenario())


def test_a_lease_that_ran_out_is_given_to_another_and_the_old_worker_is_fenced_off(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (old,) = await claim(opened, "w1")
            await opened.pass_time(SECONDS / 2)
            assert await opened.work.keep("w1", SECONDS) == {("job_001", 1, 1)}
            await opened.pass_time(SECONDS - 5)
            assert await opened.work.sweep(RULES) == 0
            await opened.pass_time(SECONDS)
            assert await opened.work.sweep(RULES) > 0
            assert (await opened.jobs.get("job_001")).state is JobState.RETRYING
            assert await opened.work.keep("w1", SECONDS) == frozenset()
            (new,) = await claim(opened, "w2")
            assert (new.token, new.lost, new.retries) == (2, 1, 0)
            assert await opened.work.finish("w1", [end(old, result=b"{}")]) == [False]
            assert await opened.work.finish("w2", [end(new)]) == [True]
            assert await opened.work.finish("w2", [end(new, ItemState.FAILED)]) == [False]
            assert (await opened.jobs.get("job_001")).counts == Counts(succeeded=1)

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_keeps_no_item_for_ever(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            await claim(opened, "dead")
            await opened.pass_time(-86_400)
            await opened.work.sweep(RULES)
            assert await claim(opened) == []
            await opened.pass_time(3601)
            await opened.work.sweep(RULES)
            (again,) = await claim(opened)
            assert (again.token, again.lost) == (2, 1)
            await opened.pass_time(-86_400)
            await opened.work.sweep(RULES)
            assert len(await opened.work.keep("w1", SECONDS)) == 1, "who lives keeps it"

    asyncio.run(scenario())


def test_what_takes_several_workers_with_it_is_poison(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            for worker in ("w1", "w1", "w2"):  # the same one twice says nothing of the item
                assert len(await claim(opened, worker)) == 1
                await opened.pass_time(SECONDS + 1)
                await opened.work.sweep(RULES)
            dead = await opened.jobs.get("job_001")
            assert (dead.state, dead.error_code) == (JobState.DEAD, "poison")
            (item,) = await opened.jobs.items("job_001", 9)
            assert item.state is ItemState.DEAD and "2 workers" in item.error and item.attempts == 3
            assert await claim(opened) == []

    asyncio.run(scenario())


def test_a_retry_waits_for_its_time(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            (lease,) = await claim(opened)
            at = opened.clock.now() + 60  # as its worker's clock says, which need not be the database's
            retry = end(lease, ItemState.RETRYING, next_at=at, counts_as_retry=True, error_code="upstream", error="503")
            assert await opened.work.finish("w1", [retry]) == [True]
            waiting = await opened.jobs.get("job_001")
            assert (waiting.state, waiting.error_code, waiting.finished_at) == (JobState.RETRYING, "upstream", None)
            assert await opened.work.sweep(RULES) == 0 and await claim(opened) == []
            await opened.pass_time(61)
            await opened.work.sweep(RULES)
            (again,) = await claim(opened)
            assert (again.retries, again.token) == (1, 2)

    asyncio.run(scenario())


def test_a_job_that_starts_later(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(start_at=2**33 + 0.0))
            assert await claim(opened) == [] and await opened.work.sweep(RULES) == 0
            backlog = await opened.work.backlog()
            assert (backlog.ready, backlog.waiting) == (0, 1)
            await opened.pass_time(2.0**33)
            await opened.work.sweep(RULES)
            assert len(await claim(opened)) == 1

    asyncio.run(scenario())


def test_what_waits_is_what_neither_workers_have_nor_could_have(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, items=9))
            leases = await claim(opened, "w1", 3)
            later = end(leases[0], ItemState.RETRYING, next_at=2.0**34)
            await opened.work.finish("w1", [later, end(leases[1], ItemState.DEAD, error_code="upstream")])
            await opened.jobs.submit(job(2, items=10, start_at=2.0**34))
            await opened.jobs.submit(job(3, items=20))
            await opened.jobs.command("job_003", Command.PAUSE)
            await opened.jobs.submit(job(4, items=40, undecided=True))
            await opened.jobs.submit(job(5, items=80, off_peak=hours_from(opened, 2, 5)))
            backlog = await opened.work.backlog()
            assert backlog.by_state == {"ready": 6, "waiting": 1 + 10 + 20 + 40 + 80, "leased": 1, "dead": 1}
            assert backlog.oldest_age_seconds < SECONDS
            await opened.pass_time(100.0)
            assert 100.0 <= (await opened.work.backlog()).oldest_age_seconds < 100.0 + SECONDS
            for command, ready in ((Command.RESUME, 26), (Command.CANCEL, 6)):
                await opened.jobs.command("job_003", command)
                assert (await opened.work.backlog()).ready == ready

    asyncio.run(scenario())


def test_cancelled_items_are_over_and_their_workers_lose_them(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(items=3))
            done, held = await claim(opened, most=2)
            await opened.work.finish("w1", [end(done, result=b"{}")])
            cancelled = await opened.jobs.command("job_001", Command.CANCEL)
            assert cancelled.state is JobState.CANCELLED and cancelled.counts == Counts(succeeded=1, cancelled=2)
            assert await opened.work.keep("w1", SECONDS) == frozenset()
            assert await opened.work.finish("w1", [end(held)]) == [False]
            assert await claim(opened) == []
            assert (await opened.jobs.command("job_001", Command.CANCEL)).counts == cancelled.counts

    asyncio.run(scenario())


def test_items_are_listed_by_their_state(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, items=24))
            await opened.jobs.submit(job(2, items=24))
            states = [state for state in ItemState if state not in (ItemState.QUEUED, ItemState.LEASED)]
            leases = [lease for lease in await claim(opened, most=48) if lease.number <= 18]
            await opened.work.finish("w1", [end(lease, states[lease.number % 6]) for lease in leases])
            for job_id in ("job_001", "job_002"):
                for place, state in enumerate(states):
                    numbers = [number for number in range(1, 19) if number % 6 == place]
                    found = await opened.jobs.items(job_id, 2, state=state)
                    more = await opened.jobs.items(job_id, 2, found[-1].number, state)
                    assert [item.number for item in (*found, *more)] == numbers
                    assert all((item.state, item.attempts) == (state, 1) and item.request_id for item in found)
                leased = await opened.jobs.items(job_id, 9, 19, ItemState.LEASED)
                assert [item.number for item in leased] == [20, 21, 22, 23, 24]
                assert await opened.jobs.items(job_id, 9, state=ItemState.QUEUED) == []
            await opened.jobs.command("job_002", Command.REDRIVE)
            numbers = [item.number for item in await opened.jobs.items("job_002", 4, 2, ItemState.QUEUED)]
            assert numbers == [3, 4, 5, 8]

    asyncio.run(scenario())


def test_a_paused_job_waits(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(items=2))
            (held,) = await claim(opened, most=1)
            assert (await opened.jobs.command("job_001", Command.PAUSE)).paused
            assert await claim(opened) == []
            retry = end(held, ItemState.RETRYING, counts_as_retry=True)
            assert await opened.work.finish("w1", [retry]) == [True]
            await opened.work.sweep(RULES)
            assert await claim(opened) == []
            assert not (await opened.jobs.command("job_001", Command.RESUME)).paused
            await opened.work.sweep(RULES)
            assert len(await claim(opened)) == 2
            await opened.jobs.command("job_001", Command.CANCEL)
            with pytest.raises(InvalidRequest):
                await opened.jobs.command("job_001", Command.PAUSE)

    asyncio.run(scenario())


def test_a_deadline_ends_what_waits_and_what_is_leased(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(items=2, deadline_at=2.0**33))
            (held,) = await claim(opened, most=1)
            await opened.pass_time(2.0**33)
            assert await opened.work.sweep(RULES) > 0
            assert (await opened.jobs.get("job_001")).counts == Counts(expired=2)
            assert await opened.work.finish("w1", [end(held)]) == [False]

    asyncio.run(scenario())


def test_dead_letters_can_be_driven_again(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(items=2))
            good, bad = await claim(opened)
            ends = [end(good, result=b"{}"), end(bad, ItemState.DEAD, error_code="upstream", error="500")]
            await opened.work.finish("w1", ends)
            assert (await opened.work.backlog()).dead == 1
            again = await opened.jobs.command("job_001", Command.REDRIVE)
            assert again.counts == Counts(succeeded=1, queued=1) and again.error_code == ""
            assert again.finished_at is None
            (lease,) = await claim(opened)
            assert (lease.number, lease.token, lease.retries) == (2, 2, 0)

    asyncio.run(scenario())


def test_the_cost_of_a_job_is_that_of_its_rows_in_the_ledger(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(items=2))
            leases = await claim(opened)
            rows = [
                RequestRecord(
                    lease.request_id, 1.0, "acme", None, "key_1", "chat/completions", "openai", "small", False,
                    Outcome.DONE, 200, cost_picousd=7 * lease.number,
                )
                for lease in leases
            ]  # fmt: skip
            await opened.ledger.write(rows)
            assert (await opened.jobs.get("job_001")).cost_picousd == 21

    asyncio.run(scenario())


def test_a_page_of_many_jobs_takes_as_few_statements_as_one_of_few(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            statements: list[str] = []

            def note(connection: Connection, cursor: object, statement: str, *_: object) -> None:
                statements.append(statement)

            event.listen(opened.database._engine, "before_cursor_execute", note)
            asked = []
            for numbers in (range(1, 3), range(3, 30)):
                for number in numbers:
                    await opened.jobs.submit(job(number))
                statements.clear()
                found, _ = await opened.jobs.page(JobFilter(), 100)
                asked.append(len(statements))
                assert found == [await opened.jobs.get(each.id) for each in found]
            assert asked[0] == asked[1]

    asyncio.run(scenario())
