"""Changes under load: a new configuration loses no request, a broken one changes nothing, a revoked key is refused
everywhere."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.faults.client import Load, chat
from tests.faults.gateway import (
    KEY,
    Gateway,
    assert_exactly_once,
    configuration,
    connected_to_each_worker,
    until,
)
from tests.scale import scaled

RELOADS = scaled(40, 2)
BODIES = (chat(stream=False), chat(stream=True, events=12))
NO_SUCH_PROVIDER = {"small": {"deployments": [{"provider": "nobody", "model": "told"}]}}


def priced(config: dict[str, Any], price: int) -> dict[str, Any]:
    """The same configuration with another price, and so with a deployment that is another one."""
    deployment = {**config["models"]["told"]["deployments"][0], "price": {"input": price, "output": price}}
    return {**config, "models": {"told": {**config["models"]["told"], "deployments": [deployment]}}}


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-workers"])
def gateway(
    request: pytest.FixtureRequest, upstream_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One for all tests of this module."""
    folder = tmp_path_factory.mktemp("gateway")
    gateway = Gateway(folder, configuration(upstream_port, folder / "data"), workers=request.param)
    asyncio.run(gateway.start())
    yield gateway
    asyncio.run(gateway.close())


@pytest.fixture
def config(gateway: Gateway) -> dict[str, Any]:
    """The configuration that the gateway was started with."""
    return gateway.first_config


def test_a_reload_loses_no_request(gateway: Gateway, config: dict[str, Any]) -> None:
    async def scenario() -> None:
        hashes = {await config_hash(gateway)}

        async def another() -> bool:
            """Of two workers one may have it before the other: what was seen is what is remembered."""
            seen = len(hashes)
            hashes.add(await config_hash(gateway))
            return len(hashes) > seen

        async with Load(gateway.port, KEY, BODIES, clients=8) as load:
            await load.receive(20)
            for number in range(RELOADS):
                gateway.configure(priced(config, price=number + 3))
                gateway.signal(signal.SIGHUP)
                await until(another, "SIGHUP had no effect")
                await load.receive(50)
        assert load.failures == [] and load.unanswered == 0
        rows = await gateway.ledger_with(response.id for response in load.complete)
        assert_exactly_once(rows, load.complete)
        assert {row["config_hash"] for row in rows} == hashes
        print(f"\n{RELOADS} reloads: {len(load.complete)} requests, none lost, under {len(hashes)} configurations")

    asyncio.run(scenario())


def test_a_broken_configuration_changes_nothing_and_says_so(gateway: Gateway, config: dict[str, Any]) -> None:
    async def scenario() -> None:
        before = await config_hash(gateway)
        async with Load(gateway.port, KEY, BODIES, clients=8) as load:
            gateway.configure({**config, "models": NO_SUCH_PROVIDER})
            gateway.signal(signal.SIGHUP)
            await until(partial(said, gateway, "the old one stays in use"), "nothing was said")
            assert "nobody" in gateway.log()
            answer = await gateway.admin("/admin/reload", "POST")
            assert (answer.status, answer.code) == (400, "config_invalid") and b"nobody" in answer.body
            await load.receive(50)
        assert load.failures == [] and load.unanswered == 0
        assert await config_hash(gateway) == before

    asyncio.run(scenario())


def test_reloading_through_one_worker_reaches_all(gateway: Gateway, config: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with connected_to_each_worker(gateway) as connections:
            gateway.configure(priced(config, price=2))
            reloaded = json.loads((await gateway.admin("/admin/reload", "POST")).body)["hash"]
            ids = {(await one.ask("POST", "/v1/chat/completions", KEY, BODIES[0])).id for one in connections}
            rows = await gateway.ledger_with(ids)
            assert {row["config_hash"] for row in rows if row["id"] in ids} == {reloaded}

    asyncio.run(scenario())


def test_a_revoked_key_stops_working_in_every_worker(gateway: Gateway) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with connected_to_each_worker(gateway) as connections:
            made = json.loads((await gateway.admin("/admin/keys", "POST", b'{"tenant": "acme", "tier": "all"}')).body)

            async def all_answer(status: int) -> bool:
                answers = [await one.ask("GET", "/v1/models", made["key"]) for one in connections]
                return {answer.status for answer in answers} == {status}

            await until(partial(all_answer, 200), "the new key does not work everywhere")
            began = loop.time()
            assert (await gateway.admin(f"/admin/keys/{made['id']}", "DELETE")).status == 200
            await until(partial(all_answer, 401), "the revoked key still works")
            print(f"\na revoked key was refused by {len(connections)} processes after {loop.time() - began:.2f} s")

    asyncio.run(scenario())


async def config_hash(gateway: Gateway) -> str:
    return str(json.loads((await gateway.admin("/admin/config")).body)["hash"])


async def said(gateway: Gateway, words: str) -> bool:
    return words in gateway.log()
