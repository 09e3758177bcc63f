"""What the job kernel alone costs: items that do nothing, through submission, claim, result and end.

python -m benchmarks.jobs_kernel --items 20000                        a SQLite file in a temporary folder
python -m benchmarks.jobs_kernel --items 20000 --database postgresql://user@host/name

Prints JSON: CPU microseconds of this process for each item, at submission and at work, and items a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop

from headgate.clock import SystemClock
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.pipeline import Pipeline
from headgate.job_types import NewJob, Owner
from headgate.jobs.purse import Purse
from headgate.jobs.tasks import Means, Task
from headgate.jobs.worker import Worker, WorkerSettings
from headgate.stores.database import Database
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_work import SqlWork
from headgate.telemetry.job_counts import JobCounts
from headgate.telemetry.totals import JobTotals
from headgate.types import Caller

ITEMS_OF_A_JOB = 50_000
REQUEST = b'{"model": "small", "messages": [{"role": "user", "content": "item"}]}'
LOOK_SECONDS = 0.05


class Nothing:
    """A kind of job that does nothing."""

    public = False

    def check(self, caller: Caller, body: bytes) -> None:
        """Anything goes."""

    async def run(self, task: Task) -> bytes:
        return b"{}"


async def measure(url: str, folder: Path, items: int, concurrency: int) -> dict[str, float]:
    """Submit, work, and say what it took."""
    clock = SystemClock()
    database = Database(url, folder)
    jobs, work = SqlJobs(database, clock), SqlWork(database, clock)
    await database.prepare()
    # Nothing is asked: there need be no corridor.
    means = Means(
        pipeline=cast(Pipeline, None),
        gate=cast(BackgroundGate, None),
        accounts=cast(Accounts, None),
        jobs=jobs,
        checkpoints=SqlCheckpoints(database, clock),
        purse=cast(Purse, None),
        clock=clock,
        observer=JobCounts(JobTotals()),
    )
    cpu, wall, ids = _cpu_seconds(), time.perf_counter(), []
    for first in range(0, items, ITEMS_OF_A_JOB):
        requests = (REQUEST,) * min(ITEMS_OF_A_JOB, items - first)
        job, _ = await jobs.submit(
            NewJob(clock.new_id("job"), Owner("acme", "key_1"), "nothing", requests, clock.now())
        )
        ids.append(job.id)
    submitted_cpu, submitted_wall = _cpu_seconds(), time.perf_counter()
    settings = WorkerSettings(concurrency=concurrency)
    worker = Worker("worker_1", work, {"nothing": Nothing()}, means, lambda: settings)
    working = asyncio.create_task(worker.run_forever())
    while (backlog := await work.backlog()).ready or backlog.leased:  # noqa: ASYNC110  # it is cheap beside the work
        await asyncio.sleep(LOOK_SECONDS)
    done_cpu, done_wall = _cpu_seconds(), time.perf_counter()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    for job_id in ids:
        assert (await jobs.get(job_id)).state == "succeeded"
    await database.aclose()
    return {
        "submit_us": (submitted_cpu - cpu) / items * 1e6,
        "work_us": (done_cpu - submitted_cpu) / items * 1e6,
        "items_per_second": items / (done_wall - submitted_wall),
        "submit_seconds": submitted_wall - wall,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(options.database, Path(folder), options.items, options.concurrency))
    json.dump({name: round(value, 1) for name, value in measured.items()}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
