"""Clients that notice everything: a raw HTTP/1.1 client, and many of them that go on asking."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"
DONE = b"data: [DONE]\n\n"


class NoAnswer(Exception):
    """The connection was refused, or ended before the first byte of an answer."""


@dataclass(frozen=True)
class Response:
    """What came of a request. `whole`: the HTTP message came to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def complete(self) -> bool:
        """A success that was received whole, to the end marker."""
        return self.whole and self.status == 200 and (not self.is_stream or self.body.endswith(DONE))

    @property
    def code(self) -> str:
        """The code of the error that it is or that it ends with."""
        last = self.body.rstrip(b"\n").rpartition(b"\n")[2].removeprefix(b"data: ") if self.is_stream else self.body
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return str(json.loads(last)["error"]["code"])
        return ""


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.port: int = writer.get_extra_info("sockname")[1]  # of this end

    async def ask(self, method: str, path: str, key: str, body: bytes = b"") -> Response:
        """Send a request and read the answer, or what there is of it. Raises NoAnswer."""
        await self.send(method, path, key, body)
        return await self.response()

    async def send(self, method: str, path: str, key: str, body: bytes = b"", headers: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
        self._writer.write(f"{head}{headers}content-length: {len(body)}\r\n\r\n".encode() + body)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def response(self) -> Response:
        status, headers = await self.head()
        return await self.rest(status, headers)

    async def head(self) -> tuple[int, dict[str, str]]:
        try:
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(str(error)) from error
        pairs = (line.partition(": ") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, _, value in pairs}

    async def rest(self, status: int, headers: dict[str, str]) -> Response:
        received: list[bytes] = []
        try:
            if "content-length" in headers:
                received.append(await self._reader.readexactly(int(headers["content-length"])))
            else:
                async for chunk in self.chunks():
                    received.append(chunk)
        except (OSError, asyncio.IncompleteReadError):
            return Response(status, headers, b"".join(received), whole=False)
        return Response(status, headers, b"".join(received), whole=True)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Of a chunked body, to its end. Raises OSError or IncompleteReadError if there is none."""
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            data = await self._reader.readexactly(size + 2)
            if size == 0:
                return
            yield data[:-2]

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def connect(port: int) -> Connection:
    """Raises NoAnswer."""
    try:
        return Connection(*await asyncio.open_connection(HOST, port))
    except OSError as error:
        raise NoAnswer(str(error)) from error


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection for the time of a block. Raises NoAnswer."""
    connection = await connect(port)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(port: int, method: str, path: str, key: str, body: bytes = b"") -> Response:
    """On a connection of its own. Raises NoAnswer."""
    async with connected(port) as connection:
        return await connection.ask(method, path, key, body)


def chat(*, stream: bool, **script: object) -> bytes:
    """A request; `script` tells the upstream how to answer it."""
    messages = [{"role": "user", "content": "Tell me what you were told."}]
    return json.dumps({"model": "told", "messages": messages, "stream": stream, "script": script}).encode()


class Load:
    """Clients that ask one thing after the other until the block ends; each takes the next of the bodies in turn.

    Who gets no answer at all asks again, on a new connection, as every HTTP client does. While `open` is not set nobody
    asks.
    """

    def __init__(self, port: int, key: str, bodies: Sequence[bytes], clients: int) -> None:
        self.responses: list[Response] = []
        self.unanswered = 0
        self.longest_wait_seconds = 0.0  # from asking to the head of an answer, however often that took
        self.open = asyncio.Event()
        self.open.set()
        self._port, self._key, self._bodies, self._clients = port, key, bodies, clients
        self._arrived = asyncio.Condition()
        self._leaving = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask_on(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ask no more; return when what is under way has its answers."""
        self._leaving = True
        self.open.set()
        await asyncio.gather(*self._tasks)

    async def receive(self, count: int) -> None:
        """Wait until so many more responses have come."""
        target = len(self.responses) + count
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.responses) >= target)

    async def receive_one(self, code: str) -> Response:
        """Wait for a response with this error code."""
        seen = len(self.responses)

        def found() -> Response | None:
            return next((response for response in self.responses[seen:] if response.code == code), None)

        async with self._arrived:
            await self._arrived.wait_for(lambda: found() is not None)
        response = found()
        assert response is not None
        return response

    @property
    def complete(self) -> list[Response]:
        return [response for response in self.responses if response.complete]

    @property
    def failures(self) -> list[Response]:
        return [response for response in self.responses if not response.complete]

    async def _ask_on(self, number: int) -> None:
        loop, connection, waiting_since = asyncio.get_running_loop(), None, None
        for turn in itertools.count(number):
            if self._leaving:
                break
            await self.open.wait()
            waiting_since = waiting_since or loop.time()
            try:
                connection = connection or await connect(self._port)
                await connection.send("POST", "/v1/chat/completions", self._key, self._bodies[turn % len(self._bodies)])
                status, headers = await connection.head()
            except NoAnswer:
                self.unanswered += 1
                connection = await _closed(connection)
                await asyncio.sleep(0.02)  # nothing tells when somebody listens again
                continue
            self.longest_wait_seconds = max(loop.time() - waiting_since, self.longest_wait_seconds)
            waiting_since = None
            response = await connection.rest(status, headers)
            if not response.whole or headers.get("connection") == "close":
                connection = await _closed(connection)
            async with self._arrived:
                self.responses.append(response)
                self._arrived.notify_all()
        await _closed(connection)


async def _closed(connection: Connection | None) -> None:
    if connection is not None:
        await connection.close()


def ids(responses: Iterable[Response]) -> set[str]:
    return {response.id for response in responses}
