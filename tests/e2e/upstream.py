"""A provider for tests: OpenAI's API on loopback, byte for byte as a script says, in a thread of its own.

A script is a coroutine that gets the exchange. It runs on the upstream's event loop; tests run on the main thread and
look at exchanges through their events, which are safe from everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

HOST = "127.0.0.1"
WAIT_SECONDS = 120.0
CREATED = 1_790_000_000

Script = Callable[["Exchange"], Awaitable[None]]
Json = dict[str, Any]


class Exchange:
    """One request that the upstream got, and what it answers."""

    def __init__(self, head: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.raw_body = body
        self.chunks_sent = 0
        self.client_left = threading.Event()  # the gateway closed the connection before the answer was complete
        self.finished = threading.Event()  # the script came to its end, or was stopped
        self._go_on = asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer

    @property
    def body(self) -> Json:
        value: Json = json.loads(self.raw_body)
        return value

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            field, _, value = line.partition(":")
            if field.lower() == name:
                return value.strip()
        return None

    # --- for scripts ---

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, body: bytes, *headers: str, content_type: str = "application/json") -> None:
        """A whole answer."""
        lines = [f"HTTP/1.1 {status} Status", f"content-type: {content_type}", f"content-length: {len(body)}", *headers]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def json(self, value: Json, status: int = 200, *headers: str) -> None:
        await self.answer(status, json.dumps(value).encode(), *headers)

    async def begin_stream(self, *headers: str, content_type: str = "text/event-stream") -> None:
        lines = ["HTTP/1.1 200 OK", f"content-type: {content_type}", "transfer-encoding: chunked", *headers]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        """One piece of a stream, in an HTTP chunk of its own."""
        self.chunks_sent += 1
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, payload: bytes) -> None:
        await self.chunk(b"data: " + payload + b"\n\n")

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def words(self, words: Sequence[str], usage: Json | None = None) -> None:
        """A chat completion stream, one event a word."""
        await self.begin_stream()
        await self.event(chat_chunk({"role": "assistant", "content": ""}))
        for word in words:
            await self.event(chat_chunk({"content": word}))
        await self.event(chat_chunk({}, finish="stop"))
        if usage is not None:
            await self.event(
                dump({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
            )
        await self.event(b"[DONE]")
        await self.end_stream()

    async def told_to_go_on(self) -> None:
        """Until the test has called `go_on` once more."""
        await self._go_on.acquire()

    async def silence(self) -> None:
        """Until the gateway closes its connection."""
        await asyncio.Event().wait()

    # --- for tests ---

    def go_on(self) -> None:
        self._loop.call_soon_threadsafe(self._go_on.release)

    async def run(self, script: Script) -> None:
        """Carry out the script, and stop it when the gateway leaves."""
        script_task = asyncio.ensure_future(script(self))
        left_task = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({script_task, left_task}, return_when=asyncio.FIRST_COMPLETED)
            if not script_task.done():
                self.client_left.set()
        finally:
            for task in (script_task, left_task):
                task.cancel()
            results = await asyncio.gather(script_task, left_task, return_exceptions=True)
            if isinstance(results[0], ConnectionError):
                self.client_left.set()
            elif isinstance(results[0], Exception):
                raise results[0]

    async def _watch(self) -> None:
        """The gateway sends nothing before it has its answer: what can be read is the end."""
        with contextlib.suppress(ConnectionError):
            await self._reader.read(1)


class Upstream:
    """The server. `script` says what it does with the requests that come from now on."""

    def __init__(self) -> None:
        self.script: Script = refuse
        self.port = 0
        self.failures: list[BaseException] = []
        self._exchanges: list[Exchange] = []
        self._changed = threading.Condition()
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._main, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(WAIT_SECONDS)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)

    def plays(self, script: Script) -> None:
        """Use this script and forget what was."""
        with self._changed:
            self.script = script
            self._exchanges.clear()
            self.failures.clear()

    def exchange(self, number: int = 1) -> Exchange:
        """The request with this number since `plays`, from 1; waits for it to come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._exchanges) >= number, WAIT_SECONDS), "no request came"
            return self._exchanges[number - 1]

    @property
    def requests(self) -> int:
        """How many came since `plays`."""
        return len(self._exchanges)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, HOST, 0, limit=2**24, backlog=1000))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                exchange = Exchange(head, b"", reader, writer)
                exchange.raw_body = await reader.readexactly(int(exchange.header("content-length") or 0))
                with self._changed:
                    self._exchanges.append(exchange)
                    self._changed.notify_all()
                try:
                    await exchange.run(self.script)
                finally:
                    exchange.finished.set()
                if exchange.client_left.is_set():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # an idle connection was closed
        except Exception as error:
            self.failures.append(error)
        finally:
            writer.close()


async def refuse(exchange: Exchange) -> None:
    """Nothing was to be asked."""
    await exchange.json({"error": {"message": "No script is playing.", "type": "test", "code": "no_script"}}, 400)


def dump(value: Json) -> bytes:
    return json.dumps(value).encode()


def chat_chunk(delta: Json, finish: str | None = None) -> bytes:
    """The payload of one event of a chat stream."""
    return dump(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }
    )


def chat_answer(content: str, **more: Any) -> Json:
    """A whole chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        **more,
    }


def saying(content: str) -> Script:
    """A script that answers every request with this text, as a stream if that was asked for."""

    async def script(exchange: Exchange) -> None:
        if exchange.body.get("stream"):
            wants_usage = (exchange.body.get("stream_options") or {}).get("include_usage")
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12} if wants_usage else None
            await exchange.words([content], usage)
        else:
            await exchange.json(chat_answer(content))

    return script


def failing(status: int, value: Json, *headers: str) -> Script:
    """A script that refuses every request."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(value, status, *headers)

    return script
