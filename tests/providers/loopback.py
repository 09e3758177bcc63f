"""Real servers on loopback for the tests of the upstream client: they do what a test says, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

HOST = "127.0.0.1"
JSON_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}'


class Gone(Exception):
    """The other side has closed the connection."""


class Peer:
    """One connection that a server has accepted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.requests: list[tuple[str, bytes]] = []

    async def request(self) -> tuple[str, bytes]:
        """The next request's head and body. Raises Gone."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            body = await self.reader.readexactly(int(header(head, "content-length") or 0))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Gone from error
        self.requests.append((head, body))
        return head, body

    async def send(self, data: bytes) -> None:
        """Raises Gone."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Gone from error

    async def gone(self) -> None:
        """Until the other side closes or resets the connection."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65_536):
                pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Handler = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs `handler` for every connection; `check` tells what went wrong in one."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.port = 0
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.running: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self.serve(Peer(reader, writer)))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def serve(self, peer: Peer) -> None:
        self.peers.append(peer)
        try:
            await self.handler(peer)
        except Gone:
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            peer.writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await peer.writer.wait_closed()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.accept, HOST, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await _end(listener, server)
    assert not server.failures, server.failures


async def _end(listener: asyncio.Server, server: Server) -> None:
    """A connection that was accepted just now is no task yet, or one that has not begun: cancelled in that moment, it
    would leave its socket open."""
    for accepting in listener.sockets:
        asyncio.get_running_loop().remove_reader(accepting.fileno())
    for _ in range(5):  # a task for the connection, its transport, our task, and that task's beginning
        await asyncio.sleep(0)
    listener.close()
    while server.running:
        for task in list(server.running):
            task.cancel()
        await asyncio.gather(*server.running, return_exceptions=True)


def answering(*answers: bytes) -> Handler:
    """Answers every request on a connection with the next of the answers, then with the last again and again."""

    async def handler(peer: Peer) -> None:
        count = 0
        while True:
            await peer.request()
            await peer.send(answers[min(count, len(answers) - 1)])
            count += 1

    return handler


def tunnelling(authorization: str = "") -> Handler:
    """An HTTP proxy for CONNECT; with `authorization` it answers 407 to whoever does not send that."""

    async def handler(peer: Peer) -> None:
        head, _ = await peer.request()
        if authorization and header(head, "proxy-authorization") != authorization:
            await peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        host, _, port = head.split()[1].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pour(peer.reader, writer), pour(reader, peer.writer))
        finally:
            writer.close()

    return handler


async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


def header(head: str, name: str) -> str | None:
    for line in head.split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.lower() == name:
            return value.strip()
    return None
