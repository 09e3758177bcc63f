"""kill -9 under load: a response that a client received whole is in the ledger, exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.client import Load, chat
from tests.faults.gateway import KEY, Gateway, assert_exactly_once, configuration, running, until
from tests.scale import scaled

KILLS = scaled(20, 1)
CLIENTS = 16
BODIES = (chat(stream=False), chat(stream=True, events=12), chat(stream=True, events=1, gap_seconds=0))
SEED = 1

Fault = Callable[[Gateway, Load, random.Random], Awaitable[None]]

pytestmark = pytest.mark.timeout(scaled(600, 300))


async def kill_all_and_start_again(gateway: Gateway, load: Load, chance: random.Random) -> None:
    load.open.clear()
    gateway.kill_all()
    assert await gateway.ended() == -signal.SIGKILL
    await gateway.start()
    load.open.set()


async def kill_a_worker(gateway: Gateway, load: Load, chance: random.Random) -> None:
    """The other one goes on, and the supervisor starts a new one."""
    victim = chance.choice(gateway.serving_pids())

    async def replaced() -> bool:
        pids = gateway.serving_pids()
        return victim not in pids and len(pids) == 2 and await gateway.metric("headgate_workers") == 2

    os.kill(victim, signal.SIGKILL)
    await load.receive(20)
    await until(replaced, "the worker was not replaced")


@pytest.mark.parametrize(
    ("workers", "fault"),
    [
        pytest.param(1, kill_all_and_start_again, id="one-process"),
        pytest.param(2, kill_a_worker, id="a-worker"),
        pytest.param(2, kill_all_and_start_again, id="supervisor-and-workers"),
    ],
)
def test_what_was_received_whole_is_in_the_ledger(
    tmp_path: Path, upstream_port: int, workers: int, fault: Fault
) -> None:
    async def scenario() -> None:
        chance = random.Random(SEED)
        gateway = Gateway(tmp_path, configuration(upstream_port, tmp_path / "data"), workers=workers)
        async with running(gateway), Load(gateway.port, KEY, BODIES, CLIENTS) as load:
            for _ in range(KILLS):
                await load.receive(chance.randint(50, 400))
                await fault(gateway, load, chance)
            await load.receive(50)
            await load.stop()
            await judge(gateway, load, tmp_path / "data" / "headgate.db")

    asyncio.run(scenario())


async def judge(gateway: Gateway, load: Load, database: Path) -> None:
    """After the last kill: nothing is missing, nothing twice, nothing torn."""
    assert {response.status for response in load.responses} == {200}
    rows = await gateway.ledger_with(response.id for response in load.complete)
    assert_exactly_once(rows, load.complete)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(
        f"\n{KILLS} kills: {len(load.complete)} responses received whole, none missing, none twice; "
        f"{len(load.failures)} cut, {len(rows)} rows, longest wait for an answer {load.longest_wait_seconds:.2f} s"
    )
