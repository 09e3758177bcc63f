"""What it costs to look at a job that is under way, by its size: what `GET /v1/jobs/{id}` asks the database.

python -m benchmarks.job_status --items 50000                        a SQLite file in a temporary folder
python -m benchmarks.job_status --items 500000 --database postgresql://user@host/name

All but a few of its items are done, each with a row in the ledger. Prints JSON: CPU milliseconds (p50, without those of
PostgreSQL) of the job itself with what it cost so far, of its forecast, and of its version; and CPU microseconds of a
ledger row that is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from headgate.clock import SystemClock
from headgate.job_types import ItemEnd, ItemState, Lease, NewJob, Owner
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_prospects import SqlProspects
from headgate.stores.sql_work import SqlWork
from headgate.types import AttemptRecord, Outcome, RequestRecord, Usage

REQUEST = b'{"model": "small", "messages": [{"role": "user", "content": "item"}]}'
AT_ONCE = 1000
OPEN_ITEMS = 1000
LOOKS = 15
COST_PICOUSD = 10_000_000
USAGE = Usage(input=10, output=5)


async def measure(url: str, folder: Path, items: int) -> dict[str, float]:
    """Make a job of so many items, do nearly all of it, and look at it."""
    clock, database = SystemClock(), Database(url, folder)
    jobs, work, ledger = SqlJobs(database, clock), SqlWork(database, clock), SqlLedger(database)
    prospects = SqlProspects(database)
    job, _ = await jobs.submit(
        NewJob(clock.new_id("job"), Owner("acme", "key_1"), "chat", (REQUEST,) * items, clock.now())
    )
    written = 0.0
    for _ in range(0, items - OPEN_ITEMS, AT_ONCE):
        leases = await work.claim("worker_1", [clock.new_id("req") for _ in range(AT_ONCE)], 60.0)
        began = time.process_time()
        await ledger.write([row(lease) for lease in leases])
        written += time.process_time() - began
        ends = [ItemEnd(one.job_id, one.number, one.token, ItemState.SUCCEEDED, b"{}") for one in leases]
        await work.finish("worker_1", ends)
    cost = (await jobs.get(job.id)).cost_picousd
    assert cost == (items - OPEN_ITEMS) * COST_PICOUSD, cost
    measured = {
        "items": items,
        "job_ms": await _median_ms(lambda: jobs.get(job.id)),
        "forecast_ms": await _median_ms(lambda: prospects.of(job.id)),
        "version_ms": await _median_ms(lambda: prospects.version(job.id)),
        "ledger_row_us": written / (items - OPEN_ITEMS) * 1e6,
    }
    await database.aclose()
    return measured


def row(lease: Lease) -> RequestRecord:
    """The ledger's, of an item that was answered."""
    call = AttemptRecord(
        f"{lease.request_id}.1", lease.request_id, 1, 1.8e9, "told/told", "told", "http://one", "told", "",
        Outcome.DONE, 200, usage=USAGE, cost_picousd=COST_PICOUSD,
    )  # fmt: skip
    return RequestRecord(
        lease.request_id, 1.8e9, "acme", None, "key_1", "chat/completions", "openai", "small", False, Outcome.DONE, 200,
        deployment="told/told", provider="told", upstream_model="told", usage=USAGE, cost_picousd=COST_PICOUSD,
        attempts=(call,),
    )  # fmt: skip


async def _median_ms(look: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(LOOKS):
        began = time.process_time()
        await look()
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(options.database, Path(folder), options.items))
    json.dump({name: round(value, 2) for name, value in measured.items()}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
