"""An upstream that costs next to nothing, so that what is measured is the gateway before it.

`POST .../chat/completions` is answered at once: with one JSON body, or, when the request says `"stream": true`, with
`--events` content events of one token each, `--interval` seconds apart, then a finish reason, the usage (if asked for)
and `[DONE]`. `GET /stats` tells what was produced, whoever was listening. Every other request is a 404.

    python -m benchmarks.mock_upstream --port 9100 --events 64 --interval 0.005
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import cast

import httptools
import uvloop

MODEL = "gpt-4o-mini"
ANSWER = "A mock answer of ordinary length, so that whoever parses it, counts it and books it has honest work to do."
ANSWER_TOKENS = 24
PROMPT_TOKENS = 437  # what the prompt of `benchmarks.load` comes to in o200k_base
TOKENS = (" one", " red", " mill", " wheel", " turns", " in", " the", " slow", " river", ".")

STREAM_ASKED = re.compile(rb'"stream"\s*:\s*true')
USAGE_ASKED = re.compile(rb'"include_usage"\s*:\s*true')
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Produced:
    """What left this process."""

    json: int = 0
    streams: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Script:
    """The answers, encoded once."""

    whole: bytes
    events: tuple[bytes, ...]
    events_with_usage: tuple[bytes, ...]
    contents: int
    interval: float


def usage(output_tokens: int) -> dict[str, int]:
    total = PROMPT_TOKENS + output_tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": output_tokens, "total_tokens": total}


def http_json(value: object, status: str = "200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def write_script(contents: int, interval: float) -> Script:
    about = {"id": "chatcmpl-mock", "created": 1_769_000_000, "model": MODEL, "system_fingerprint": "fp_mock"}
    message = {"role": "assistant", "content": ANSWER, "refusal": None}
    whole = {
        **about,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(ANSWER_TOKENS),
    }

    def event(choices: list[dict[str, object]], **more: object) -> bytes:
        return json.dumps({**about, "object": "chat.completion.chunk", "choices": choices, **more}).encode()

    def choice(delta: dict[str, str], finish_reason: str | None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]

    body = [event(choice({"content": TOKENS[n % len(TOKENS)]}, None)) for n in range(contents)]
    body.append(event(choice({}, "stop")))
    with_usage = [*body, event([], usage=usage(contents))]
    return Script(http_json(whole), chunked(body), chunked(with_usage), contents, interval)


def chunked(payloads: Iterable[bytes]) -> tuple[bytes, ...]:
    frames = (b"data: %s\n\n" % payload for payload in (*payloads, b"[DONE]"))
    return tuple(b"%x\r\n%s\r\n" % (len(frame), frame) for frame in frames)


class Upstream(asyncio.Protocol):
    """One connection; requests follow one another on it, as every client under test sends them."""

    def __init__(self, script: Script, produced: Produced) -> None:
        self.script, self.produced = script, produced
        self.parser = httptools.HttpRequestParser(self)
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url = b""
        self.body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        if self.url.endswith(b"/chat/completions"):
            self.answer(b"".join(self.body))
        elif self.url == b"/stats":
            self.transport.write(http_json(asdict(self.produced)))
        else:
            self.transport.write(http_json({"error": {"message": "the mock serves chat completions"}}, "404 Not Found"))

    def answer(self, body: bytes) -> None:
        if STREAM_ASKED.search(body) is None:
            self.transport.write(self.script.whole)
            self.produced.json += 1
            self.produced.output_tokens += ANSWER_TOKENS
            return
        self.produced.streams += 1
        self.transport.write(STREAM_HEAD)
        events = self.script.events_with_usage if USAGE_ASKED.search(body) else self.script.events
        if self.script.interval > 0:
            self.send(events, 0, self.loop.time())
        else:
            self.transport.write(b"".join(events) + LAST_CHUNK)
            self.produced.output_tokens += self.script.contents

    def send(self, events: tuple[bytes, ...], index: int, began: float) -> None:
        """Write event `index`; the next is timed from the start of the stream, so that delays do not add up."""
        if self.transport.is_closing():
            return
        self.produced.output_tokens += index < self.script.contents
        if index + 1 == len(events):
            self.transport.write(events[index] + LAST_CHUNK)
            return
        self.transport.write(events[index])
        due = began + (index + 1) * self.script.interval
        self.timer = self.loop.call_at(due, self.send, events, index + 1, began)


async def serve(port: int, contents: int, interval: float) -> None:
    script, produced = write_script(contents, interval), Produced()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(script, produced), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    about = (__doc__ or "").partition("\n")[0]
    options = argparse.ArgumentParser(prog="python -m benchmarks.mock_upstream", description=about)
    options.add_argument("--port", type=int, default=9100)
    options.add_argument("--events", type=int, default=64, help="content events of a stream (default 64)")
    options.add_argument("--interval", type=float, default=0.005, help="seconds between events, 0: all in one write")
    chosen = options.parse_args()
    uvloop.run(serve(chosen.port, chosen.events, chosen.interval))


if __name__ == "__main__":
    main()
