"""Counters in a Redis of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from headgate.errors import StoreUnavailable
from headgate.metering import Charge
from headgate.stores.redis.counters import RedisCounters
from tests.contract.counting import PATIENT_SECONDS, ask, budget

BUDGET = budget(10**12)
Said = TypeVar("Said")


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


async def patiently(call: Callable[[], Awaitable[Said]]) -> Said:
    """What the store says, as soon as a busy machine lets it say that in time."""
    for _ in range(600):
        with contextlib.suppress(StoreUnavailable):
            return await call()
        await asyncio.sleep(0.1)
    return await call()


async def until(condition: Callable[[], bool]) -> None:
    """For what is done in the background."""
    for _ in range(6_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


async def known(counters: RedisCounters, tenant: str = "acme", spent: int = 0) -> None:
    """Rebuild as the corridor does."""
    if not (await patiently(lambda: counters.admit("first", tenant, [], ask()))).known:
        await patiently(lambda: counters.doubtful(tenant))
        await patiently(lambda: counters.rebuild(tenant, [(BUDGET, spent)]))
        assert (await patiently(lambda: counters.admit("first", tenant, [], ask()))).known
    counters.settle("first", tenant, Charge(released=True))
