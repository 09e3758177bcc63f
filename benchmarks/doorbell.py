"""How long a job waits for a worker that has nothing to do, from its submission to the first line of its work.

python -m benchmarks.doorbell [--jobs 200]

The desk and the worker have a database connection each and know of each other by the doorbell alone, as two processes
do; they are in one process here, so that one clock measures both. `embedded` is a desk and a worker of one process.
Kafka and SQS are stand-ins: librdkafka's mock and moto.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from headgate.clock import SystemClock
from headgate.job_types import NewJob, Owner
from headgate.jobs.doorbell import Doorbell
from headgate.jobs.tasks import Means, Task
from headgate.jobs.worker import Worker, WorkerSettings
from headgate.queue_ports import Signal
from headgate.queues.opening import open_queue
from headgate.queues.signals import PostgresSignal, QueueSignal
from headgate.stores.database import Database
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_work import SqlWork
from tests.brokers import AWS, KafkaBroker, rabbitmq, sqs
from tests.servers import postgresql, redis

FEWEST_SECONDS, MOST_SECONDS = 0.02, 0.12  # between submissions
SEED = 1


class Quiet:
    """Nobody counts here."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Noted:
    """A kind of job whose work is to note when it began."""

    public = True

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def check(self, caller: object, body: bytes) -> None:
        """Anything will do."""

    async def run(self, task: Task) -> bytes:
        self.began[task.lease.job_id] = time.perf_counter()
        return b""


async def measure(urls: tuple[str, Path], signals: tuple[Signal | None, Signal | None], jobs: int) -> list[float]:
    """Seconds of each job. `signals`: the desk's and the worker's; none: they share a bell."""
    clock, kind, chance = SystemClock(), Noted(), random.Random(SEED)
    desk_side, work_side = Database(*urls), Database(*urls)
    await desk_side.prepare()
    desk = SqlJobs(desk_side, clock)
    nobody = cast(Any, None)
    means = Means(
        pipeline=nobody,
        gate=nobody,
        accounts=nobody,
        jobs=SqlJobs(work_side, clock),
        checkpoints=nobody,
        purse=nobody,
        clock=clock,
        observer=cast(Any, Quiet()),
    )
    worker = Worker("worker", SqlWork(work_side, clock), {"noted": kind}, means, WorkerSettings)
    far, near = Doorbell(worker.bell, signals[1]), Doorbell(worker.bell, None)
    if signals[0] is not None:
        apart = Worker("nobody", SqlWork(desk_side, clock), {}, means, WorkerSettings)
        near = Doorbell(apart.bell, signals[0])
    work = (worker.run_forever(), far.listen_forever(), near.tell_forever())
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(3.0 if signals[0] is not None else 0.2)  # a consumer group takes a while to begin
    submitted = {}
    for number in range(jobs + 5):
        job_id = clock.new_id("job")
        submitted[job_id] = time.perf_counter()
        await desk.submit(NewJob(job_id, Owner("acme", "key"), "noted", (b"{}",), clock.now()))
        near.ring()
        await asyncio.sleep(chance.uniform(FEWEST_SECONDS, MOST_SECONDS))
        if number == 4:
            submitted.clear()  # the first ones connect
    await asyncio.sleep(1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for signal in filter(None, signals):
        await signal.aclose()
    await desk_side.aclose()
    await work_side.aclose()
    return [kind.began[job_id] - at for job_id, at in submitted.items()]


def addresses(stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Names and addresses of the brokers that are installed."""
    if (server := stack.enter_context(redis())) is not None:
        yield "redis", f"{server.url}?queue=headgate-jobs"
    if (rabbit := stack.enter_context(rabbitmq())) is not None:
        yield "rabbitmq", f"{rabbit.url}?queue=headgate-jobs"
    yield "kafka (mock)", KafkaBroker().make_topic("headgate-jobs")
    os.environ.update(AWS)
    yield "sqs (moto)", f"sqs://us-east-1/headgate-jobs?endpoint={stack.enter_context(sqs())}"


def tell(name: str, seconds: list[float]) -> None:
    """One line."""
    found = sorted(1000 * each for each in seconds)
    p99 = found[int(len(found) * 0.99)]
    print(f"{name:24} p50 {statistics.median(found):7.1f} ms   p99 {p99:7.1f} ms   {len(found)} jobs", flush=True)


def main() -> None:
    """Measure each kind of doorbell, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    jobs = parser.parse_args().jobs
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tell("embedded, SQLite", asyncio.run(measure(("sqlite", folder), (None, None), jobs)))
        server = stack.enter_context(postgresql())
        if server is None:
            raise SystemExit("needs the Debian package postgresql")

        async def by_notify() -> list[float]:
            url = server.new_database()
            return await measure((url, folder), (PostgresSignal(url), PostgresSignal(url)), jobs)

        async def by_queue(address: str) -> list[float]:
            signals = tuple(QueueSignal(open_queue(address, SystemClock())) for _ in range(2))
            return await measure((server.new_database(), folder), cast(Any, signals), jobs)

        tell("PostgreSQL, NOTIFY", asyncio.run(by_notify()))
        for name, address in addresses(stack):
            tell(f"PostgreSQL, {name}", asyncio.run(by_queue(address)))


if __name__ == "__main__":
    main()
