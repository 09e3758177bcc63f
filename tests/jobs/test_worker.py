"""Workers: what they do with items, with failures, with each other, and when they are lost."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import msgspec
import pytest

from headgate.config.schema import SimFaults
from headgate.job_types import Command, Counts, ItemState, JobState, RetryRules
from headgate.types import Outcome
from tests.gateway.corridor import run
from tests.jobs.floor import KEY, Floor

ALWAYS = SimFaults(server_error=1.0)


def test_an_item_goes_through_the_corridor_and_its_answer_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        worker = floor.start("w1")
        job = await floor.submit()
        worker.bell.ring()
        done = await floor.until_over(job)
        assert done.state is JobState.SUCCEEDED
        (item,) = await floor.jobs.items(job.id, 9)
        assert json.loads(item.result)["choices"][0]["finish_reason"] in ("stop", "length")
        record = floor.corridor.record
        assert (record.tenant, record.user, record.outcome) == ("acme", "alice", Outcome.DONE)
        await floor.stop()

    run(scenario)


def test_a_failure_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=ALWAYS, rules=RetryRules(retries=2))
        floor.start("w1")
        dead = await floor.until_over(await floor.submit())
        assert (dead.state, dead.error_code) == (JobState.DEAD, "upstream_rejected")
        (item,) = await floor.jobs.items(dead.id, 9)
        assert item.attempts == 3 == len(floor.corridor.journal.appended)
        assert "it failed 3 times" in item.error
        await floor.stop()

    run(scenario)


def test_what_no_repetition_changes_is_tried_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        floor.accounts.configure([msgspec.structs.replace(KEY, revoked_at=1.0)], {}, None)
        failed = await floor.until_over(await floor.submit())
        assert (failed.state, failed.error_code) == (JobState.FAILED, "key_revoked")
        assert not floor.corridor.journal.appended
        await floor.stop()

    run(scenario)


def test_a_cancelled_job_stops_what_is_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=SimFaults(hang_before=1.0))
        worker = floor.start("w1")
        job = await floor.submit(2)
        await asyncio.sleep(2)
        assert worker.under_way == 2
        await floor.jobs.command(job.id, Command.CANCEL)
        await asyncio.sleep(6)
        assert worker.under_way == 0 and floor.corridor.at_rest()
        assert (await floor.jobs.get(job.id)).counts == Counts(cancelled=2)
        await floor.stop()

    run(scenario)


def test_a_worker_that_stops_gives_back_what_it_has_and_that_counts_as_no_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=SimFaults(hang_before=1.0))
        worker = floor.start("w1")
        job = await floor.submit()
        await asyncio.sleep(2)
        await worker.drain(1.0)
        (item,) = await floor.jobs.items(job.id, 9)
        assert (item.state, item.error_code) == (ItemState.RETRYING, "draining")
        (lease,) = await _claim_soon(floor)
        assert (lease.retries, lease.lost, lease.token) == (0, 0, 2)
        await floor.stop()

    run(scenario)


async def _claim_soon(floor: Floor) -> list[object]:
    await asyncio.sleep(2)
    await floor.work.sweep(RetryRules())
    return list(await floor.work.claim("another", ["req_x"], 30.0))


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_while_workers_are(tmp_path: Path, seed: int) -> None:
    """Workers come and go without a word, providers fail, and every item still ends exactly once."""

    async def scenario() -> None:
        faults = SimFaults(server_error=0.05, cut=0.03, hang_before=0.02, rate_limited=0.02)
        floor = Floor(tmp_path, seed=seed, faults=faults, rules=RetryRules(retries=8, lost_workers=50))
        chance, names = random.Random(seed), [f"w{number}" for number in range(3)]
        jobs = [await floor.submit(items) for items in (40, 1, 25)]
        for name in names:
            floor.start(name)
        for turn in range(12):
            await asyncio.sleep(chance.uniform(0.2, 4.0))
            victim = chance.choice(names)
            floor.kill(victim)
            names.remove(victim)
            names.append(f"after{turn}")
            floor.start(names[-1])
        for job in jobs:
            done = await floor.until_over(job)
            assert done.state is JobState.SUCCEEDED, done
            assert done.counts == await floor.true_counts(job) == Counts(succeeded=job.counts.total)
        await asyncio.sleep(60)
        await floor.stop()
        assert floor.corridor.at_rest()
        answered = [record for record in floor.corridor.journal.appended if record.outcome is Outcome.DONE]
        assert 66 <= len(answered) <= 66 + 12 * floor.settings.concurrency  # at most what died with its worker, twice

    run(scenario)
