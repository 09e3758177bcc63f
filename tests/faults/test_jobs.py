"""Jobs while workers die: every item ends exactly once, and what was paid for is in the ledger."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import ask
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.scale import scaled
from tests.servers import PostgresqlServer

ITEMS = scaled(50_000, 2_500)
KILLS = scaled(40, 2)
POISON = frozenset(range(501, ITEMS + 1, 1000))  # items that can only fail
RETRIES = 2
CONCURRENCY = 16
SEED = 1

pytestmark = [pytest.mark.timeout(scaled(1800, 110))]


def config(upstream_port: int, folder: Path, database: str) -> dict[str, Any]:
    quick = {"ttft_seconds": {"median": 0.01, "p99": 0.05}, "itl_seconds": {"median": 0, "p99": 0}}
    faulty = {**quick, "faults": {"server_error": 0.04, "cut": 0.01}}
    broken = {**quick, "faults": {"server_error": 1}}
    never = {"failures": 1_000_000, "minimum_requests": 1_000_000}
    price = {"input": 1, "output": 2}
    return configuration(
        upstream_port,
        folder / "data",
        server={"log": {"requests": "off"}},
        database=database,
        providers={"faulty": {"kind": "sim", "sim": faulty}, "broken": {"kind": "sim", "sim": broken}},
        models={
            name: {
                "price": price, "retries": 0, "breaker": never, "deployments": [{"provider": name, "model": "sim"}],
            }
            for name in ("faulty", "broken")
        },
        jobs={"lease_seconds": 2, "concurrency": CONCURRENCY, "retries": RETRIES, "lost_workers": 50},
    )  # fmt: skip


async def _json(gateway: Gateway, path: str, body: bytes = b"") -> dict[str, Any]:
    answer = await ask(gateway.port, "POST" if body else "GET", path, KEY, body)
    assert answer.status < 300, answer.body
    value: dict[str, Any] = json.loads(answer.body)
    return value


async def submit(gateway: Gateway) -> str:
    requests = [
        {
            "model": "broken" if number in POISON else "faulty",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": f"item {number}"}],
        }
        for number in range(1, ITEMS + 1)
    ]
    return str((await _json(gateway, "/v1/jobs", json.dumps({"requests": requests}).encode()))["id"])


async def kill_now_and_then(gateway: Gateway, job_id: str, whole: bool) -> None:
    """As long as the job runs: a worker, or the whole process, which is started again."""
    chance = random.Random(SEED)
    for number in range(KILLS):
        share = (number + 1) / (KILLS + 1)

        async def far_enough(share: float = share) -> bool:
            return bool((await _json(gateway, f"/v1/jobs/{job_id}"))["progress"]["done"] >= share * ITEMS)

        await until(far_enough, scaled(600, 60), "the job stands still")
        if whole:
            gateway.kill_all()
            await gateway.ended()
            await gateway.start()
        else:
            os.kill(chance.choice(gateway.serving_pids()), signal.SIGKILL)
            await gateway.until_ready()


async def assert_all_ended_once(gateway: Gateway, job_id: str) -> None:
    async def over() -> bool:
        return (await _json(gateway, f"/v1/jobs/{job_id}"))["finished_at"] is not None

    await until(over, scaled(1200, 90), "the job does not end")
    seen: Counter[int] = Counter()
    dead: set[int] = set()
    after: int | None = 0
    while after is not None:
        page = await _json(gateway, f"/v1/jobs/{job_id}/partial?limit=1000&after={after}")
        seen.update(item["number"] for item in page["data"])
        for item in page["data"]:
            assert (item["result"] is not None) == (item["state"] == "succeeded")
            if item["state"] == "dead":
                assert f"it failed {RETRIES + 1} times" in item["error"]["message"]
                dead.add(item["number"])
        after = page["next"]
    job = await _json(gateway, f"/v1/jobs/{job_id}")
    assert job["items"] == {"succeeded": ITEMS - len(dead), "dead": len(dead)} and job["state"] == "dead"
    assert dead >= POISON and len(dead - POISON) <= ITEMS // 50  # the simulated model may be that unlucky
    assert len(seen) == ITEMS and set(seen.values()) == {1}
    answered = ITEMS - len(dead)
    await until(lambda: _is_booked(gateway, job_id, answered), 30, "the job's cost is not that of its rows")
    done = sum(row["outcome"] == "done" for row in await gateway.ledger())
    assert done <= answered + KILLS * CONCURRENCY  # what was under way at a kill, twice


async def _is_booked(gateway: Gateway, job_id: str, answered: int) -> bool:
    """Every answer has a row, which takes up to a second, and the job costs what its rows do."""
    rows, job = await gateway.ledger(), await _json(gateway, f"/v1/jobs/{job_id}")
    spent = sum(round(float(row["cost_usd"]) * 10**9) for row in rows)
    done = sum(row["outcome"] == "done" for row in rows)
    return done >= answered and round(float(job["cost_usd"]) * 10**9) == spent


def test_one_process_on_sqlite(tmp_path: Path, upstream_port: int) -> None:
    async def scenario() -> None:
        async with running(Gateway(tmp_path, config(upstream_port, tmp_path, "sqlite"))) as gateway:
            job_id = await submit(gateway)
            await kill_now_and_then(gateway, job_id, whole=True)
            await assert_all_ended_once(gateway, job_id)

    asyncio.run(scenario())


@pytest.mark.server
def test_several_processes_on_postgresql(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        url = postgresql_server.new_database()
        async with running(Gateway(tmp_path, config(upstream_port, tmp_path, url), workers=scaled(4, 2))) as gateway:
            job_id = await submit(gateway)
            await kill_now_and_then(gateway, job_id, whole=False)
            await assert_all_ended_once(gateway, job_id)

    asyncio.run(scenario())
