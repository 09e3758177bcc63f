"""Days of traffic through a gateway that keeps answers, with faults of every kind: what is given again is complete."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable
from typing import Any, NamedTuple

import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.config.schema import SimConfig, SimFaults, Spread
from headgate.policy.caching import must_not_be_kept
from headgate.providers.sim import SimProvider
from headgate.types import Caller, Outcome, Route
from headgate.wire import endings
from tests.gateway.corridor import EVERYTHING, Corridor, Visit, deployment, model, run

CALLERS = [Caller(f"key_{tenant}_{user}", tenant, user, EVERYTHING) for tenant in ("acme", "other") for user in "ab"]
QUESTIONS = [f"What is {number}?" for number in range(12)]
VISITS = 1_200
SECONDS = 600.0
COMMENT = re.compile(rb": x-headgate-cost-usd=[0-9.]+\n\n")
SHARE = 0.04
FAULTS = SimFaults(
    rate_limited=SHARE, server_error=SHARE, overloaded=SHARE, hang_before=SHARE, hang_between=SHARE, cut=SHARE,
    malformed=SHARE, empty=SHARE,
)  # fmt: skip


class Seen(NamedTuple):
    """One visit: what was asked, by whom, and what came."""

    question: tuple[str, str, bool]  # tenant, words, whether a stream
    visit: Visit
    left: bool

    @property
    def payload(self) -> bytes:
        return COMMENT.sub(b"", self.visit.body)

    @property
    def cache(self) -> str:
        return self.visit.head.cache if self.visit.head is not None else ""


async def visited(corridor: Corridor, chance: random.Random) -> Seen:
    await asyncio.sleep(chance.random() * SECONDS)
    caller, words, stream = chance.choice(CALLERS), chance.choice(QUESTIONS), chance.random() < 0.6
    body: dict[str, Any] = {"messages": [{"role": "user", "content": words}], "stream": stream}
    pieces = chance.choice([1, 5]) if chance.random() < 0.1 else None
    slowly = chance.choice([0.2, 2.0]) if chance.random() < 0.1 else 0.0
    asking = corridor.visit(corridor.call(**body), caller=caller, pieces=pieces, slowly=slowly)
    question, gives_up = (caller.tenant, words, stream), chance.random() < 0.1
    if not gives_up:
        return Seen(question, await asking, pieces is not None)
    task = asyncio.ensure_future(asking)
    done, _ = await asyncio.wait([task], timeout=chance.random() * 3)
    if done:
        return Seen(question, task.result(), pieces is not None)
    task.cancel()
    await asyncio.wait([task])
    return Seen(question, Visit(), True)


def check(seen: list[Seen]) -> Counter[str]:
    """Nobody got another's answer or half of one; who got what was kept got what somebody else got whole."""
    whole: dict[tuple[str, str, bool], set[bytes]] = {}
    for one in seen:
        if one.cache == "miss" and not one.left and one.visit.error is None:
            whole.setdefault(one.question, set()).add(one.payload)
    for one in seen:
        if one.left or one.visit.error is not None or one.cache == "miss" or b'"error"' in one.payload:
            continue
        reader = endings.of_stream if one.question[2] else endings.of_whole
        assert must_not_be_kept(Route.CHAT, reader(Route.CHAT, one.payload)) is None
        if one.cache == "exact":
            others = {payload for question, found in whole.items() if question != one.question for payload in found}
            assert one.payload not in others
    return Counter(one.cache for one in seen if not one.left)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_but_whole_answers_is_given_again(seed: int) -> None:
    async def scenario() -> None:
        chance = random.Random(seed)
        sim = SimConfig(
            seed=seed, faults=FAULTS, ttft_seconds=Spread(median=0.5, p99=3.0),
            itl_seconds=Spread(median=0.05, p99=0.4), output_tokens=Spread(median=15, p99=60),
        )  # fmt: skip
        corridor = Corridor(caches={"small": CacheRules(ExactRules(ttl_seconds=40.0), frozenset({"small"}))})
        provider = SimProvider("up", sim, corridor.clock)
        spec = model(deployment(provider), first_token_seconds=5.0, stall_seconds=3.0, total_seconds=30.0, retries=1)  # type: ignore[arg-type]  # another provider
        corridor.use(spec)
        work: list[Awaitable[Seen]] = [visited(corridor, random.Random(chance.random())) for _ in range(VISITS)]
        seen = list(await asyncio.gather(*work))
        counted = check(seen)
        assert counted["exact"] > VISITS / 4 and counted["coalesced"] > 10
        rows = corridor.journal.appended
        assert len(rows) == len({row.id for row in rows}) == VISITS
        assert all(not row.attempts and row.cost_picousd == 0 for row in rows if row.outcome is Outcome.CACHED)
        assert corridor.pipeline.in_flight == 0 and provider.tally.open == 0
        assert corridor.counters.holds == 0

    run(scenario)
