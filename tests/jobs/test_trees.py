"""Kinds that take several steps and submit more work: what they may rely on while workers come and go."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from headgate.config.schema import SimFaults
from headgate.job_types import Command, Counts, JobState, NewItem, RetryRules
from headgate.jobs.tasks import Task, Waiting
from headgate.types import Caller
from tests.gateway.corridor import run
from tests.jobs.floor import Floor

QUESTION = b'{"model": "small", "messages": [{"role": "user", "content": "part %d"}]}'


class Parts:
    """A plan, then so many questions in a job below, then what came of them."""

    public = True

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.plans = 0

    def check(self, caller: Caller, body: bytes) -> None:
        """Anything goes."""

    async def run(self, task: Task) -> bytes:
        async def plan() -> bytes:
            self.plans += 1
            return await task.ask("chat", QUESTION % 0)

        await task.step("plan", plan)
        below = await task.child("parts", "chat")
        if below.counts.total < self.parts:
            await task.add(below, [NewItem(number, QUESTION % number) for number in range(1, self.parts + 1)])
            await task.seal(below)
        if not below.is_over:
            raise Waiting
        answers = await task.jobs.items(below.id, self.parts)
        return json.dumps(Counter(item.state for item in answers)).encode()


def test_a_job_of_several_steps(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.kinds["parts"] = parts = Parts(5)
        floor.start("w1")
        job = await floor.submit(kind="parts")
        done = await floor.until_over(job)
        assert (done.state, done.progress) == (JobState.SUCCEEDED, Counts(succeeded=5))
        (item,) = await floor.jobs.items(job.id, 9)
        assert (json.loads(item.result), parts.plans) == ({"succeeded": 5}, 1)
        assert len(floor.corridor.journal.appended) == 6
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize("seed", range(4))
def test_it_goes_on_wherever_its_worker_was_lost(tmp_path: Path, seed: int) -> None:
    async def scenario() -> None:
        faults = SimFaults(server_error=0.05, cut=0.03)
        floor = Floor(tmp_path, seed=seed, faults=faults, rules=RetryRules(retries=8, lost_workers=50))
        floor.kinds["parts"] = Parts(20)
        chance = random.Random(seed)
        jobs = [await floor.submit(kind="parts") for _ in range(3)]
        for turn in range(8):
            floor.start(f"w{turn}")
            await asyncio.sleep(chance.uniform(0.05, 3.0))
            floor.kill(f"w{turn}")
        floor.start("last")
        for job in jobs:
            done = await floor.until_over(job)
            assert (done.state, done.progress) == (JobState.SUCCEEDED, Counts(succeeded=20)), done
            (item,) = await floor.jobs.items(job.id, 9)
            assert json.loads(item.result) == {"succeeded": 20}
        await asyncio.sleep(60)
        await floor.stop()
        assert floor.corridor.at_rest()

    run(scenario)


def test_a_cancelled_job_stops_with_what_is_below_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, faults=SimFaults(hang_before=0.5))
        floor.kinds["parts"] = Parts(20)
        worker = floor.start("w1")
        job = await floor.submit(kind="parts")
        while (await floor.jobs.get(job.id)).below.leased == 0:  # noqa: ASYNC110  # virtual time
            await asyncio.sleep(1)
        await floor.jobs.command(job.id, Command.CANCEL)
        await asyncio.sleep(10)
        told = await floor.jobs.get(job.id)
        assert (told.state, told.progress.open, worker.under_way) == (JobState.CANCELLED, 0, 0)
        await floor.stop()

    run(scenario)
