"""Requests that are kept to be appealed against: for a while, in so much memory, for their own tenant."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from headgate.errors import NotFound
from headgate.gateway.appealing import KEPT_SECONDS, MOST_BYTES, Appeals
from headgate.gateway.journey import Journey
from headgate.gateway.routers import RouterSpec
from headgate.types import Caller
from tests.gateway.corridor import ALICE, run
from tests.gateway.test_choosing import EASY, Ladder

APPEALABLE = RouterSpec("auto", ("small", "large"), appeal=True)


async def journey(ladder: Ladder, request_id: str, body_bytes: int = 100) -> Journey:
    call = ladder.corridor.call(model="auto", messages=EASY, stream=True, stream_options={"include_usage": True})
    call = msgspec.structs.replace(call, id=request_id, body_bytes=body_bytes)
    made = Journey(ALICE, call, ladder.corridor.setup, started=0.0, started_at=0.0)
    made.router = ladder.corridor.setup.routers["auto"]
    made.chosen = await ladder.corridor.pipeline.choosing.consider(made, ladder.corridor.setup.routers["auto"])
    return made


def test_a_request_comes_back_as_an_appeal_and_not_as_a_stream() -> None:
    async def scenario() -> None:
        ladder = Ladder(APPEALABLE)
        appeals = Appeals(ladder.corridor.clock)
        made = await journey(ladder, "req_1")
        made.call = msgspec.structs.replace(made.call, idempotency_key="k1")
        appeals.remember(made)
        call = appeals.call(ALICE, "req_1", "req_2")
        assert (call.id, call.appeal, call.stream) == ("req_2", "req_1", False)
        assert call.idempotency_key is None, "it stands for the answer that was not good enough"
        assert not {"stream", "stream_options"} & set(call.fields)
        assert json.loads(bytes(call.fields["messages"])) == EASY
        with pytest.raises(NotFound):
            appeals.call(Caller("key_9", "other", None, ALICE.tier), "req_1", "req_2")
        await asyncio.sleep(KEPT_SECONDS)
        with pytest.raises(NotFound):
            appeals.call(ALICE, "req_1", "req_2")

    run(scenario)


def test_the_oldest_make_room() -> None:
    async def scenario() -> None:
        ladder = Ladder(APPEALABLE)
        appeals = Appeals(ladder.corridor.clock)
        for number in range(12):
            appeals.remember(await journey(ladder, f"req_{number}", MOST_BYTES // 10))
        kept = []
        for number in range(12):
            try:
                kept.append(appeals.call(ALICE, f"req_{number}", "new").appeal)
            except NotFound:
                continue
        assert kept == [f"req_{number}" for number in range(2, 12)]

    run(scenario)


def test_what_may_not_be_appealed_against_is_not_kept() -> None:
    async def scenario() -> None:
        ladder = Ladder()
        appeals = Appeals(ladder.corridor.clock)
        appeals.remember(await journey(ladder, "req_1"))
        with pytest.raises(NotFound):
            appeals.call(ALICE, "req_1", "req_2")

    run(scenario)
