"""An engine that can do only so much at once, for what others feel of it: requests beyond its slots wait in line."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from headgate.ports import Take
from headgate.types import Operation
from tests.wire.chunks import ANSWER, DONE

_TYPES = {True: "text/event-stream", False: "application/json"}
_WHOLE = (
    b'{"choices":[{"index":0,"message":{"content":"Yes"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":%d,"completion_tokens":%d}}'
)
BYTES_PER_TOKEN = 4
TOKENS_PER_SECOND = 25


class CrowdedProvider:
    """Implements `ports.Provider`. A request takes a slot from its first token to its last; with `most_waiting` others
    in line before it, it is refused with a 429. How long streams take does not depend on what else is asked: with other
    requests beside them or without they are the same."""

    kind = "openai"

    def __init__(self, name: str, chance: random.Random, *, slots: int, most_waiting: int = 10**9) -> None:
        self.name = name
        self.busy = asyncio.Semaphore(slots)
        self.slots = slots
        self.waiting = 0
        self.refused = 0
        self._most_waiting = most_waiting
        self._chances = {True: chance, False: random.Random(chance.random())}  # by whether it is a stream

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> CrowdedResponse:
        if self.waiting >= self._most_waiting:
            self.refused += 1
            return CrowdedResponse(429, b'{"error":{"message":"too many requests"}}', operation.stream, 0.0, _nothing)
        chance = self._chances[operation.stream]
        first, all_of_it = chance.lognormvariate(-1.2, 0.4), chance.expovariate(1 / 4.0)
        self.waiting += 1
        try:
            await self.busy.acquire()
        finally:
            self.waiting -= 1
        try:
            await asyncio.sleep(first if operation.stream else first + all_of_it)
        except BaseException:
            self.busy.release()
            raise
        whole = _WHOLE % (len(body) // BYTES_PER_TOKEN, 1 + int(all_of_it * TOKENS_PER_SECOND))
        return CrowdedResponse(200, whole, operation.stream, all_of_it, self.busy.release)

    async def aclose(self) -> None:
        """Nothing is open."""


class CrowdedResponse:
    """The rest of an answer whose first token is there."""

    def __init__(self, status: int, whole: bytes, stream: bool, seconds: float, free: Callable[[], None]) -> None:
        self.status = status
        self.headers = {"content-type": _TYPES[stream and status == 200]}
        self._pieces = [ANSWER, DONE, b""] if stream and status == 200 else [whole, b""]
        self._seconds = seconds if stream else 0.0
        self._free = free

    async def read(self) -> bytes:
        piece = self._pieces.pop(0)
        if piece == DONE:
            await asyncio.sleep(self._seconds)
        return piece

    async def relay(self, take: Take) -> bool:
        while piece := await self.read():
            if not take(piece):
                return False
        return True

    def close(self) -> None:
        free, self._free = self._free, _nothing
        free()


def _nothing() -> None:
    """There is no slot to give back."""
