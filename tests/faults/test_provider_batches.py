"""Batches at providers that have a bad day, from processes that are killed at every step: each item ends once and is
charged once, and every line that a provider did is in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.batch_vendors import Clerk, Trouble, two_vendors
from tests.faults.client import HOST, ask
from tests.faults.gateway import KEY, Gateway, configuration, until
from tests.faults.test_job_duplicates import OPEN
from tests.scale import scaled

KILLS = scaled(40, 3)
ITEMS = scaled(40, 12)  # of a job
PROCESSES = scaled(2, 1)
SEED = 3
# Before it is handed over, between that and the record, while it is asked for, between the results and the record.
MOMENTS = ("accepted", "fetched", "poll", "upload", "before")

pytestmark = [pytest.mark.timeout(scaled(1200, 300))]


class Killer:
    """Kills the process that asks, at the moment it is told to; those that run are in `pids`, by name."""

    def __init__(self) -> None:
        self.pids: dict[str, Callable[[], int]] = {}
        self.moment, self.killed = "", ""

    def __call__(self, moment: str, process: str) -> bool:
        if moment != self.moment:
            return False
        self.moment, self.killed = "", process
        os.kill(self.pids[process](), signal.SIGKILL)
        return True


def _config(ports: dict[str, int], data_dir: Path, process: str) -> dict[str, Any]:
    batch = {"use": "always", "poll_seconds": 0.1, "max_items": 20}
    price = {"input": 1, "output": 2}
    providers, models = {}, {}
    for kind, port in ports.items():
        base_url = f"http://{HOST}:{port}" + ("/v1" if kind == "openai" else "")
        headers = {"x-process": process}
        providers[kind] = {"kind": kind, "base_url": base_url, "api_key": "none", "headers": headers}
        models[kind] = {"deployments": [{"provider": kind, "model": "theirs", "price": price}], "batch": batch}
    jobs = {"lease_seconds": 2, "lost_workers": 99}
    budgets = {"budgets": {"tenant_month": 1000}} if PROCESSES == 1 else {}  # several would need Redis to count
    tiers = {"all": {"models": ["*"], **budgets}}
    return configuration(1, data_dir, providers=providers, models=models, jobs=jobs, tiers=tiers)


@contextlib.asynccontextmanager
async def _office(folder: Path, ports: dict[str, int], killer: Killer) -> AsyncIterator[dict[str, Gateway]]:
    """A gateway, and at full size a process that only works beside it."""
    async with contextlib.AsyncExitStack() as stack:
        processes = {}
        for name in ("serve", "work")[:PROCESSES]:
            (folder / name).mkdir()
            config = _config(ports, folder / "data", name)
            gateway = Gateway(folder / name, config, serve=("-m", "tests.faults.hurried", name))
            stack.push_async_callback(gateway.close)
            await gateway.start()
            processes[name] = gateway
            killer.pids[name] = lambda gateway=gateway: gateway.pid
        yield processes


async def _json(gateway: Gateway, path: str, body: object = None) -> dict[str, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = await ask(gateway.port, "POST" if sent else "GET", path, KEY, sent)
    assert answer.status < 300, answer.body
    value: dict[str, Any] = json.loads(answer.body)
    return value


async def _submit(gateway: Gateway, model: str, number: int) -> str:
    """One line in it the provider calls wrong, and one it fails at, which goes better live."""
    asked = [f"{model} {number} {item}" for item in range(ITEMS - 2)] + ["fail 400", "fail 500"]
    requests = [{"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": one}]} for one in asked]
    body = {"requests": requests, "deadline_at": time.time() + 86_400}
    return str((await _json(gateway, "/v1/jobs", body))["id"])


def test_batches_of_processes_that_are_killed_are_done_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        killer = Killer()
        async with two_vendors(SEED, killer) as (vendors, trouble):
            ports = {kind: port for kind, (port, _) in vendors.items()}
            clerks = [clerk for _, clerk in vendors.values()]
            async with _office(tmp_path, ports, killer) as processes:
                jobs = await _kill_and_submit(processes, list(ports), killer)
                gateway = processes["serve"]
                await _until_over(gateway, jobs)
                items = await _items(gateway, jobs)
                rows = await _rows(gateway, clerks, trouble, sum(item["state"] == "succeeded" for item in items))
                _assert_right(items, rows, clerks, trouble)
                await _assert_sums(gateway, jobs, rows)

    asyncio.run(scenario())


async def _kill_and_submit(processes: dict[str, Gateway], models: list[str], killer: Killer) -> list[str]:
    jobs, moments = list[str](), itertools.cycle(MOMENTS)
    for number in range(KILLS):
        jobs += [await _submit(processes["serve"], model, number) for model in models]
        killer.killed, killer.moment = "", next(moments)

        async def is_killed() -> bool:
            return bool(killer.killed)

        await until(is_killed, f"nobody came to '{killer.moment}'")
        gateway = processes[killer.killed]
        await gateway.ended()
        await gateway.start()
    return jobs


async def _until_over(gateway: Gateway, jobs: list[str]) -> None:
    async def over() -> bool:
        return all([(await _json(gateway, f"/v1/jobs/{job}"))["finished_at"] for job in jobs])

    await until(over, "the jobs do not end", seconds=scaled(300, 200))


async def _items(gateway: Gateway, jobs: list[str]) -> list[dict[str, Any]]:
    return [item for job in jobs for item in (await _json(gateway, f"/v1/jobs/{job}/partial?limit=1000"))["data"]]


async def _rows(gateway: Gateway, clerks: list[Clerk], trouble: Trouble, succeeded: int) -> list[dict[str, Any]]:
    """The ledger, once what the providers did is in it, and what was done twice is known as such."""

    found: dict[str, object] = {}

    async def all_booked() -> bool:
        rows = await gateway.ledger()
        outcomes = Counter(row["outcome"] for row in rows)
        lines = {line for clerk in clerks for line in clerk.done()}
        live = [row for row in rows if row["outcome"] in ("done", "duplicate") and row["id"] not in lines]
        missing = lines - {row["id"] for row in rows}
        answered = trouble.answered_live.total()
        found.update(outcomes, lines=len(lines), missing_lines=len(missing), live=len(live), answered_live=answered)
        is_settled = not any(outcomes[each] for each in OPEN) and outcomes["done"] <= succeeded
        return not missing and len(live) >= answered and is_settled and all(clerk.is_over for clerk in clerks)

    try:
        await until(all_booked, "what the providers did is not booked, or not as what it is")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None
    return await gateway.ledger()


def _assert_right(
    items: list[dict[str, Any]], rows: list[dict[str, Any]], clerks: list[Clerk], trouble: Trouble
) -> None:
    states = Counter(item["state"] for item in items)
    jobs = len(items) // ITEMS
    assert states == {"succeeded": jobs * (ITEMS - 1), "failed": jobs}, states
    lines = Counter[str]()
    for clerk in clerks:
        lines += clerk.done()
    assert max(lines.values()) == 1, "no line was handed over twice under one id"
    outcomes = Counter(row["outcome"] for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert outcomes["done"] == states["succeeded"], "each item is charged once"
    paid = lines.total() + trouble.answered_live.total()
    print(f"\n{jobs} jobs, {lines.total()} lines and {trouble.answered_live.total()} live, {dict(outcomes)},"
          f" {dict(trouble.happened)}")  # fmt: skip
    # What a killed process had on its way to the provider is charged as if it had arrived.
    assert paid <= outcomes["done"] + outcomes["duplicate"] <= paid + KILLS * 32
    assert {row["id"] for row in rows if row["outcome"] in ("done", "duplicate")} >= set(lines)


async def _assert_sums(gateway: Gateway, jobs: list[str], rows: list[dict[str, Any]]) -> None:
    told = [await _json(gateway, f"/v1/jobs/{job}") for job in jobs]
    for outcome, name in (("done", "cost_usd"), ("duplicate", "duplicate_cost_usd")):
        booked = sum((Decimal(row["cost_usd"]) for row in rows if row["outcome"] == outcome), Decimal(0))
        assert sum((Decimal(one[name]) for one in told), Decimal(0)) == booked
    charged = sum((Decimal(one["cost_usd"]) for one in told), Decimal(0))
    assert Decimal((await _json(gateway, "/v1/usage"))["total"]["cost_usd"]) == charged

    async def counted() -> bool:
        return all(Decimal(limit["used"]) == charged for limit in (await _json(gateway, "/v1/usage"))["limits"])

    await until(counted, "the counters do not come to the ledger's")
