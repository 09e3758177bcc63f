"""A relay that is stopped while it writes what became of its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from headgate.clock import SystemClock
from headgate.deliveries.relay import Relay
from headgate.delivery_types import Delivery, DeliveryEnd, DeliveryState, Target, TargetKind, Told, Waiting

HOOK = Target(TargetKind.WEBHOOK, "https://hooks.example.com/", "acme hooks")


class SlowOutbox:
    """Has one delivery, and takes a while to write its end."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    async def waiting(self, *_: object) -> list[Waiting]:
        return [Waiting("one", "acme", HOOK.lane)]

    async def claim(self, ids: Sequence[str], seconds: float) -> list[Delivery]:
        told = Told("succeeded", 1, 1, 1.0)
        return [Delivery("one", "job_1", "acme", HOOK, told, DeliveryState.PENDING, 0, 1.0, 1.0, "", None, 1)]

    async def finish(self, ends: Sequence[DeliveryEnd]) -> list[bool]:
        self.ends += [end.id for end in ends]
        await asyncio.sleep(0.2)
        return [True for _ in ends]


class Sent:
    async def send(self, delivery: Delivery, now: float) -> str:
        return "200"


def test_an_end_is_written_once_though_the_relay_is_stopped_meanwhile() -> None:
    async def scenario() -> None:
        outbox = SlowOutbox()
        relay = Relay(cast(Any, outbox), {TargetKind.WEBHOOK: cast(Any, Sent())}, SystemClock())
        stepping = asyncio.create_task(relay.step())
        while not outbox.ends:  # noqa: ASYNC110  # it is being written
            await asyncio.sleep(0.01)
        await relay.drain(60.0)
        await stepping
        assert outbox.ends == ["one"]

    asyncio.run(scenario())
