"""Asking the simulated model on the virtual loop, for the tests beside this file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headgate.config.schema import SimConfig
from headgate.errors import StreamIncomplete
from headgate.providers.sim import SimProvider, SimResponse
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.types import Api, Operation

CHAT: dict[str, Any] = {"model": "sim-small", "messages": [{"role": "user", "content": "Tell me about the mill."}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True}


@dataclass
class Received:
    """An answer read to its end."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # seconds since the request was sent, of every piece
    head_at: float = 0.0
    cut: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def payloads(self) -> list[bytes]:
        frames = self.body.split(b"\n\n")
        assert frames[-1] == b""
        assert all(frame.startswith(b"data: ") for frame in frames[:-1])
        return [frame[len("data: ") :] for frame in frames[:-1]]

    @property
    def chunks(self) -> list[Any]:
        *chunks, done = self.payloads
        assert done == b"[DONE]"
        return [msgspec.json.decode(chunk) for chunk in chunks]


async def send(provider: SimProvider, body: object, api: Api = Api.CHAT) -> SimResponse:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await provider.send(Operation(api=api, model="sim-small", stream=False), encoded, endpoint="", api_key="")


async def ask(provider: SimProvider, body: object, api: Api = Api.CHAT) -> Received:
    """Send and read to the end, cut or clean."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    response = await send(provider, body, api)
    received = Received(response.status, dict(response.headers), head_at=loop.time() - began)
    try:
        while piece := await response.read():
            received.pieces.append(piece)
            received.times.append(loop.time() - began)
    except StreamIncomplete:
        received.cut = True
    finally:
        response.close()
    return received


def simulate(
    scenario: Callable[[SimProvider], Coroutine[Any, Any, Any]], config: SimConfig | None = None
) -> tuple[Any, SimProvider]:
    """Run a scenario with a fresh simulated model; returns what it returned and the model."""
    made: list[SimProvider] = []

    async def main() -> Any:
        clock = SimClock(asyncio.get_running_loop(), seed=1)
        made.append(SimProvider("sim", config or SimConfig(), clock))
        return await scenario(made[0])

    return run_virtual(main()), made[0]


def answer(body: object, api: Api = Api.CHAT, config: SimConfig | None = None) -> Received:
    """What one request is answered."""
    received, _ = simulate(lambda provider: ask(provider, body, api), config)
    assert isinstance(received, Received)
    return received
