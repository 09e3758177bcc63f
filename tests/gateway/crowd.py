"""Many requests at once through the corridor, to a provider that says how many are left."""

from __future__ import annotations

import asyncio
from typing import Any

from headgate.types import Caller
from tests.gateway.corridor import ALICE, EVERYTHING, Corridor, Visit
from tests.gateway.scripted import Reply, answer, telling

BOB = Caller("key_2", "hobby", "bob", EVERYTHING)


def left(remaining: int, limit: int = 100, reset: str = "5s", *, reply: Reply | None = None) -> Reply:
    """An answer that says how many requests are left, in a window that ends at `reset`."""
    return telling(
        reply or answer(),
        x_ratelimit_remaining_requests=str(remaining),
        x_ratelimit_limit_requests=str(limit),
        x_ratelimit_reset_requests=reset,
    )


def ask(corridor: Corridor, count: int, caller: Caller = ALICE, **members: Any) -> list[asyncio.Task[Visit]]:
    call = {"stream": False, **members}
    return [asyncio.create_task(corridor.visit(corridor.call(**call), caller=caller)) for _ in range(count)]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
