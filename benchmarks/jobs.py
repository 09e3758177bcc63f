"""The job kernel beside procrastinate, Celery and taskiq: the same number of items that do nothing, in the same run.

python -m benchmarks.jobs --peers DIR     DIR/procrastinate, DIR/celery and DIR/taskiq are virtual environments
python -m benchmarks.jobs --curve         headgate alone, 1,000 to 500,000 items in SQLite

CPU is that of the process that submits and works, for each item, without the database's or the broker's. All run one
worker process with 64 items at once; Celery its `solo` pool, the cheapest. headgate and procrastinate keep every item
and its state in the database, Celery and taskiq keep results in Redis.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.running import ROOT
from tests.servers import RedisServer, postgresql

CURVE = (1_000, 5_000, 20_000, 50_000, 100_000, 500_000)
WAIT_SECONDS = 1800

_COMMON = """
import json, os, resource, sys, time
url, items = sys.argv[1], int(sys.argv[2])
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
def tell(begun, submitted, worked, seconds):
    told = {"submit_us": (submitted - begun) / items * 1e6, "work_us": (worked - submitted) / items * 1e6,
            "items_per_second": items / seconds}
    os.write(1, json.dumps(told).encode() + b"\\n")  # Celery takes sys.stdout for its log
"""
PROCRASTINATE = (
    _COMMON
    + """
import asyncio, procrastinate
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
@app.task
async def nothing(number):
    pass
async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        begun = cpu()
        for first in range(0, items, 1000):
            numbers = range(first, min(first + 1000, items))
            await nothing.batch_defer_async(*[{"number": number} for number in numbers])
        submitted, start = cpu(), time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=64, install_signal_handlers=False)
        tell(begun, submitted, cpu(), time.perf_counter() - start)
asyncio.run(main())
"""
)
CELERY = (
    _COMMON
    + """
import celery
app = celery.Celery("peer", broker=url, backend=url)
app.conf.worker_prefetch_multiplier = 64
state = {"done": 0}
@app.task
def nothing(number):
    state["done"] += 1
    if state["done"] == items:
        tell(begun, submitted, cpu(), time.perf_counter() - start)
        os._exit(0)
begun = cpu()
for number in range(items):
    nothing.delay(number)
submitted, start = cpu(), time.perf_counter()
app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle",
                 "--without-heartbeat"])
"""
)
TASKIQ = (
    _COMMON
    + """
import asyncio
from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend
broker = ListQueueBroker(url).with_result_backend(RedisAsyncResultBackend(url))
done = 0
@broker.task
async def nothing(number):
    global done
    done += 1
async def main():
    await broker.startup()
    begun = cpu()
    for number in range(items):
        await nothing.kiq(number)
    submitted, start = cpu(), time.perf_counter()
    receiver = asyncio.create_task(run_receiver_task(broker, max_async_tasks=64))
    while done < items:
        await asyncio.sleep(0.05)
    tell(begun, submitted, cpu(), time.perf_counter() - start)
    receiver.cancel()
    await asyncio.gather(receiver, return_exceptions=True)
asyncio.run(main())
"""
)
PEERS = {"procrastinate": PROCRASTINATE, "celery": CELERY, "taskiq": TASKIQ}


def headgate(items: int, database: str) -> dict[str, float]:
    """The kernel, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.jobs_kernel", "--items", str(items), "--database", database]
    return _told(command, ROOT)


def peer(name: str, peers: Path, items: int, url: str, folder: Path) -> dict[str, float] | None:
    """None: it is not installed."""
    python = peers.resolve() / name / "bin" / "python"
    if not python.exists():
        return None
    script = folder / f"{name}_peer.py"
    script.write_text(PEERS[name])
    return _told([str(python), str(script), url, str(items)], folder)


def _told(command: list[str], folder: Path) -> dict[str, float]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{command[0]} said nothing: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(lines[-1])
    return told


def show(name: str, items: int, told: dict[str, float] | None) -> None:
    if told is None:
        print(f"{name:28} {items:>8,}  not installed")
        return
    submit, work, rate = told["submit_us"], told["work_us"], told["items_per_second"]
    print(f"{name:28} {items:>8,} {submit:>12,.1f} {work:>10,.1f} {submit + work:>10,.1f} {rate:>10,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--curve", action="store_true")
    options = parser.parse_args()
    print(f"{'':28} {'items':>8} {'submit us':>12} {'work us':>10} {'sum us':>10} {'items/s':>10}")
    if options.curve:
        for items in CURVE:
            show("headgate, SQLite", items, headgate(items, "sqlite"))
        return
    show("headgate, SQLite", options.items, headgate(options.items, "sqlite"))
    with tempfile.TemporaryDirectory() as place, postgresql() as server:
        folder = Path(place)
        redis = RedisServer(folder)
        redis.start()
        try:
            if server is not None:
                show("headgate, PostgreSQL", options.items, headgate(options.items, server.new_database()))
            if options.peers is not None and server is not None:
                told = peer("procrastinate", options.peers, options.items, server.new_database(), folder)
                show("procrastinate, PostgreSQL", options.items, told)
            for name in ("celery", "taskiq") if options.peers is not None else ():
                show(f"{name}, Redis", options.items, peer(name, options.peers, options.items, redis.url, folder))
        finally:
            redis.stop()


if __name__ == "__main__":
    main()
