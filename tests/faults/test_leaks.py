"""After many requests of every kind, the clients gone, a process is what it was before: tasks, descriptors, memory."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from pathlib import Path

import pytest

from tests.faults.client import Load, chat, connected
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.scale import scaled

REQUESTS = scaled(50_000, 2_000)
WARM_UP = scaled(5_000, 500)
CLIENTS = 16
LEAVERS = 4
MAX_GROWTH_BYTES = 30 * 2**20
MIXED = (
    chat(stream=False, gap_seconds=0),
    chat(stream=True, events=4, gap_seconds=0),
    chat(stream=True, events=12, gap_seconds=0.001),
    chat(stream=True, events=8, cut_after=3, gap_seconds=0),
    chat(stream=False, status=500),
    chat(stream=True, status=429),
    b'{"model": "unknown", "messages": []}',
    b"{",
)
SEED = 1

pytestmark = pytest.mark.timeout(scaled(900, 300))


async def leave_early(gateway: Gateway, until_done: asyncio.Event) -> int:
    """Clients that leave in the middle of a stream, one after the other."""
    chance, left = random.Random(SEED), 0
    while not until_done.is_set():
        async with connected(gateway.port) as connection:
            await connection.send("POST", "/v1/chat/completions", KEY, chat(stream=True, events=1000))
            await connection.head()
            chunks = connection.chunks()
            for _ in range(chance.randint(0, 5)):
                await anext(chunks)
        left += 1
    return left


async def burden(gateway: Gateway, requests: int) -> int:
    """Return how many requests there were, when all clients are gone."""
    done = asyncio.Event()
    async with asyncio.TaskGroup() as leavers:
        tasks = [leavers.create_task(leave_early(gateway, done)) for _ in range(LEAVERS)]
        async with Load(gateway.port, KEY, MIXED, CLIENTS) as load:
            await load.receive(requests)
        done.set()
    assert load.unanswered == 0
    return len(load.responses) + sum(task.result() for task in tasks)


class State:
    """Of the process at rest."""

    def __init__(self, gateway: Gateway, tasks: str) -> None:
        status = Path(f"/proc/{gateway.pid}/status").read_text()
        self.resident_bytes = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024
        self.descriptors = len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
        self.tasks = tasks


async def at_rest(gateway: Gateway) -> State:
    """Once nothing is in flight and everything is in the ledger."""

    async def idle() -> bool:
        names = ("headgate_in_flight", "headgate_tokens_in_flight", "headgate_journal_backlog_bytes")
        return [await gateway.metric(name) for name in names] == [0, 0, 0]

    async def told() -> bool:
        return len(tasks_told(gateway)) == before + 1

    await until(idle, "requests are still in flight")
    before = len(tasks_told(gateway))
    gateway.signal(signal.SIGUSR1)
    await until(told, "nothing was told")
    return State(gateway, tasks_told(gateway)[-1])


def tasks_told(gateway: Gateway) -> list[str]:
    return re.findall(r"tasks: ([^\"]*)", gateway.log())


def test_nothing_is_left_when_all_clients_are_gone(tmp_path: Path, upstream_port: int) -> None:
    async def scenario() -> None:
        config = configuration(upstream_port, tmp_path / "data", server={"log": {"requests": "off"}})
        gateway = Gateway(tmp_path, config, serve=("-m", "tests.faults.watched"))
        async with running(gateway):
            await burden(gateway, WARM_UP)
            before = await at_rest(gateway)
            requests = await burden(gateway, REQUESTS)
            after = await at_rest(gateway)
            grown = after.resident_bytes - before.resident_bytes
            print(
                f"\n{requests} requests: resident {before.resident_bytes / 2**20:.1f} -> "
                f"{after.resident_bytes / 2**20:.1f} MiB, {after.descriptors} descriptors\n{after.tasks}"
            )
            assert after.tasks == before.tasks
            assert after.descriptors <= before.descriptors + CLIENTS  # idle upstream connections come and go
            assert grown < MAX_GROWTH_BYTES
            gateway.signal(signal.SIGTERM)
            assert await gateway.ended() == 0
            assert "Traceback" not in gateway.log() and "never retrieved" not in gateway.log()

    asyncio.run(scenario())
