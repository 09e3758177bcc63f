"""Jobs whose processes are killed, beside a provider that counts what it was asked: all of it is in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import ask
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.faults.upstream import PROMPT_TOKENS, WHOLE_TOKENS, message
from tests.providers.loopback import Peer, serving
from tests.scale import scaled

ITEMS = scaled(4_000, 400)
KILLS = scaled(20, 2)
ANSWER_SECONDS = 0.02
OPEN = ("provisional", "disconnected")  # outcomes of calls that are duplicates as soon as they are known to be
USAGE = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": WHOLE_TOKENS, "total_tokens": 18}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "counted"}, "finish_reason": "stop"}
ANSWER = message(200, {"id": "c", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE})

pytestmark = [pytest.mark.timeout(scaled(600, 300))]


@contextlib.asynccontextmanager
async def counting_upstream() -> AsyncIterator[tuple[int, Counter[str]]]:
    """Its port, and how often it was asked each question."""
    asked: Counter[str] = Counter()

    async def answer(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            asked[json.loads(body)["messages"][0]["content"]] += 1
            await asyncio.sleep(ANSWER_SECONDS)
            await peer.send(ANSWER)

    async with serving(answer) as server:
        yield server.port, asked


async def _json(gateway: Gateway, path: str, body: bytes = b"") -> dict[str, Any]:
    answer = await ask(gateway.port, "POST" if body else "GET", path, KEY, body)
    assert answer.status < 300, answer.body
    value: dict[str, Any] = json.loads(answer.body)
    return value


@pytest.mark.parametrize("limited", [True, False], ids=["with a budget", "without limits"])
def test_what_was_asked_twice_is_booked_as_duplicate(tmp_path: Path, limited: bool) -> None:
    async def scenario() -> None:
        async with counting_upstream() as (port, asked):
            budgets = {"budgets": {"tenant_month": 1000}} if limited else {}
            config = configuration(
                port, tmp_path / "data", jobs={"lease_seconds": 1, "concurrency": 16, "lost_workers": 99},
                tiers={"all": {"models": ["*"], **budgets}},
            )  # fmt: skip
            async with running(Gateway(tmp_path, config)) as gateway:
                job = await _submit_and_kill(gateway)
                rows = await _rows(gateway, asked)
                outcomes = Counter(row["outcome"] for row in rows)
                assert set(outcomes) <= {"done", "duplicate"} and outcomes["done"] == ITEMS == len(asked)
                # A call that its process was killed with on the way to the provider is charged as if it had arrived.
                again = sum(asked.values()) - ITEMS
                assert again <= outcomes["duplicate"] <= again + KILLS * 16 and again <= KILLS * 2 * 16
                cost = {outcome: Decimal(0) for outcome in outcomes}
                for row in rows:
                    cost[row["outcome"]] += Decimal(row["cost_usd"])
                told = await _json(gateway, f"/v1/jobs/{job}")
                assert Decimal(told["cost_usd"]) == cost["done"] == ITEMS * Decimal("0.000025")
                assert Decimal(told["duplicate_cost_usd"]) == cost["duplicate"] > 0
                usage = (await _json(gateway, "/v1/usage"))["total"]
                assert Decimal(usage["cost_usd"]) == cost["done"]
                assert Decimal(usage["duplicate_cost_usd"]) == cost["duplicate"]
                if limited:
                    await until(partial(_counted, gateway, cost["done"]), "the counters do not come to the ledger's")

    asyncio.run(scenario())


async def _counted(gateway: Gateway, usd: Decimal) -> bool:
    (limit,) = (await _json(gateway, "/v1/usage"))["limits"]
    return Decimal(limit["used"]) == usd


async def _submit_and_kill(gateway: Gateway) -> str:
    messages = [[{"role": "user", "content": f"item {number}"}] for number in range(ITEMS)]
    requests = [{"model": "told", "max_tokens": 50, "messages": each} for each in messages]
    job = str((await _json(gateway, "/v1/jobs", json.dumps({"requests": requests}).encode()))["id"])
    for number in range(KILLS):

        async def far_enough(share: float = (number + 1) / (KILLS + 1)) -> bool:
            return bool((await _json(gateway, f"/v1/jobs/{job}"))["progress"]["done"] >= share * ITEMS)

        await until(far_enough, "the job stands still")
        gateway.kill_all()
        await gateway.ended()
        await gateway.start()

    async def is_over() -> bool:
        return bool((await _json(gateway, f"/v1/jobs/{job}"))["state"] == "succeeded")

    await until(is_over, "the job does not end", seconds=scaled(300, 200))
    return job


async def _rows(gateway: Gateway, asked: Counter[str]) -> list[dict[str, Any]]:
    """The ledger, once everything that was asked is in it and it is known of all of it which is charged.

    A call is left (`disconnected`) where a process that stood still lost its leases: others do it again.
    """

    async def all_booked() -> bool:
        rows = await gateway.ledger_with(())
        return len(rows) >= asked.total() and not any(row["outcome"] in OPEN for row in rows)

    await until(all_booked, "what was asked is not booked")
    return await gateway.ledger()
