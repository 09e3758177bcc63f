"""A provider that counts what it is asked, fails now and then as its seed says, and always on poison."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator

from tests.faults.upstream import message
from tests.providers.loopback import Peer, serving

POISON = "poison-7c1f"  # a request with this in its last message fails, however often it is made
ERROR_SHARE = 0.04
CUT_SHARE = 0.01
INPUT_TOKENS, OUTPUT_TOKENS = 100, 20
USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "What it says, in short."}, "finish_reason": "stop"}
ANSWER = message(200, {"id": "c", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE})
ERROR = message(500, {"error": {"message": "by chance", "type": "server_error", "code": "by_chance"}})
REFUSED = message(500, {"error": {"message": "this one never", "type": "server_error", "code": "poison"}})


class CountingModel:
    """What it was asked: every call is one of `answered`, `failed` and `cut`."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.port = 0
        self.calls: Counter[str] = Counter()
        self.poisoned: set[str] = set()  # the questions that can only fail
        self._chance = random.Random(seed)
        self._seconds = seconds

    async def serve(self, peer: Peer) -> None:
        """All requests of one connection."""
        while True:
            _, body = await peer.request()
            question = json.loads(body)["messages"][-1]["content"]
            chance = self._chance.random()
            if POISON in question:
                self.poisoned.add(question)
                self.calls["failed"] += 1
                await peer.send(REFUSED)
            elif chance < ERROR_SHARE:
                self.calls["failed"] += 1
                await peer.send(ERROR)
            elif chance < ERROR_SHARE + CUT_SHARE:
                self.calls["cut"] += 1
                await peer.send(ANSWER[:-40])
                return
            else:
                self.calls["answered"] += 1
                await asyncio.sleep(self._seconds)
                await peer.send(ANSWER)


@contextlib.asynccontextmanager
async def counting_model(seed: int = 1, seconds: float = 0.05) -> AsyncIterator[CountingModel]:
    """One that runs. `seconds`: what an answer takes."""
    model = CountingModel(seed, seconds)
    async with serving(model.serve) as server:
        model.port = server.port
        yield model
