"""The day's money for shadow runs is one sum for all processes, and for those that come after them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.gateway.rebuilding import Rebuilder
from headgate.stores.redis.counters import RedisCounters
from tests.contract.counting import PATIENT_SECONDS
from tests.gateway.corridor import run
from tests.gateway.scripted import answer
from tests.gateway.test_shadowing import AUTO, Shadowed
from tests.servers import RedisServer

MOST_PICOUSD = 4_000_000
THRIFTY = msgspec.structs.replace(AUTO, shadow_picousd_per_day=MOST_PICOUSD, max_loss=1.0)
PROCESSES = 4


async def ask_much(one: Shadowed, first: int) -> None:
    """Thirty questions at once, each worth a shadow run and a judge."""
    one.large._replies = [answer("dear words", seconds_before=0.02)]
    asked = [[{"role": "user", "content": f"hello {first + number}"}] for number in range(30)]
    await asyncio.gather(*(one.ask(messages, max_tokens=50) for messages in asked))


@pytest.mark.server
def test_four_processes_and_one_that_starts_later_spend_it_once(redis_server: RedisServer) -> None:
    def process(seed: int) -> tuple[Shadowed, RedisCounters]:
        one = Shadowed(THRIFTY, seed=seed)
        clock, entrance = one.corridor.clock, one.corridor.admissions
        counters = RedisCounters(redis_server.url, clock=clock, limit_seconds=PATIENT_SECONDS)
        entrance._counters, entrance._at_hand = counters, None
        entrance._rebuilder = Rebuilder(counters, one.corridor.ledger, clock, None)
        return one, counters

    async def scenario() -> None:
        at_once = [process(seed) for seed in range(1, PROCESSES + 1)]
        await asyncio.gather(*[ask_much(one, 100 * number) for number, (one, _) in enumerate(at_once)])
        spent = sum(one.spent for one, _ in at_once)
        assert 0.5 * MOST_PICOUSD < spent <= MOST_PICOUSD
        assert sum(one.spent > 0 for one, _ in at_once) > 1
        for _, counters in at_once:
            await counters.aclose()
        later, counters = process(PROCESSES + 1)
        await ask_much(later, 1_000)
        assert spent + later.spent <= MOST_PICOUSD
        assert {reason for _, reason in later.noted.said} & {"budget_exceeded", "budget_held", "no_money"}
        await counters.aclose()

    asyncio.run(scenario())


def test_a_process_that_starts_anew_reads_from_the_ledger_what_is_spent() -> None:
    async def scenario() -> None:
        before, after = Shadowed(THRIFTY), Shadowed(THRIFTY, seed=2)
        after.corridor.admissions._rebuilder._ledger = before.corridor.ledger
        for one in (before, after):
            for number in range(100):
                await one.ask([{"role": "user", "content": f"hello {number}"}], max_tokens=50)
        assert before.spent > 0.7 * MOST_PICOUSD
        assert before.spent + after.spent <= MOST_PICOUSD

    run(scenario)
