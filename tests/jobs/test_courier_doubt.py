"""Batches of which nobody knows whether their provider has them, or what it does: nothing is lost, or paid unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from headgate.job_types import Counts, EraseScope, Job, JobState
from headgate.jobs.courier import LOOKUP_SECONDS, Courier
from headgate.policy.batching import MOST_TRIES, WINDOW_SECONDS
from headgate.provider_batch_types import Stage
from headgate.stores.provider_batch_tables import provider_batches
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.types import Outcome
from tests.jobs.test_courier import HOUR, LINE_PICOUSD, RULES, Dying, Office, opened, run
from tests.providers.batch_vendor import Batch, Call, Vendor


def hide(vendor: Vendor, batches: list[Batch]) -> None:
    """They are not in the vendor's list."""
    plain = vendor.handle

    def handle(call: Call) -> tuple[int, Any]:
        kept = vendor.batches
        if call.method == "GET" and call.path.endswith("/batches"):
            vendor.batches = [batch for batch in kept if batch not in batches]
        try:
            return plain(call)
        finally:
            vendor.batches = kept if call.method == "GET" else vendor.batches

    vendor.handle = handle  # type: ignore[method-assign]


async def handed_over_twice(office: Office, vendor: Vendor, late: list[Batch]) -> Job:
    """A job whose first batch is not found again while it is in `late`, and goes into another."""
    hide(vendor, late)
    vendor.breaks = 1
    job = await office.submit("one", "two", "three")
    await office.look()
    late += vendor.batches
    await office.look(LOOKUP_SECONDS)
    return job


def silence(vendor: Vendor, status: int = 503) -> None:
    vendor.handle = lambda call: (status, {"error": {"message": "not here", "type": "x"}})  # type: ignore[method-assign]


async def outcomes(office: Office) -> list[Outcome]:
    await office.work.book_duplicates()
    return sorted(row.outcome for row in await office.rows())


def test_a_batch_that_turns_up_late_is_stopped_and_booked_as_duplicate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            late: list[Batch] = []
            job = await handed_over_twice(office, vendor, late)
            assert len(vendor.batches) == 2 and (await office.jobs.get(job.id)).counts == Counts(leased=3)
            ids = [{line_id for line_id, _ in batch.requests} for batch in vendor.batches]
            assert not ids[0] & ids[1], "what is paid twice has two rows"
            vendor.batches[1].state = "ended"
            await office.look(61.0)
            done = await office.jobs.get(job.id)
            assert (done.state, done.cost_picousd) == (JobState.SUCCEEDED, 3 * LINE_PICOUSD)
            late.clear()
            await office.look(LOOKUP_SECONDS)
            assert vendor.batches[0].state == "cancelling"
            vendor.batches[0].state = "cancelled"  # two of three had been done
            await office.look(LOOKUP_SECONDS)
            assert await outcomes(office) == [Outcome.DONE] * 3 + [Outcome.DUPLICATE] * 2
            done = await office.jobs.get(job.id)
            assert (done.cost_picousd, done.duplicate_picousd) == (3 * LINE_PICOUSD, 2 * LINE_PICOUSD)
            assert await office.batches.open() == []

    run(scenario)


def test_a_batch_is_found_though_another_provider_has_one_of_the_same_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.breaks = 1
            await office.submit("one", "two", "three")
            await office.look()
            (ours,) = await office.batches.open()
            theirs = msgspec.structs.replace(
                ours, id="batch_other", deployment="other/theirs", stage=Stage.RUNNING, provider_id=vendor.batches[0].id
            )
            values = {**msgspec.structs.asdict(theirs), "stage": theirs.stage.value}
            await office.database.run(
                office.database.jobs,
                lambda connection: connection.execute(insert(provider_batches).values(values)),
                writes=True,
            )
            await office.look(LOOKUP_SECONDS)
            found = {batch.id: batch for batch in await office.batches.open()}
            assert found[ours.id].provider_id == vendor.batches[0].id and len(vendor.batches) == 1

    run(scenario)


def test_another_programs_batch_of_the_same_size_is_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, "anthropic") as (office, vendor):
            vendor.breaks = 1
            job = await office.submit("one", "two", "three")
            await office.look()
            (ours,) = vendor.batches
            others = [vendor.add("", [(f"theirs_{n}_{m}", "x") for m in range(3)]) for n in range(2)]
            await office.look(LOOKUP_SECONDS)
            assert len(vendor.batches) == 3, "one of them may be ours: nothing is handed over again"
            others[0].state = "ended"
            await office.look(61.0)
            assert [batch.stage for batch in await office.batches.open()] == [Stage.SENT]
            ours.state = "ended"
            await office.look(61.0)
            done = await office.jobs.get(job.id)
            assert (done.state, done.cost_picousd) == (JobState.SUCCEEDED, 3 * LINE_PICOUSD)
            assert [batch.state for batch in others] == ["ended", "running"], "and none of theirs was stopped"

    run(scenario)


