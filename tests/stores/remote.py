"""Counters in a Redis of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headgate.metering import Charge
from headgate.stores.redis.counters import RedisCounters
from tests.contract.counting import PATIENT_SECONDS, ask, budget

BUDGET = budget(10**12)


@asynccontextmanager
async def on(
    url: str, troubles: list[str] | None = None, limit_seconds: float = PATIENT_SECONDS
) -> AsyncIterator[RedisCounters]:
    told = troubles if troubles is not None else []
    counters = RedisCounters(url, on_trouble=told.append, limit_seconds=limit_seconds)
    try:
        yield counters
    finally:
        await counters.aclose()


async def known(counters: RedisCounters, tenant: str = "acme", spent: int = 0) -> None:
    """Rebuild as the corridor does."""
    if not (await counters.admit("first", tenant, [], ask())).known:
        await counters.rebuild(tenant, [(BUDGET, spent)])
        assert (await counters.admit("first", tenant, [], ask())).known
    counters.settle("first", tenant, Charge(released=True))
