"""A provider that is paid for what it produces, in a process of its own, and keeps the account: the judge of budgets.

python -m tests.faults.producing     prints its port, serves until its standard input ends

It writes as many tokens as the member `script` of the body wants, and never more than the request allows. What it has
produced is told by `GET /produced`, whoever was there to read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from tests.faults.client import HOST
from tests.providers.loopback import Peer, serving

WORDS = (" the", " mill", " turns", " and", " the", " river", " goes", " on")
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Script(msgspec.Struct, frozen=True):
    """`tokens`: how much it would write; `status` above 0: an error; `cut_after`: the connection ends there."""

    tokens: int = 50
    gap_seconds: float = 0.002
    status: int = 0
    cut_after: int | None = None


class Request(msgspec.Struct, frozen=True):
    messages: list[dict[str, str]]
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    script: Script = Script()

    @property
    def prompt_tokens(self) -> int:
        return 3 + sum(4 + len(message["content"].split()) for message in self.messages)

    @property
    def output_tokens(self) -> int:
        """Of one choice."""
        limits = (self.script.tokens, self.max_tokens, self.max_completion_tokens)
        return min(limit for limit in limits if limit is not None)


class Produced(msgspec.Struct):
    """The account. Prompts of requests that were refused cost nothing."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


class Producer:
    def __init__(self) -> None:
        self.produced = Produced()

    async def answer(self, peer: Peer) -> None:
        """All requests of one connection."""
        while True:
            head, body = await peer.request()
            if head.startswith("GET"):
                await peer.send(_message(200, msgspec.to_builtins(self.produced)))
                continue
            request = msgspec.json.decode(body, type=Request)
            script = request.script
            if script.status:
                error = {"message": "as told", "type": "told", "code": "told"}
                await peer.send(_message(script.status, {"error": error}))
                continue
            self.produced.requests += 1
            self.produced.prompt_tokens += request.prompt_tokens
            if request.stream:
                await self._stream(peer, request)
                if script.cut_after is not None:
                    return
            else:
                await asyncio.sleep(script.gap_seconds * request.output_tokens)
                self.produced.output_tokens += request.output_tokens * request.n
                await peer.send(_message(200, _completion(request)))

    async def _stream(self, peer: Peer, request: Request) -> None:
        await peer.send(_STREAM)
        for number in range(request.output_tokens):
            if number == request.script.cut_after:
                return
            await asyncio.sleep(request.script.gap_seconds)
            for index in range(request.n):
                self.produced.output_tokens += 1
                word = WORDS[number % len(WORDS)]
                await peer.send(_event([{"index": index, "delta": {"content": word}, "finish_reason": None}]))
        ends = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in range(request.n)]
        usage = _event([], usage=_usage(request))
        await peer.send(_event(ends) + usage + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _usage(request: Request) -> dict[str, int]:
    output = request.output_tokens * request.n
    total = request.prompt_tokens + output
    return {"prompt_tokens": request.prompt_tokens, "completion_tokens": output, "total_tokens": total}


def _completion(request: Request) -> dict[str, object]:
    text = "".join(WORDS[number % len(WORDS)] for number in range(request.output_tokens))
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index in range(request.n)
    ]
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": choices, "usage": _usage(request)}


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "told", "choices": choices, **more}
    return _chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _message(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Told\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status, len(body), body,
    )  # fmt: skip


@contextlib.contextmanager
def producer_process() -> Iterator[int]:
    """The port of one that runs."""
    command = (sys.executable, "-m", "tests.faults.producing")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


async def produced(port: int) -> Produced:
    """What it has produced until now."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /produced HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    told = msgspec.json.decode(await reader.readexactly(size), type=Produced)
    writer.close()
    return told


async def main() -> None:
    async with serving(Producer().answer) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
