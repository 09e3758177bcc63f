"""A provider in a process of its own that produces what it is asked for, bills it truly, and keeps count.

It honours `max_tokens` and `n`. A token is a word, of the prompt and of the answer. What it has produced is the judge
of what the gateway let through: `GET /tally` tells it for each request, by the body's `script.name`, and `GET /times`
when each request came, and how many tokens it came to.

python -m tests.faults.judge      prints its port, serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import NamedTuple

import msgspec

from tests.faults.aside import port_of, serve
from tests.faults.client import ask
from tests.faults.upstream import STREAM_HEAD, chunk, event, message
from tests.providers.loopback import Gone, Peer

PROMPT_EXTRA_TOKENS = 7
WORDS_PER_EVENT = 5
INPUT_PICOUSD, OUTPUT_PICOUSD = 1_000_000, 2_000_000  # a token: the prices of the model `told`
UNLIMITED = 4096


class Wish(msgspec.Struct, frozen=True):
    """What a request would like: so long an answer, in such a time. `status`, `cut_after` as in `upstream.Script`."""

    name: str = ""
    words: int = 40
    seconds: float = 0.05
    status: int = 0
    cut_after: int | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str


class _Request(msgspec.Struct, frozen=True):
    messages: list[_Message]
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    script: Wish = Wish()

    @property
    def prompt_tokens(self) -> int:
        return PROMPT_EXTRA_TOKENS + sum(len(message.content.split()) for message in self.messages)

    @property
    def words(self) -> int:
        """Of each choice."""
        ceiling = self.max_completion_tokens or self.max_tokens or UNLIMITED
        return min(self.script.words, ceiling)


class Produced(NamedTuple):
    """For one request, however often it was sent."""

    times: int
    prompt_tokens: int
    output_tokens: int

    @property
    def picousd(self) -> int:
        return self.prompt_tokens * INPUT_PICOUSD + self.output_tokens * OUTPUT_PICOUSD


class Judge:
    """Answers, and remembers what it produced."""

    def __init__(self) -> None:
        self._tally: dict[str, list[int]] = {}
        self._times: list[tuple[float, str, int]] = []

    async def answer(self, peer: Peer) -> None:
        """All requests of one connection."""
        while True:
            head, body = await peer.request()
            if head.startswith("GET /tally"):
                await peer.send(message(200, {"data": self._tally}))
            elif head.startswith("GET /times"):
                await peer.send(message(200, {"data": self._times}))
            else:
                request = msgspec.json.decode(body, type=_Request)
                tokens = request.prompt_tokens + request.words * request.n
                self._times.append((time.time(), request.script.name, tokens))
                if not await self._produce(peer, request):
                    return

    async def _produce(self, peer: Peer, request: _Request) -> bool:
        """Whether the connection goes on."""
        wish = request.script
        if wish.status:
            await peer.send(message(wish.status, {"error": {"message": "as told", "type": "told", "code": "told"}}))
            return True
        tally = self._tally.setdefault(wish.name, [0, 0, 0])
        tally[0] += 1
        tally[1] += request.prompt_tokens
        if request.stream:
            return await self._stream(peer, request, tally)
        await asyncio.sleep(wish.seconds)
        tally[2] += request.words * request.n
        text = " word" * request.words
        choices = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for index in range(request.n)
        ]
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "choices": choices, "usage": _usage(request)}
        await peer.send(message(200, answer))
        return True

    async def _stream(self, peer: Peer, request: _Request, tally: list[int]) -> bool:
        await peer.send(STREAM_HEAD)
        left, number, gone = request.words, 0, asyncio.create_task(peer.reader.read(1))
        events = -(-left // WORDS_PER_EVENT)
        try:
            while left:
                if number == request.script.cut_after:
                    return False
                await asyncio.wait([gone], timeout=request.script.seconds / events)
                if gone.done():
                    raise Gone
                some = min(left, WORDS_PER_EVENT)
                left, number = left - some, number + 1
                tally[2] += some * request.n
                delta = {"delta": {"content": " word" * some}, "finish_reason": None}
                await peer.send(b"".join(event([{"index": index, **delta}]) for index in range(request.n)))
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await gone
        ends: list[dict[str, object]] = [
            {"index": index, "delta": {}, "finish_reason": "stop"} for index in range(request.n)
        ]
        await peer.send(event(ends) + event([], usage=_usage(request)) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        return True


def _usage(request: _Request) -> dict[str, int]:
    prompt, output = request.prompt_tokens, request.words * request.n
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


async def tally(port: int) -> dict[str, Produced]:
    """What the judge has produced until now, by the name of the request."""
    data = json.loads((await ask(port, "GET", "/tally", "")).body)["data"]
    return {name: Produced(*counts) for name, counts in data.items()}


async def times(port: int, name: str) -> list[tuple[float, int]]:
    """When requests of that name came, Unix seconds, and their tokens."""
    found: list[tuple[float, str, int]] = json.loads((await ask(port, "GET", "/times", "")).body)["data"]
    return sorted((at, tokens) for at, of, tokens in found if of == name)


def judge_process() -> contextlib.AbstractContextManager[int]:
    """The port of one that runs."""
    return port_of("tests.faults.judge")


if __name__ == "__main__":
    asyncio.run(serve(Judge().answer))
