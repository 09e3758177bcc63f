"""Rate limits on several processes are those of one, and a tenant that floods is not another tenant's trouble."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import judge
from tests.faults.client import connected
from tests.faults.gateway import Gateway, configuration, running
from tests.faults.judge import judge_process
from tests.faults.spenders import PATH, Mix, request
from tests.scale import FULL, scaled
from tests.servers import RedisServer

LIMIT = scaled(3000, 600)  # a minute
BURST_SECONDS = 1.0
SECONDS = scaled(120, 5)
CLIENTS = 32
LOUD, QUIET = "hg-faults-loud-0123456789", "hg-faults-quiet-0123456789"

pytestmark = pytest.mark.timeout(scaled(300, 60))


@pytest.fixture
def judge_port() -> Iterator[int]:
    with judge_process() as port:
        yield port


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def gateway_of(folder: Path, judge_port: int, store: str) -> Gateway:
    config = configuration(
        judge_port,
        folder / "data",
        store=store,
        tiers={
            "loud": {"models": ["*"], "requests_per_minute": LIMIT, "burst_seconds": BURST_SECONDS},
            "quiet": {"models": ["*"], "requests_per_minute": 1_000_000},
        },
        tenants={
            "loud": {"tier": "loud", "keys": [{"key": LOUD}]},
            "quiet": {"tier": "quiet", "keys": [{"key": QUIET}]},
        },
    )
    return Gateway(folder, config, workers=1 if store == "memory" else 4)


async def ask_until(port: int, key: str, ends_at: float, pause_seconds: float) -> list[tuple[int, float]]:
    """One client: status and seconds of each request; `pause_seconds` between two, whatever was answered."""
    ends: list[tuple[int, float]] = []
    chance, loop = random.Random(key), asyncio.get_running_loop()
    async with connected(port) as connection:
        while loop.time() < ends_at:
            body = request(f"{key}", chance, Mix(seconds=0.001))
            body["stream"], body["script"]["words"] = False, 1
            begin = loop.time()
            response = await connection.ask("POST", PATH, key, json.dumps(body).encode())
            ends.append((response.status, loop.time() - begin))
            await asyncio.sleep(pause_seconds)
    return ends


def test_several_processes_let_in_what_one_does(tmp_path: Path, judge_port: int, store: str) -> None:
    """A flood at ten times the limit: the bucket, and then the steady rate, are accepted; another tenant is served."""

    async def scenario() -> None:
        async with running(gateway_of(tmp_path, judge_port, store)) as gateway:
            ends_at = asyncio.get_running_loop().time() + SECONDS
            pause = CLIENTS * 60 / (10 * LIMIT)
            begin = time.time()
            flood = [ask_until(gateway.port, LOUD, ends_at, pause) for _ in range(CLIENTS)]
            *loud, quiet = await asyncio.gather(*flood, ask_until(gateway.port, QUIET, ends_at, 0.02))
            seconds = time.time() - begin
            came = len(await judge.times(judge_port)) - len(quiet)
            answered = [status for ends in loud for status, _ in ends]
            expected = LIMIT / 60 * (SECONDS + BURST_SECONDS)
            p99 = sorted(taken for _, taken in quiet)[int(0.99 * len(quiet))]
            print(
                f"\n{len(answered)} asked in {seconds:.1f} s, {came} let in, {expected:.0f} expected "
                f"({100 * (came / expected - 1):+.2f} %); the other tenant's p99 {p99 * 1000:.1f} ms"
            )
            assert came == answered.count(200)
            assert set(answered) == {200, 429}
            assert {status for status, _ in quiet} == {200}, "another tenant was refused"
            window = 1 + (seconds - SECONDS) / SECONDS
            assert came <= expected * window * 1.01 + 1
            assert came >= expected * (0.99 if FULL else 0.85)

    asyncio.run(scenario())
