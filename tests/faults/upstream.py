"""A provider in a process of its own that does what each request tells it to, under the member `script` of the body.

python -m tests.faults.upstream      prints its port, serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import contextlib
import json

import msgspec

from tests.faults.aside import port_of, serve
from tests.providers.loopback import Peer

PROMPT_TOKENS = 11
WHOLE_TOKENS = 7  # of a JSON answer; a stream has one for each event
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Script(msgspec.Struct, frozen=True):
    """How to answer. `status` above 0: with that error; `cut_after`: so many events, then the connection ends."""

    events: int = 8
    gap_seconds: float = 0.005
    status: int = 0
    cut_after: int | None = None


class _Request(msgspec.Struct, frozen=True):
    stream: bool = False
    script: Script = Script()


async def answer(peer: Peer) -> None:
    """All requests of one connection."""
    while True:
        _, body = await peer.request()
        request = msgspec.json.decode(body, type=_Request)
        script = request.script
        if script.status:
            await peer.send(message(script.status, {"error": {"message": "as told", "type": "told", "code": "told"}}))
        elif request.stream:
            await _stream(peer, script)
            if script.cut_after is not None:
                return
        else:
            await asyncio.sleep(script.gap_seconds)
            await peer.send(message(200, _completion()))


async def _stream(peer: Peer, script: Script) -> None:
    await peer.send(STREAM_HEAD)
    for number in range(script.events):
        if number == script.cut_after:
            return
        await asyncio.sleep(script.gap_seconds)
        await peer.send(event([{"index": 0, "delta": {"content": f" word{number}"}, "finish_reason": None}]))
    end = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage = event([], usage=_usage(script.events))
    await peer.send(end + usage + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def event(choices: list[dict[str, object]], **more: object) -> bytes:
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "told", "choices": choices, **more}
    return chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _completion() -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "as told"}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": _usage(WHOLE_TOKENS)}


def _usage(output_tokens: int) -> dict[str, int]:
    total = PROMPT_TOKENS + output_tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": output_tokens, "total_tokens": total}


def message(status: int, value: dict[str, object]) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Told\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status, len(body), body,
    )  # fmt: skip


def upstream_process() -> contextlib.AbstractContextManager[int]:
    """The port of one that runs."""
    return port_of("tests.faults.upstream")


if __name__ == "__main__":
    asyncio.run(serve(answer))
