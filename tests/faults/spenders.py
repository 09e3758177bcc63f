"""Clients that spend a budget: they come back when they are told to, and stop when the money is spent."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Connection, NoAnswer, Response, connect

HELD_SECONDS = 60.0  # the longest that anything may be held when all clients are gone
PATH = "/v1/chat/completions"
_TRY_AGAIN_SECONDS = 0.05  # nothing tells when somebody listens again


@dataclass
class Mix:
    """Of what a client asks for: shares of those that go wrong, and how long an answer takes."""

    leave: float = 0.0  # clients that go in mid-stream
    fail: float = 0.0  # a provider that answers 500, or cuts the stream
    seconds: float = 0.1


@dataclass
class Spenders:
    """`clients` of them, on connections of their own, each with one request at a time until the answer is 402."""

    port: int
    keys: Sequence[str]
    clients: int
    mix: Mix = field(default_factory=Mix)
    seed: int = 1
    statuses: Counter[int | str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    left: int = 0
    seconds: float = 0.0

    async def spend(self) -> None:
        """Until all of them have stopped."""
        begin = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._spend(number) for number in range(self.clients)))
        self.seconds = asyncio.get_running_loop().time() - begin

    async def served(self, count: int) -> None:
        """Until so many requests were answered with 200."""
        while self.statuses[200] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _spend(self, number: int) -> None:
        chance, key, turn = random.Random(f"{self.seed} {number}"), self.keys[number % len(self.keys)], 0
        connection: Connection | None = None
        while True:
            turn += 1
            name = f"r{number}-{turn}"
            body = request(name, chance, self.mix)
            leaves = body["stream"] and chance.random() < self.mix.leave
            while True:
                try:
                    connection = connection or await connect(self.port)
                    response = await self._ask(connection, key, name, body, leaves=leaves)
                except NoAnswer:
                    self.unanswered += 1
                    response = None
                    await asyncio.sleep(_TRY_AGAIN_SECONDS)
                if response is None or not response.whole or response.headers.get("connection") == "close":
                    if connection is not None:
                        await connection.close()
                    connection = None
                if response is None:
                    break
                self.statuses[response.status] += 1
                if response.status in (429, 503):
                    self.refusals[response.code] += 1
                    await asyncio.sleep(int(response.headers["retry-after-ms"]) / 1000)
                    continue
                break
            if response is not None and response.status == 402:
                break
        if connection is not None:
            await connection.close()

    async def _ask(
        self, connection: Connection, key: str, name: str, body: dict[str, Any], *, leaves: bool
    ) -> Response | None:
        """None: the client left. Raises NoAnswer."""
        await connection.send("POST", PATH, key, json.dumps(body).encode(), f"x-headgate-tags: {name}\r\n")
        status, headers = await connection.head()
        if status == 200 and leaves:
            self.left += 1
            await asyncio.sleep(body["script"]["seconds"] / 2)
            return None
        return await connection.rest(status, headers)


def request(name: str, chance: random.Random, mix: Mix) -> dict[str, Any]:
    """A request of a size by chance; what it is to be is told to the judge."""
    words = chance.choice((5, 20, 40, 80, 150))
    stream = chance.random() < 0.5
    script: dict[str, Any] = {"name": name, "words": words, "seconds": mix.seconds * chance.uniform(0.5, 1.5)}
    if chance.random() < mix.fail:
        script |= {"cut_after": 2} if stream and words > 20 else {"status": 500}
    prompt = "Tell me about the river and its mill. " * chance.choice((1, 1, 2, 5, 20))
    body: dict[str, Any] = {"model": "told", "stream": stream, "script": script}
    body["messages"] = [{"role": "user", "content": prompt}]
    ceiling = chance.choice((words, words, 2 * words, 200, None))
    if ceiling is not None:
        body["max_tokens"] = ceiling
    if chance.random() < 0.15:
        body["n"] = 2
    return body
