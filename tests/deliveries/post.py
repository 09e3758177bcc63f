"""A place where deliveries are made to real servers on loopback, on a clock that a test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headgate.assembly.delivering import Deliveries
from headgate.config.load import parse
from headgate.deliveries.desk import Wanted
from headgate.deliveries.senders import OpenTopic
from headgate.delivery_types import Delivery
from headgate.job_types import ItemState, Job, NewJob, Owner
from headgate.queue_errors import QueueUnavailable
from headgate.types import Caller, Tier
from tests.contract.test_jobs import claim, end
from tests.contract.working import Desk, on_database
from tests.providers.loopback import Server
from tests.stores.tables import with_tables

CALLER = Caller("key_1", "acme", "alice", Tier("pro", frozenset("*")))
CONFIG = """
jobs:
  public_url: https://llm.example.com/
  webhooks: {allow_networks: [127.0.0.0/8]}
"""


class Topics:
    """Topics that remember what was sent; `down` ones refuse."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, str]] = []
        self.down: set[str] = set()

    def open(self, address: str) -> Topic:
        return Topic(self, address)


class Topic:
    def __init__(self, topics: Topics, address: str) -> None:
        self._topics, self._address = topics, address

    async def send(self, body: bytes, dedupe_id: str) -> None:
        if self._address in self._topics.down:
            raise QueueUnavailable("The broker is away.")
        self._topics.sent.append((self._address, body, dedupe_id))

    async def aclose(self) -> None:
        return None


class Post:
    """Deliveries over a real database."""

    def __init__(self, desk: Desk, config: str, open_topic: OpenTopic | None) -> None:
        self.desk = desk
        loaded = parse(config.encode(), "headgate.yaml", {}).config
        self.deliveries = Deliveries(desk.database, desk.jobs, desk.clock, lambda: loaded, open_topic)
        self.outbox = self.deliveries.desk.outbox

    async def submit(self, number: int = 1, requests: int = 1, tenant: str = "acme", **told: Any) -> Job:
        targets = await self.deliveries.desk.targets(CALLER, Wanted(**told))
        bodies = tuple(b"{}" for _ in range(requests))
        owner = Owner(tenant, "key_1", "alice")
        new = NewJob(f"job_{number:03}", owner, "chat", bodies, self.desk.clock.now(), targets=targets)
        return (await self.desk.jobs.submit(new))[0]

    async def do(self, state: ItemState = ItemState.SUCCEEDED, result: bytes = b"{}", **more: Any) -> None:
        leases = await claim(self.desk, most=50)
        await self.desk.work.finish("w1", [end(lease, state, result=result, **more) for lease in leases])
        self.desk.clock.time += 2.0

    async def of(self, job_id: str = "job_001") -> list[Delivery]:
        return await self.outbox.of_job(job_id, 100)


@asynccontextmanager
async def post(folder: Path, config: str = CONFIG, open_topic: OpenTopic | None = None) -> AsyncIterator[Post]:
    async with on_database("sqlite", with_tables(folder))() as desk:
        made = Post(desk, config, open_topic)
        try:
            yield made
        finally:
            await made.deliveries.drain(0.0)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await scenario()

    asyncio.run(bounded())


def received(server: Server) -> list[tuple[str, bytes]]:
    return [request for peer in server.peers for request in peer.requests]
