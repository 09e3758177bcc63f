"""SIGTERM under load: what can finish does, the rest ends with a typed error, nothing is lost, the exit code is 0."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.faults.client import Load, NoAnswer, Response, ask, chat, connected
from tests.faults.gateway import KEY, Gateway, assert_exactly_once, configuration, running
from tests.scale import scaled

DRAIN_SECONDS = 2
SHORT = (chat(stream=False), chat(stream=True, events=20))
FINISHING = chat(stream=True, events=15, gap_seconds=0.1)
ENDLESS = chat(stream=True, events=10_000, gap_seconds=0.05)
STREAMS_OF_EACH = scaled(40, 4)


class Streams:
    """Streams of one kind, each on a connection of its own."""

    def __init__(self, gateway: Gateway, body: bytes) -> None:
        self._gateway, self._body = gateway, body
        self._tasks: list[asyncio.Task[Response]] = []

    async def begin(self) -> None:
        """Return when all have begun."""
        heads = [asyncio.Event() for _ in range(STREAMS_OF_EACH)]
        self._tasks = [asyncio.create_task(self._read(head)) for head in heads]
        await asyncio.gather(*(head.wait() for head in heads))

    async def ended(self) -> list[Response]:
        return await asyncio.gather(*self._tasks)

    async def _read(self, begun: asyncio.Event) -> Response:
        async with connected(self._gateway.port) as connection:
            await connection.send("POST", "/v1/chat/completions", KEY, self._body)
            head = await connection.head()
            begun.set()
            return await connection.rest(*head)


@pytest.mark.parametrize("workers", [1, 2])
def test_streams_finish_and_the_rest_is_told(tmp_path: Path, upstream_port: int, workers: int) -> None:
    async def scenario() -> None:
        config = configuration(upstream_port, tmp_path / "data", server={"drain_seconds": DRAIN_SECONDS})
        gateway = Gateway(tmp_path, config, workers=workers)
        finishing, endless = Streams(gateway, FINISHING), Streams(gateway, ENDLESS)
        async with running(gateway):
            await asyncio.gather(finishing.begin(), endless.begin())
            async with Load(gateway.port, KEY, SHORT, clients=8) as load:
                await load.receive(50)
                gateway.signal(signal.SIGTERM)
                refused = await load.receive_one("draining")
                assert refused.status == 503 and refused.headers["retry-after"] == "1"
                ready = await ask(gateway.port, "GET", "/readyz", KEY)
                assert ready.status == 503 and b'"draining":"yes"' in ready.body
                assert all(response.complete for response in await finishing.ended())
            told = await endless.ended()
            assert {(response.whole, response.code) for response in told} == {(True, "draining")}
            assert await gateway.ended() == 0
            with pytest.raises(NoAnswer):
                await ask(gateway.port, "GET", "/readyz", KEY)

            assert {response.code for response in load.failures} == {"draining"}
            assert all(response.whole for response in load.responses)
            await gateway.start()
            complete = [*load.complete, *await finishing.ended()]
            rows = await gateway.ledger_with(response.id for response in [*complete, *told])
            assert_exactly_once(rows, complete)
            ends = {row["id"]: (row["outcome"], row["error"], row["output_tokens"] > 0) for row in rows}
            assert {ends[response.id] for response in told} == {("failed", "draining", True)}
        print(
            f"\n{len(complete)} answers finished, of them {STREAMS_OF_EACH} streams of 1.5 s; {STREAMS_OF_EACH} endless"
            f" ones were told after {DRAIN_SECONDS} s; {len(load.failures)} refused, {load.unanswered} not answered"
        )

    asyncio.run(scenario())


def test_an_idle_gateway_ends_at_once(tmp_path: Path, upstream_port: int) -> None:
    async def scenario() -> None:
        gateway = Gateway(tmp_path, configuration(upstream_port, tmp_path / "data"))
        async with running(gateway), connected(gateway.port) as idle:
            await idle.ask("GET", "/healthz", KEY)
            gateway.signal(signal.SIGTERM)
            assert await gateway.ended() == 0

    asyncio.run(scenario())
