"""What a request leaves behind is gone with it: nothing piles up for the collector, which holds everybody up."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any, cast

from headgate.gateway.accounts import Accounts
from headgate.gateway.http.exchange import Edge, EdgeLimits, Exchange
from headgate.gateway.http.protocol import GatewayProtocol
from headgate.types import Caller, Route
from tests.gateway.corridor import CHAT, Corridor, deployment, model, run
from tests.gateway.limited import caller, per_minute
from tests.gateway.scripted import ScriptedProvider, answer, stream
from tests.wire.chunks import ANSWER

REQUESTS = 50


class Connection:
    """A client's, as far as an exchange looks at it: takes everything, and is its own transport."""

    write_paused = False

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.flow = self.transport = self

    def write(self, data: bytes) -> None:
        self.statuses.append(int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/") else 0)

    def is_closing(self) -> bool:
        return False

    def date_header(self) -> bytes:
        return b""

    def on_response_complete(self) -> None:
        """The next request may come."""


class Everybody:
    """Knows one caller by any key."""

    def __init__(self, known: Caller) -> None:
        self._known = known

    def authenticate(self, secret: str | None) -> Caller:
        return self._known


class Uncounted:
    def unauthenticated(self) -> None: ...

    def refused(self, code: str) -> None: ...


async def statuses(corridor: Corridor, known: Caller, **members: Any) -> list[int]:
    """Of so many requests, one after the other, while the collector rests."""
    connection, body = Connection(), json.dumps({**CHAT, **members}).encode()
    edge = Edge(corridor.pipeline, cast("Accounts", Everybody(known)), corridor.clock, Uncounted(), EdgeLimits())
    for _ in range(REQUESTS):
        exchange = Exchange(
            cast("GatewayProtocol", connection), edge, corridor.clock.new_id("req"), Route.CHAT, {}, True, True
        )
        exchange.receive(body)
        await exchange.start(asyncio.get_running_loop())
    await asyncio.sleep(1)
    return connection.statuses


async def garbage(corridor: Corridor, known: Caller, **members: Any) -> tuple[int, list[int]]:
    """Objects that only the collector finds, and what was answered."""
    await statuses(corridor, known, **members)  # what is made once is made
    gc.collect()
    gc.disable()
    gc.freeze()  # what other tests have left behind may become garbage just now
    try:
        answered = await statuses(corridor, known, **members)
        return gc.collect(), answered
    finally:
        gc.unfreeze()
        gc.enable()


def test_refusals_leave_no_garbage() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        found, answered = await garbage(corridor, caller(per_minute(1)))
        assert answered == [429] * REQUESTS
        assert found < REQUESTS

    run(scenario)


def test_answers_and_broken_streams_leave_none_either() -> None:
    async def scenario() -> None:
        whole = ScriptedProvider(*[answer() for _ in range(2 * REQUESTS)])
        broken = ScriptedProvider(*[stream(ANSWER) for _ in range(2 * REQUESTS)])
        for provider, members in ((whole, {}), (broken, {"stream": True})):
            corridor = Corridor(model(deployment(provider)))
            found, answered = await garbage(corridor, caller(), **members)
            assert answered.count(200) == REQUESTS
            assert found < REQUESTS

    run(scenario)
