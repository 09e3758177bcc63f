"""Dollars over a hard cap, by the number of requests at once, and latency while the store is away.

    python -m benchmarks.overshoot                # N = 1, 10, 100, 1000; memory, and Redis with four workers
    python -m benchmarks.overshoot --at-once 100  # only so many

The judge is a provider in a process of its own that honours `max_tokens` and counts what it produced. Clients come back
when they are told to, and stop at 402. Needs redis-server for the rows with Redis.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path

from tests.faults import judge, test_budgets, test_store_outage
from tests.faults.gateway import running
from tests.faults.judge import judge_process
from tests.faults.spenders import Spenders
from tests.faults.test_budgets import KEYS, until_nothing_is_held
from tests.servers import RedisServer, redis

AT_ONCE = (1, 10, 100, 1000)
USD_PER_CLIENT = 0.0004
LEAST_USD = 0.004
OUTAGE_REQUESTS = 2000


async def overshoot(store: str, clients: int) -> str:
    """A row of the table."""
    cap_usd = max(LEAST_USD, clients * USD_PER_CLIENT)
    with tempfile.TemporaryDirectory() as folder, judge_process() as port:
        gateway = test_budgets.gateway_of(Path(folder), port, store, cap_usd=cap_usd)
        async with running(gateway):
            spenders = Spenders(gateway.port, KEYS, clients)
            await spenders.spend()
            held_seconds = await until_nothing_is_held(gateway)
            usd = sum(one.picousd for one in (await judge.tally(port)).values()) / 1e12
    name = "memory, 1 process" if store == "memory" else "Redis, 4 processes"
    return (
        f"| {clients} | {name} | {spenders.statuses[200]} | {cap_usd:.4f} | {usd:.6f} | {max(0.0, usd - cap_usd):.6f} "
        f"| {100 * usd / cap_usd:.2f} % | {held_seconds:.1f} s |"
    )


async def outage(server: RedisServer, action: str) -> str:
    """A row of the table: Redis hangs, and stays away."""
    with tempfile.TemporaryDirectory() as folder, judge_process() as port:
        async with test_store_outage.gateway_on(Path(folder), port, server, action) as gateway:
            callers = test_store_outage.Callers(gateway.port)
            before = await callers.ask(OUTAGE_REQUESTS)
            under_way = asyncio.create_task(callers.ask(OUTAGE_REQUESTS))
            await asyncio.sleep(0.1)
            server.pause()
            with contextlib.ExitStack() as stack:
                stack.callback(server.resume)
                first, during = await under_way, await callers.ask(OUTAGE_REQUESTS)
    cells = [_milliseconds(ends) for ends in (before, first, during)]
    return f"| {action} | {' | '.join(cells)} |"


def _milliseconds(ends: list[tuple[int, float]]) -> str:
    return " / ".join(f"{test_store_outage.percentile(ends, share) * 1000:.0f}" for share in (0.5, 0.99, 1.0))


async def main(at_once: tuple[int, ...]) -> None:
    print("| at once | store | served | cap USD | produced USD | over USD | of the cap | held for |")
    print("|---|---|---|---|---|---|---|---|")
    for clients in at_once:
        print(await overshoot("memory", clients), flush=True)
        with redis() as server:
            if server is not None:
                print(await overshoot(server.url, clients), flush=True)
    print("\nms at p50 / p99 / the longest, Redis stopped with SIGSTOP under load, 16 clients:\n")
    print("| on_store_failure | before | as it went | while it was away |\n|---|---|---|---|")
    for action in ("deny", "allow"):
        with redis() as server:
            if server is not None:
                print(await outage(server, action), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, nargs="+", default=AT_ONCE)
    asyncio.run(main(tuple(parser.parse_args().at_once)))
