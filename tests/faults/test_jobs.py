"""A night of documents while everything dies: each ends once, is charged once, and makes the same tree of summaries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from headgate.policy.mapreduce import TreeRules, document_id, inputs_of, label, tree
from tests.brokers import RabbitServer
from tests.faults.client import ask
from tests.faults.documents import documents
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.faults.model import POISON, CountingModel, counting_model
from tests.faults.test_job_duplicates import OPEN
from tests.scale import scaled
from tests.servers import PostgresqlServer, RedisServer

DOCUMENTS = scaled(50_000, 2_500)
POISON_EVERY = 1_000
KILLS = scaled(40, 2)
PORTION = 500
CONCURRENCY = 16
IN_HAND = 2 * CONCURRENCY  # items of a worker at most: under way, or answered and not written yet
PROCESSES = scaled(4, 2)
SEED = 1
OPTIONS = {"model": "told", "summary_tokens": 400, "context_tokens": 16_000, "shard_documents": 100, "open": True}

pytestmark = [pytest.mark.timeout(scaled(3600, 600))]


class Server(Protocol):
    """Something that can be restarted."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


async def _json(gateway: Gateway, path: str, body: object = None) -> dict[str, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = await ask(gateway.port, "POST" if sent else "GET", path, KEY, sent)
    assert answer.status < 300, answer.body
    value: dict[str, Any] = json.loads(answer.body)
    return value


async def submit(gateway: Gateway) -> str:
    """All documents, in portions; some of them are poison. Nothing begins before all are there."""
    job_id = str((await _json(gateway, "/v1/jobs", {"kind": "summarize", "request": OPTIONS}))["id"])
    await _json(gateway, f"/v1/jobs/{job_id}/pause", {})
    texts = documents(DOCUMENTS)
    for first in range(1, DOCUMENTS + 1, PORTION):
        portion = [
            {"name": f"doc {number}", "text": f"{POISON} {number}" if number % POISON_EVERY == 1 else next(texts)}
            for number in range(first, min(first + PORTION, DOCUMENTS + 1))
        ]
        is_last = first + PORTION > DOCUMENTS
        await _json(gateway, f"/v1/jobs/{job_id}/documents", {"documents": portion, "first": first, "last": is_last})
    await _json(gateway, f"/v1/jobs/{job_id}/resume", {})
    return job_id


async def trouble(gateway: Gateway, job_id: str, restarted: list[Server]) -> int:
    """While the job runs: processes are killed, and servers away for a second; how many calls that may have cost."""
    chance = random.Random(SEED)
    lost = 0
    for number in range(KILLS):

        async def far_enough(share: float = (number + 1) / (KILLS + 1)) -> bool:
            return bool((await _json(gateway, f"/v1/jobs/{job_id}"))["progress"]["done"] >= share * DOCUMENTS)

        await until(far_enough, "the job stands still", seconds=scaled(600, 200))
        if len(gateway.serving_pids()) == 1:
            gateway.kill_all()
            await gateway.ended()
            await gateway.start()
        else:
            os.kill(chance.choice(gateway.serving_pids()), signal.SIGKILL)
            await gateway.until_ready()
        lost += IN_HAND
        for place, server in enumerate(restarted, start=1):
            if number == KILLS * place // (len(restarted) + 1):
                await asyncio.to_thread(server.stop)
                await asyncio.sleep(1)
                await asyncio.to_thread(server.start)
                lost += PROCESSES * IN_HAND
    return lost


async def assert_nothing_is_lost(gateway: Gateway, job_id: str, model: CountingModel, lost: int) -> None:
    async def over() -> bool:
        return (await _json(gateway, f"/v1/jobs/{job_id}"))["finished_at"] is not None

    await until(over, "the job does not end", seconds=scaled(2400, 300))
    poison = {number for number in range(1, DOCUMENTS + 1) if number % POISON_EVERY == 1}
    items = await _items(gateway, f"{job_id}-documents")
    assert [item["number"] for item in items] == list(range(1, DOCUMENTS + 1))
    dead = {item["number"]: item for item in items if item["state"] != "succeeded"}
    assert set(dead) == poison and {item["state"] for item in dead.values()} == {"dead"}
    assert all("times" in item["error"]["message"] for item in dead.values())
    await _assert_same_tree(gateway, job_id, poison)
    rows = await _rows(gateway, model)
    outcomes = Counter(row["outcome"] for row in rows)
    job = await _json(gateway, f"/v1/jobs/{job_id}")
    charged = job["progress"]["total"] - len(poison)
    duplicates = outcomes["duplicate"]
    print(f"\n{job_id}: {dict(model.calls)} calls, {dict(outcomes)} in the ledger, {len(rows)} rows, lost {lost}")
    assert outcomes["done"] == charged, "each item is charged once"
    assert sum(model.calls.values()) <= len(rows) and duplicates <= lost
    assert model.calls["answered"] <= charged + duplicates, "every call is in the ledger"


async def _assert_same_tree(gateway: Gateway, job_id: str, poison: set[int]) -> None:
    """The nodes, and what each is made of, are those of a run in which nothing dies."""
    result = await _json(gateway, f"/v1/jobs/{job_id}/result")
    rules = TreeRules(context_tokens=16_000, prompt_tokens=256, summary_tokens=400, shard_documents=100)
    assert result["fan_in"] == rules.fan_in
    waves = tree(DOCUMENTS, rules)
    places = {
        document_id(number): (f"{job_id}-documents", number)
        for number in range(1, DOCUMENTS + 1)
        if number not in poison
    }
    for number, wave in enumerate(waves, start=1):
        made = [node for node in wave if len(inputs_of(node, places)) > 1]
        expected = [label(node, inputs_of(node, places)) for node in made]
        items = await _items(gateway, f"{job_id}-wave-{number}")
        assert [item["label"] for item in items] == expected
        assert all(item["state"] == "succeeded" for item in items)
        places |= {node.id: (f"{job_id}-wave-{number}", at) for at, node in enumerate(made, start=1)}


async def _items(gateway: Gateway, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await _json(gateway, f"/v1/jobs/{job_id}/partial?limit=1000&after={after}")
        found += page["data"]
        after = page["next"]
    return found


async def _rows(gateway: Gateway, model: CountingModel) -> list[dict[str, Any]]:
    """The ledger, once every call is in it and it is known of all of them which are charged."""
    rows: list[dict[str, Any]] = []

    async def all_booked() -> bool:
        rows[:] = await gateway.ledger()
        is_settled = not any(row["outcome"] in OPEN for row in rows)
        return len(rows) >= sum(model.calls.values()) and is_settled

    try:
        await until(all_booked, "not every call is booked")
    except AssertionError as error:
        outcomes = Counter(row["outcome"] for row in rows)
        raise AssertionError(f"{error}: {dict(outcomes)} of {dict(model.calls)}") from None
    return rows


@contextlib.asynccontextmanager
async def night(
    folder: Path, database: str, queue: str, processes: int
) -> AsyncIterator[tuple[Gateway, CountingModel]]:
    async with counting_model(SEED) as model:
        config = configuration(
            model.port,
            folder / "data",
            server={"log": {"requests": "off"}},
            database=database,
            queue=queue,
            jobs={"lease_seconds": 2, "concurrency": CONCURRENCY, "retries": 5, "lost_workers": 99},
        )
        async with running(Gateway(folder, config, workers=processes)) as gateway:
            yield gateway, model


def test_one_process_on_sqlite(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with night(tmp_path, "sqlite", "sql", 1) as (gateway, model):
            job_id = await submit(gateway)
            lost = await trouble(gateway, job_id, [])
            await assert_nothing_is_lost(gateway, job_id, model, lost)

    asyncio.run(scenario())


@pytest.mark.server
def test_several_processes_on_postgresql_and_rabbitmq(
    tmp_path: Path, postgresql_server: PostgresqlServer, rabbitmq_server: RabbitServer
) -> None:
    async def scenario() -> None:
        url = postgresql_server.new_database()
        async with night(tmp_path, url, rabbitmq_server.url, PROCESSES) as (gateway, model):
            job_id = await submit(gateway)
            lost = await trouble(gateway, job_id, [rabbitmq_server, postgresql_server, rabbitmq_server])
            await assert_nothing_is_lost(gateway, job_id, model, lost)

    asyncio.run(scenario())


@pytest.mark.server
def test_several_processes_on_postgresql_and_redis(
    tmp_path: Path, postgresql_server: PostgresqlServer, redis_server: RedisServer
) -> None:
    async def scenario() -> None:
        url = postgresql_server.new_database()
        async with night(tmp_path, url, redis_server.url, PROCESSES) as (gateway, model):
            job_id = await submit(gateway)
            lost = await trouble(gateway, job_id, [redis_server, postgresql_server, redis_server])
            await assert_nothing_is_lost(gateway, job_id, model, lost)

    asyncio.run(scenario())