def test_what_may_be_at_its_provider_is_done_live_when_the_deadline_nears(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, "anthropic") as (office, vendor):
            vendor.breaks = 1
            job = await office.submit("one", "two", "three", hours=5.0)
            await office.look()
            await office.look(3.9 * HOUR)
            assert await office.claimable() == 0
            await office.look(0.2 * HOUR)
            assert (await office.jobs.get(job.id)).execution == "spilled"
            assert await office.claimable() == 3
            vendor.end()
            await office.look(LOOKUP_SECONDS)
            assert await outcomes(office) == [Outcome.DONE] * 3, "one of the two is a duplicate once both are done"

    run(scenario)


@pytest.mark.parametrize("stage", ["sent", "running"])
def test_a_provider_that_says_nothing_does_not_cost_the_deadline(tmp_path: Path, stage: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.breaks = int(stage == "sent")
            job = await office.submit("one", "two", "three", hours=5.0)
            await office.look()
            assert [batch.stage for batch in await office.batches.open()] == [stage]
            silence(vendor)
            await office.look(3.9 * HOUR)
            assert await office.claimable() == 0
            await office.look(0.2 * HOUR)
            assert "the deadline is near" in (await office.jobs.get(job.id)).execution_reason
            assert await office.claimable() == 3
            await office.look(WINDOW_SECONDS)
            assert [batch.stage for batch in await office.batches.open()] == [Stage.OVER], "it has yet to be deleted"
            await office.look(WINDOW_SECONDS)
            assert await office.batches.open() == [], "nobody asks for ever"

    run(scenario)


def test_a_provider_that_does_not_stop_does_not_cost_the_deadline(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            await office.submit("one", "two", "three", hours=5.0)
            await office.look()
            await office.look(4.1 * HOUR)
            assert vendor.batches[0].state == "cancelling" and await office.claimable() == 0
            await office.look(0.5 * HOUR)
            assert await office.claimable() == 3

    run(scenario)


def test_a_batch_that_is_gone_from_its_provider_is_done_live(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            silence(vendor, 404)
            await office.look(61.0)
            assert await office.claimable() == 0, "it may only not be everywhere yet"
            await office.look(LOOKUP_SECONDS)
            assert "does not have it any more" in (await office.jobs.get(job.id)).execution_reason
            assert await office.claimable() == 3

    run(scenario)


def test_what_does_not_reach_its_provider_is_tried_more_and_more_rarely_and_then_live(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.refuses = (500, "not today")
            job = await office.submit("one", "two", "three")
            for _ in range(200):
                await office.look(60.0)
            submissions = [call for call in vendor.calls if call.method == "POST" and call.path.endswith("/batches")]
            assert len(submissions) == MOST_TRIES
            assert (await office.jobs.get(job.id)).execution_reason == "5 tries did not reach the provider"
            assert await office.claimable() == 3

    run(scenario)


def test_a_line_that_failed_is_done_live_though_the_model_always_uses_batches(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            office.rules = msgspec.structs.replace(RULES, use="always", min_items=1)
            await office.submit("one", "fail 500", "three")
            await office.look()
            vendor.end()
            await office.look(61.0)
            await office.look(61.0)
            assert await office.claimable() == 1 and len(vendor.batches) == 1

    run(scenario)


def test_one_batch_that_cannot_go_on_does_not_stop_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            first, second = await office.submit("a", "b", "c"), await office.submit("d", "e", "f")
            await office.look()
            vendor.end()
            plain = vendor.handle

            def handle(call: Call) -> tuple[int, Any]:
                return (200, b"no JSON") if "batch_1-" in call.path else plain(call)

            vendor.handle = handle  # type: ignore[method-assign]
            await office.look(61.0)
            counts = [(await office.jobs.get(job.id)).counts for job in (first, second)]
            assert Counts(leased=3) in counts and Counts(succeeded=3) in counts

    run(scenario)


def test_a_line_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            vendor.end()
            plain = vendor.handle

            def handle(call: Call) -> tuple[int, Any]:
                status, answer = plain(call)
                return status, answer + b"\n" + answer if call.path.endswith("/content") else answer

            vendor.handle = handle  # type: ignore[method-assign]
            await office.look(61.0)
            done = await office.jobs.get(job.id)
            assert (done.counts, done.cost_picousd) == (Counts(succeeded=3), 3 * LINE_PICOUSD)

    run(scenario)


def test_what_turns_up_when_its_job_is_erased_is_paid_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            late: list[Batch] = []
            job = await handed_over_twice(office, vendor, late)
            vendor.batches[1].state = "ended"
            await office.look(61.0)
            assert await SqlJobUpkeep(office.database, office.clock).erase(EraseScope(job_id=job.id)) == 1
            late.clear()
            vendor.batches[0].state = "ended"
            await office.look(LOOKUP_SECONDS)
            assert await outcomes(office) == [Outcome.DONE] * 3 + [Outcome.DUPLICATE] * 3
            assert await office.batches.open() == []

    run(scenario)


def test_who_was_away_too_long_hands_nothing_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            await office.submit("one", "two", "three")
            await office.die(batches=Dying(office.batches, "save"))
            office.begin_again()
            stale = await office.batches.open()
            await office.look()
            assert len(vendor.batches) == 1
            await Courier("three", office.means)._guarded(stale[0])
            assert len(vendor.batches) == 1, "it sees that another has done it"

    run(scenario)
