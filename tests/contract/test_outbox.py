"""What every `delivery_ports.Outbox` and `SigningKeys` must do, here SqlOutbox and SqlSigningKeys."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.delivery_types import Delivery, DeliveryEnd, DeliveryState, Target, TargetKind, Waiting
from headgate.job_types import Command, ItemState, NewJob, Owner
from headgate.stores.sql_outbox import SqlOutbox, SqlSigningKeys
from tests.contract.test_jobs import RULES, claim, end
from tests.contract.test_jobs import job as plain
from tests.contract.working import Desk, Open

SECONDS = 30.0
HOOK = Target(TargetKind.WEBHOOK, "https://hooks.example.com/x", "acme webhook hooks.example.com")
MAIL = Target(TargetKind.MAIL, "ann@example.com", "acme mail")
PUBLISHED = Target(TargetKind.PUBLISH, "jobs", "publish jobs")


def job(number: int = 1, items: int = 1, *targets: Target, tenant: str = "acme") -> NewJob:
    return msgspec.structs.replace(plain(number, items, Owner(tenant, "key_1")), targets=targets or (HOOK,))


def outbox(desk: Desk) -> SqlOutbox:
    return SqlOutbox(desk.database, desk.clock)


async def later(desk: Desk, seconds: float) -> None:
    """As `Desk.pass_time`, for deliveries."""
    await desk.pass_time(seconds)
    if desk.database.dialect != "sqlite":
        nearer = "UPDATE outbox SET next_at = next_at - {0}, created_at = created_at - {0}, ended_at = ended_at - {0}"
        change = nearer.format(float(seconds))
        await desk.database.run(desk.database.jobs, lambda one: one.exec_driver_sql(change), writes=True)


async def done(desk: Desk, state: ItemState = ItemState.SUCCEEDED, most: int = 10, **more: object) -> None:
    await desk.work.finish("w1", [end(lease, state, **more) for lease in await claim(desk, most=most)])


async def taken(desk: Desk, seconds: float = SECONDS) -> list[Delivery]:
    await later(desk, 2.0)
    box = outbox(desk)
    return await box.claim([one.id for one in await box.waiting(100, (), ())], seconds)


def test_a_row_comes_with_the_end_of_a_job_and_not_before(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, 2, HOOK, MAIL))
            await opened.jobs.submit(plain(2))
            await done(opened, most=1)
            assert await taken(opened) == []
            await done(opened, ItemState.FAILED, error_code="upstream_error", error="no")
            await done(opened)
            ended = await opened.jobs.get("job_001")
            hook, mail = await taken(opened)
            assert (hook.target, mail.target) == (HOOK, MAIL) and hook.job_id == "job_001" and hook.tenant == "acme"
            assert hook.id != mail.id and (hook.attempts, hook.token, hook.state) == (0, 1, DeliveryState.PENDING)
            told = hook.told
            assert (told.state, told.done, told.total, told.error_code) == ("failed", 2, 2, "upstream_error")
            assert told.at == ended.finished_at and told == mail.told
            assert await outbox(opened).of_job("job_002", 9) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["cancelled", "expired", "dead"])
def test_every_end_is_told(desk: Open, how: str) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            deadline = 2.0**33 if how == "expired" else None
            await opened.jobs.submit(msgspec.structs.replace(job(), deadline_at=deadline))
            if how == "cancelled":
                await opened.jobs.command("job_001", Command.CANCEL)
            elif how == "expired":
                await later(opened, 2.0**33)
                await opened.work.sweep(RULES)
            else:
                await done(opened, ItemState.DEAD)
            assert [one.told.state for one in await taken(opened)] == [how]

    asyncio.run(scenario())


def test_a_job_that_ends_again_is_told_again(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job())
            await done(opened, ItemState.DEAD)
            (first,) = await taken(opened)
            await opened.jobs.command("job_001", Command.REDRIVE)
            assert await taken(opened, 0.0) == []
            await done(opened)
            (second,) = await taken(opened, 0.0)
            assert second.id != first.id and (first.told.state, second.told.state) == ("dead", "succeeded")
            assert [one.id for one in await outbox(opened).of_job("job_001", 9)] == [second.id, first.id]

    asyncio.run(scenario())


def test_each_is_claimed_by_one_process_and_comes_back_if_that_dies(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened, desk() as another:
            for number in range(1, 21):
                await opened.jobs.submit(job(number))
            await done(opened, most=30)
            await later(opened, 2.0)
            ids = [one.id for one in await outbox(opened).waiting(100, (), ())]
            assert len(ids) == 20
            both = await asyncio.gather(outbox(opened).claim(ids, SECONDS), outbox(another).claim(ids, SECONDS))
            assert sorted(one.id for each in both for one in each) == sorted(ids)
            assert await outbox(another).waiting(100, (), ()) == []
            old = {one.id: one for each in both for one in each}
            await later(opened, SECONDS + 1)
            again = await outbox(another).claim(ids, SECONDS)
            assert len(again) == 20 and {one.token for one in again} == {2}
            late = [DeliveryEnd(ids[0], old[ids[0]].token, DeliveryState.DELIVERED, "200")]
            assert await outbox(opened).finish(late) == [False]
            assert (await outbox(opened).standing()).pending == 20

    asyncio.run(scenario())


def test_attempts_and_their_end(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            box = outbox(opened)
            await opened.jobs.submit(job(1, 1, HOOK, MAIL))
            await done(opened)
            hook, mail = await taken(opened)
            assert hook.age_seconds == pytest.approx(2.0, abs=0.9)
            again = DeliveryEnd(hook.id, hook.token, DeliveryState.PENDING, "503", 60.0)
            assert await box.finish([again, DeliveryEnd(mail.id, mail.token, DeliveryState.DEAD, "550")]) == [
                True,
                True,
            ]
            standing = await box.standing()
            assert (standing.pending, standing.dead) == (1, 1)
            assert standing.oldest_age_seconds == pytest.approx(2.0, abs=0.9)
            await later(opened, 50.0)
            assert await box.waiting(9, (), ()) == []
            await later(opened, 11.0)
            (hook,) = await box.claim([hook.id], SECONDS)
            assert (hook.attempts, hook.answer, hook.token) == (1, "503", 2)
            assert await box.finish([DeliveryEnd(hook.id, 2, DeliveryState.DELIVERED, "200 ok")]) == [True]
            seen = {one.target.kind: one for one in await box.of_job("job_001", 9)}
            assert (seen[TargetKind.WEBHOOK].state, seen[TargetKind.WEBHOOK].attempts) == (DeliveryState.DELIVERED, 2)
            assert (seen[TargetKind.MAIL].state, seen[TargetKind.MAIL].answer) == (DeliveryState.DEAD, "550")
            assert (await box.standing()).pending == 0
            assert await box.prune(10.0) == 1  # the mail was given up a minute ago
            await later(opened, 11.0)
            assert await box.prune(10.0) == 1 and await box.of_job("job_001", 9) == []

    asyncio.run(scenario())


def test_telling_again(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            box = outbox(opened)
            await opened.jobs.submit(job(1, 1, HOOK, MAIL, PUBLISHED))
            assert await box.redeliver("job_001") == []
            await done(opened)
            held = [one for one in await taken(opened) if one.target.kind is not TargetKind.PUBLISH]
            await box.finish([DeliveryEnd(held[0].id, held[0].token, DeliveryState.DEAD, "410")])
            told = await box.redeliver("job_001")
            assert [(one.id, one.state, one.attempts) for one in told] == [
                (one.id, DeliveryState.PENDING, 0) for one in held
            ]
            ids = {one.id for one in await box.waiting(9, (), ())}
            assert ids == {one.id for one in held}

    asyncio.run(scenario())


def test_the_operators_topic_hears_of_every_change(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, 1, HOOK, PUBLISHED))
            (lease,) = await claim(opened)
            await opened.work.finish("w1", [end(lease)])
            told = [one for one in await taken(opened) if one.target.kind is TargetKind.PUBLISH]
            assert [one.told.state for one in sorted(told, key=lambda one: one.id)] == [
                "queued",
                "running",
                "succeeded",
            ]
            assert len({one.id for one in told}) == 3
            hooks = [one for one in await outbox(opened).of_job("job_001", 9) if one.target.kind is TargetKind.WEBHOOK]
            assert [one.told.state for one in hooks] == ["succeeded"]

    asyncio.run(scenario())


def test_who_is_busy_is_left_out(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            await opened.jobs.submit(job(1, 1, HOOK, MAIL))
            await opened.jobs.submit(job(2, 1, HOOK, tenant="other"))
            await done(opened)
            await later(opened, 2.0)
            box = outbox(opened)
            assert {one.lane for one in await box.waiting(9, ("other",), (HOOK.lane,))} == {MAIL.lane}
            found = await box.waiting(1, (), ())
            assert len(found) == 1 and isinstance(found[0], Waiting)

    asyncio.run(scenario())


def test_a_signing_key_is_made_once(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened, desk() as another:
            first, second = await asyncio.gather(
                SqlSigningKeys(opened.database).key("links", b"a\x00"),
                SqlSigningKeys(another.database).key("links", b"b"),
            )
            assert first == second and first in (b"a\x00", b"b")
            assert await SqlSigningKeys(opened.database).key("hooks", b"c") == b"c"

    asyncio.run(scenario())
