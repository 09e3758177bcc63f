"""Numbers of several workers: /metrics never goes down, whoever is killed, and usage agrees with the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

from headgate.telemetry.page import PUBLISH_SECONDS
from tests.faults.client import Load, NoAnswer, ask, chat
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.scale import scaled

KILLS = scaled(10, 1)
BODIES = (chat(stream=False), chat(stream=True, events=12), chat(stream=False, status=500))


def test_numbers_of_workers_add_up(tmp_path: Path, upstream_port: int) -> None:
    async def scenario() -> None:
        gateway = Gateway(tmp_path, configuration(upstream_port, tmp_path / "data"), workers=2)
        async with running(gateway):
            shown = await metrics_while_workers_are_killed(gateway)
            assert shown == sorted(shown)
            counted = await settled(gateway)

            async def all_booked() -> bool:
                return len(await gateway.ledger()) >= counted

            await until(all_booked, "rows of killed workers do not arrive")
            before = await gateway.ledger_with(())
            assert shown[-1] <= counted <= len(before)
            print(f"\n{KILLS} workers killed: {len(before)} rows, {counted:.0f} in /metrics, read {len(shown)} times")

            async with Load(gateway.port, KEY, BODIES, clients=8) as load:
                await load.receive(100)
            rows = await gateway.ledger_with(response.id for response in load.responses)
            assert await settled(gateway) - counted == len(rows) - len(before)
            for total in (await total_usage(gateway, "/admin/usage"), await total_usage(gateway, "/v1/usage", KEY)):
                assert total == sums(rows)

    asyncio.run(scenario())


async def settled(gateway: Gateway) -> float:
    """The number of requests in /metrics once every worker has published what it counted."""
    shown = list[float]()
    while True:
        shown.append(await gateway.metric("headgate_requests_total"))
        if len(shown) >= 3 and len(set(shown[-3:])) == 1:
            return shown[-1]
        await asyncio.sleep(PUBLISH_SECONDS)


async def metrics_while_workers_are_killed(gateway: Gateway) -> list[float]:
    """What /metrics showed for the number of requests, again and again."""
    shown: list[float] = []

    async def watch() -> None:
        while True:
            with contextlib.suppress(NoAnswer):  # it was the victim who was asked
                shown.append(await gateway.metric("headgate_requests_total"))

    async with Load(gateway.port, KEY, BODIES, clients=8) as load:
        watching = asyncio.create_task(watch())
        for _ in range(KILLS):
            await load.receive(200)
            await kill_one(gateway)
            await load.receive(50)
        watching.cancel()
    await asyncio.wait([watching])
    return shown


async def kill_one(gateway: Gateway) -> None:
    """The worker that has served longest; return when there is another one in its place."""
    victim = gateway.serving_pids()[0]

    async def replaced() -> bool:
        return victim not in gateway.serving_pids() and await gateway.metric("headgate_workers") == 2

    os.kill(victim, signal.SIGKILL)
    await until(replaced, "the worker was not replaced")


async def total_usage(gateway: Gateway, path: str, key: str | None = None) -> tuple[int, int, int, Decimal]:
    response = await ask(gateway.port, "GET", path, key) if key else await gateway.admin(path)
    total = json.loads(response.body)["total"]
    return total["requests"], total["failed"], total["output_tokens"], Decimal(total["cost_usd"])


def sums(rows: list[dict[str, Any]]) -> tuple[int, int, int, Decimal]:
    """The same of rows of the ledger."""
    failed = sum(row["outcome"] == "failed" for row in rows)
    tokens = sum(row["output_tokens"] for row in rows)
    return len(rows), failed, tokens, sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))
