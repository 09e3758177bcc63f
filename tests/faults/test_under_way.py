"""kill -9 with requests under way: each one that a provider was asked for is in the ledger, at least provisionally."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.client import Load, chat
from tests.faults.gateway import KEY, Gateway, assert_cut_are_charged, assert_exactly_once, configuration, running
from tests.faults.test_kill import CLIENTS, SEED, Fault, kill_a_worker, kill_all_and_start_again
from tests.scale import scaled
from tests.servers import RedisServer

KILLS = scaled(20, 2)
BODIES = (
    chat(stream=True, events=40, gap_seconds=0.02),
    chat(stream=False, gap_seconds=0.5),
    chat(stream=True, events=12),
)

pytestmark = pytest.mark.timeout(scaled(600, 300))


@pytest.mark.parametrize(
    ("workers", "fault"),
    [
        pytest.param(1, kill_all_and_start_again, id="one-process"),
        pytest.param(2, kill_a_worker, id="a-worker", marks=pytest.mark.server),
    ],
)
def test_what_was_cut_is_charged(
    request: pytest.FixtureRequest, tmp_path: Path, upstream_port: int, workers: int, fault: Fault
) -> None:
    store = "memory"
    if workers > 1:
        server: RedisServer = request.getfixturevalue("redis_server")
        store = server.url

    async def scenario() -> None:
        chance = random.Random(SEED)
        tiers = {"all": {"models": ["*"], "budgets": {"tenant_month": 1000}}}  # money is held only where it is counted
        config = configuration(upstream_port, tmp_path / "data", tiers=tiers, store=store)
        gateway = Gateway(tmp_path, config, workers=workers)
        async with running(gateway), Load(gateway.port, KEY, BODIES, CLIENTS) as load:
            for _ in range(KILLS):
                await load.receive(chance.randint(20, 60))
                await fault(gateway, load, chance)
            await load.stop()
            rows = await gateway.ledger_with(response.id for response in load.responses)
            assert_exactly_once(rows, load.complete)
            # A store that was too slow, as may be on a busy machine, has them refused before anybody is asked.
            cut = [one for one in load.failures if one.code != "store_unavailable"]
            charged = assert_cut_are_charged(rows, cut)
            assert 0 < len(charged) <= KILLS * CLIENTS, "at most what was under way at the kills"
            print(f"\n{KILLS} kills, {len(load.failures)} responses cut, {len(charged)} provisional charges")

    asyncio.run(scenario())
