"""One hard cap, many clients: the provider, which counts what it produced, says whether the cap was kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from headgate.policy.pricing import format_usd
from tests.faults import judge
from tests.faults.gateway import Gateway, configuration, running, until
from tests.faults.judge import Produced
from tests.faults.spenders import HELD_SECONDS, Mix, Spenders
from tests.scale import FULL, scaled

CLIENTS = scaled(2000, 100)
CAP_USD = scaled(2000, 100) * 0.0004
CAP_PICOUSD = round(CAP_USD * 1e12)
MOST_OUTPUT_TOKENS = 512
# What the largest request may come to, two answers and a prompt: whoever stops does so when no more than that is left.
LARGEST_PICOUSD = 2 * MOST_OUTPUT_TOKENS * judge.OUTPUT_PICOUSD + 1_000 * judge.INPUT_PICOUSD
KEYS = tuple(f"hg-faults-key-{number}-0123456789" for number in range(8))
FAULTY = Mix(leave=0.1, fail=0.1)
# What a provider has produced when a stream is cut or left, and what has not come to the gateway by then.
ON_ITS_WAY_PICOUSD = 4 * judge.WORDS_PER_EVENT * judge.OUTPUT_PICOUSD

pytestmark = pytest.mark.timeout(scaled(900, 300))


def gateway_of(folder: Path, judge_port: int, store: str, cap_usd: float = CAP_USD) -> Gateway:
    """One tenant with eight keys and one cap; four workers, if they share a store."""
    keys = [{"key": key, "user": f"user-{number}"} for number, key in enumerate(KEYS)]
    config = configuration(
        judge_port,
        folder / "data",
        store=store,
        tiers={"all": {"models": ["*"], "budgets": {"tenant_month": cap_usd}}},
        tenants={"acme": {"tier": "all", "keys": keys}},
    )
    config["models"]["told"]["max_output_tokens"] = MOST_OUTPUT_TOKENS
    return Gateway(folder, config, workers=1 if store == "memory" else 4)


def test_a_cap_is_kept_and_used(tmp_path: Path, judge_port: int, store: str) -> None:
    async def scenario() -> None:
        gateway = gateway_of(tmp_path, judge_port, store)
        async with running(gateway):
            spenders = Spenders(gateway.port, KEYS, CLIENTS)
            await spenders.spend()
            held_seconds = await until_nothing_is_held(gateway)
            produced = await judge.tally(judge_port)
            spent = sum(one.picousd for one in produced.values())
            report(spenders, spent, held_seconds)
            assert set(spenders.statuses) <= {200, 402, 429, 503}
            assert spent <= CAP_PICOUSD
            assert spent >= CAP_PICOUSD - LARGEST_PICOUSD
            booked = await ledger_by_name(gateway, set(produced))
            assert sum(booked.values()) == spent
            await until_counted(gateway, spent)

    asyncio.run(scenario())


def test_a_cap_is_kept_when_processes_die(tmp_path: Path, judge_port: int, store: str) -> None:
    """And clients leave, and the provider fails. Over may be what was under way where a process died, nothing else."""

    async def scenario() -> None:
        gateway = gateway_of(tmp_path, judge_port, store)
        async with running(gateway):
            spenders = Spenders(gateway.port, KEYS, CLIENTS, FAULTY)
            task = asyncio.create_task(spenders.spend())
            await spenders.served(CLIENTS // 3)
            victim = gateway.serving_pids()[0]
            os.kill(victim, signal.SIGKILL)
            if store == "memory":
                await gateway.ended()
                await gateway.start()
            await task
            held_seconds = await until_nothing_is_held(gateway)
            produced = await judge.tally(judge_port)
            spent = sum(one.picousd for one in produced.values())
            report(spenders, spent, held_seconds)
            await judge_the_books(gateway, produced, spent)

    asyncio.run(scenario())


async def judge_the_books(gateway: Gateway, produced: dict[str, Produced], spent: int) -> None:
    await ledger_by_name(gateway, set(produced))
    rows = await gateway.ledger_with(())
    provisional = {name: row for row in rows if row["outcome"] == "provisional" for name in row["tags"]}
    booked = by_name(rows)
    short = sum(max(0, one.picousd - booked.get(name, 0)) for name, one in produced.items())
    at_risk = sum(booked[name] for name in provisional)
    print(
        f"{len(provisional)} provisional of {format_usd(at_risk)} USD; booked "
        f"{format_usd(sum(booked.values()))} USD, {format_usd(short)} USD were produced and not booked"
    )
    assert provisional or not FULL, "of so many some were under way where a process died; of few all may have waited"
    assert all(booked[name] >= produced[name].picousd for name in provisional if name in produced)
    assert short <= ON_ITS_WAY_PICOUSD * sum(row["outcome"] != "done" for row in rows)
    assert spent <= CAP_PICOUSD + at_risk + short
    assert CAP_PICOUSD - LARGEST_PICOUSD <= sum(booked.values()) <= CAP_PICOUSD + at_risk
    await until_counted(gateway, sum(booked.values()))


async def until_counted(gateway: Gateway, picousd: int) -> None:
    """The counters come to that."""
    used = 0

    async def agree() -> bool:
        nonlocal used
        used = round(float((await budget(gateway))["used"]) * 1e12)
        return used == picousd

    try:
        await until(agree, "the counters and the ledger do not come to the same")
    except AssertionError as error:
        raise AssertionError(f"{error}: {format_usd(used)} USD and {format_usd(picousd)} USD") from None


async def until_nothing_is_held(gateway: Gateway) -> float:
    """How long that took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def is_free() -> bool:
        return float((await budget(gateway))["held"]) == 0

    await until(is_free, "something is held though all clients are gone", HELD_SECONDS)
    return loop.time() - begin


async def budget(gateway: Gateway) -> dict[str, Any]:
    """How the cap stands, as soon as the store says it: on a busy machine it may once be too slow."""
    while (answer := await gateway.admin("/admin/usage/limits?tenant=acme")).status == 503:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    standings = json.loads(answer.body)["data"]
    found: dict[str, Any] = next(one for one in standings if one["name"] == "budgets.tenant_month")
    return found


async def ledger_by_name(gateway: Gateway, names: set[str]) -> dict[str, int]:
    """What was booked for each request, once all of them are there."""

    async def is_booked() -> bool:
        return names <= set(by_name(await gateway.ledger_with(())))

    await until(is_booked, "not all requests arrived in the ledger")
    return by_name(await gateway.ledger())


def by_name(rows: list[dict[str, Any]]) -> dict[str, int]:
    """A request that was refused has its row too, each time that it was: what was produced is in none of them."""
    booked: dict[str, int] = {}
    for row in rows:
        for name in row["tags"] if row["outcome"] != "refused" else ():
            booked[name] = booked.get(name, 0) + round(float(row["cost_usd"]) * 1e12)
    return booked


def report(spenders: Spenders, spent: int, held_seconds: float) -> None:
    print(
        f"\n{spenders.clients} clients, {spenders.seconds:.1f} s: {dict(spenders.statuses)}, refusals "
        f"{dict(spenders.refusals)}, {spenders.left} left, {spenders.unanswered} unanswered\n"
        f"produced {format_usd(spent)} of {format_usd(CAP_PICOUSD)} USD ({100 * spent / CAP_PICOUSD:.2f} %), "
        f"over {format_usd(max(0, spent - CAP_PICOUSD))} USD; nothing held after {held_seconds:.1f} s"
    )
