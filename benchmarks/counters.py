"""What limits and budgets cost a request: CPU of this process and the time it waits, by the number of meters.

    python -m benchmarks.counters [--requests 20000] [--connections 32] [--answer-seconds 0.01] [--redis URL]

Each request is admitted, marked as dispatched and, when its answer has come, settled, as the corridor does it. Without
--redis a server is started on a free port; it runs beside the process that is measured, as on a machine of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Iterator

import uvloop

from headgate.clock import SystemClock
from headgate.metering import Ask, Charge, Meter
from headgate.ports import Counters
from headgate.stores.memory_counters import MemoryCounters
from headgate.stores.redis.counters import RedisCounters
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.servers import redis

COUNTS = (1, 4, 8, 12)
HUGE = 10**15
KINDS = (
    (MeterKind.RATE, Measure.REQUESTS, Scope.USER),
    (MeterKind.BUDGET, Measure.USD, Scope.TENANT),
    (MeterKind.RATE, Measure.TOKENS, Scope.TENANT),
    (MeterKind.CONCURRENCY, Measure.REQUESTS, Scope.KEY),
    (MeterKind.BUDGET, Measure.USD, Scope.USER),
    (MeterKind.RATE, Measure.TOKENS, Scope.USER),
    (MeterKind.ROLLING, Measure.USD, Scope.USER),
    (MeterKind.VELOCITY, Measure.USD, Scope.KEY),
    (MeterKind.BUDGET, Measure.TOKENS, Scope.SESSION),
    (MeterKind.RATE, Measure.REQUESTS, Scope.MODEL),
    (MeterKind.BUDGET, Measure.USD, Scope.MODEL),
    (MeterKind.REPEAT, Measure.REQUESTS, Scope.SESSION),
)


def meters(count: int) -> list[Meter]:
    rules = [Rule(f"rule {n}", kind, measure, scope, HUGE) for n, (kind, measure, scope) in enumerate(KINDS[:count])]
    return [Meter(f"{n}:{rule.scope}:alice", rule, "alice", None, HUGE) for n, rule in enumerate(rules)]


async def measure(
    counters: Counters, count: int, requests: int, connections: int, answer_seconds: float
) -> tuple[float, float, float]:
    """Microseconds of CPU for a request; median and 99th percentile of what it waits."""
    asked, waits, left = Ask(1_000, 200, 1, 10**9, 10**7), list[float](), iter(range(requests))
    chosen, tenant = meters(count), f"tenant-{count}"
    await counters.rebuild(tenant, [])

    async def client() -> None:
        for number in left:
            hold, began = f"req_{number:026x}", time.perf_counter()
            decision = await counters.admit(hold, tenant, chosen, asked)
            waits.append(time.perf_counter() - began)
            assert decision.known and decision.refusal is None
            counters.keep(hold, tenant, dispatched=True)
            await asyncio.sleep(answer_seconds)
            counters.settle(hold, tenant, Charge(1_100, 10**9))

    began = time.process_time()
    await asyncio.gather(*[client() for _ in range(connections)])
    await counters.read(tenant, [])
    cpu = (time.process_time() - began) / requests
    return cpu * 1e6, statistics.median(waits) * 1e6, statistics.quantiles(waits, n=100)[98] * 1e6


async def run(name: str, counters: Counters, requests: int, connections: int, answer_seconds: float) -> None:
    for count in COUNTS:
        await measure(counters, count, requests // 10, connections, answer_seconds)  # warm
        cpu, median, worst = await measure(counters, count, requests, connections, answer_seconds)
        print(f"| {name} | {count} | {cpu:.1f} | {median:.0f} | {worst:.0f} |", flush=True)


@contextlib.asynccontextmanager
async def on_redis(url: str) -> AsyncIterator[Counters]:
    counters = RedisCounters(url)
    await counters.start()
    try:
        yield counters
    finally:
        await counters.aclose()


async def main(url: str, requests: int, connections: int, answer_seconds: float) -> None:
    print("| store | meters | CPU us a request | median wait us | p99 wait us |\n|---|---|---|---|---|")
    await run("memory", MemoryCounters(SystemClock()), requests, connections, answer_seconds)
    async with on_redis(url) as counters:
        await run("Redis", counters, requests, connections, answer_seconds)


@contextlib.contextmanager
def server(url: str) -> Iterator[str]:
    if url:
        yield url
        return
    with redis() as started:
        if started is None:
            raise SystemExit("needs the Debian package redis-server")
        yield started.url


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--answer-seconds", type=float, default=0.01)
    parser.add_argument("--redis", default="")
    options = parser.parse_args()
    with server(options.redis) as found:
        uvloop.run(main(found, options.requests, options.connections, options.answer_seconds))
