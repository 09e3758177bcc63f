"""What the upstream connection pool costs by itself: CPU time of a client per JSON answer and per streamed chunk.

The mock upstream runs in another process. `socket` is the floor: the same bytes written and counted on bare asyncio
transports, nothing parsed. aiohttp and httpx are measured beside it if they are installed.

    python -m benchmarks.pool --requests 20000 --streams 256
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import uvloop

from headgate.providers.openai import OpenAIProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Route

HOST = "127.0.0.1"
CONCURRENT = 32
EVENTS = 64
WARM_UP = 200
JSON_BODY = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "%s"}]}' % (b"word " * 400)
STREAM_BODY = b'{"stream": true, ' + JSON_BODY[1:]
KEY = "sk-benchmark"

Ask = Callable[[bytes], Awaitable[int]]  # sends a body, reads the whole answer, returns the pieces it came in
Opener = Callable[[int], AbstractAsyncContextManager[Ask]]  # by port


class Counter(asyncio.Protocol):
    """Writes a request and waits for its last bytes; reads nothing of what comes."""

    def __init__(self) -> None:
        self.done: asyncio.Future[int] | None = None
        self.ending = b""
        self.pieces = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, message: bytes, ending: bytes) -> asyncio.Future[int]:
        self.done, self.ending, self.pieces = asyncio.get_running_loop().create_future(), ending, 0
        self.transport.write(message)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.pieces += 1
        if self.done is not None and data.endswith(self.ending):
            self.done.set_result(self.pieces)


@asynccontextmanager
async def bare_sockets(port: int) -> AsyncIterator[Ask]:
    free: list[Counter] = []
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"

    async def ask(body: bytes) -> int:
        if free:
            counter = free.pop()
        else:
            _, counter = await asyncio.get_running_loop().create_connection(Counter, HOST, port)
        ending = b"0\r\n\r\n" if body is STREAM_BODY else b"}"
        pieces = await counter.ask(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body, ending)
        free.append(counter)
        return pieces

    yield ask
    for counter in free:
        counter.transport.close()


@asynccontextmanager
async def headgate_pool(port: int) -> AsyncIterator[Ask]:
    provider = OpenAIProvider("mock", Connector(ConnectSettings()), PoolSettings(), {})
    endpoint = f"http://{HOST}:{port}/v1"

    async def ask(body: bytes) -> int:
        response = await provider.send(Route.CHAT, body, endpoint=endpoint, api_key=KEY)
        pieces = 0
        while await response.read():
            pieces += 1
        response.close()
        return pieces

    yield ask
    await provider.aclose()


@asynccontextmanager
async def aiohttp_session(port: int) -> AsyncIterator[Ask]:
    import aiohttp  # type: ignore[import-not-found, unused-ignore]  # measured where it is installed, needed nowhere

    url, headers = f"http://{HOST}:{port}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)) as session:

        async def ask(body: bytes) -> int:
            async with session.post(url, data=body, headers=headers) as response:
                return sum([1 async for _ in response.content.iter_any()])

        yield ask


@asynccontextmanager
async def httpx_client(port: int) -> AsyncIterator[Ask]:
    import httpx

    url, headers = f"http://{HOST}:{port}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1000)) as client:

        async def ask(body: bytes) -> int:
            async with client.stream("POST", url, content=body, headers=headers) as response:
                return sum([1 async for _ in response.aiter_raw()])

        yield ask


async def cpu_micros(ask: Ask, body: bytes, times: int, concurrent: int) -> tuple[float, float]:
    """CPU microseconds of this process per request, and per piece of an answer."""
    left, pieces = times, 0

    async def work() -> None:
        nonlocal left, pieces
        while left > 0:
            left -= 1
            came_in = await ask(body)
            pieces += came_in

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrent)))
    micros = (time.process_time() - before) * 1e6
    return micros / times, micros / pieces


async def measure(name: str, opener: Opener, port: int, requests: int, streams: int) -> None:
    async with opener(port) as ask:
        await cpu_micros(ask, JSON_BODY, WARM_UP, CONCURRENT)
        one, _ = await cpu_micros(ask, JSON_BODY, requests // 4, 1)
        many, _ = await cpu_micros(ask, JSON_BODY, requests, CONCURRENT)
        _, chunk = await cpu_micros(ask, STREAM_BODY, streams, CONCURRENT)
    print(f"{name:10} {one:14.1f} {many:14.1f} {chunk:14.1f}")


async def wait_for_port(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"the mock upstream does not listen on port {port}")


async def compare(port: int, requests: int, streams: int) -> None:
    openers: dict[str, Opener] = {"socket": bare_sockets, "headgate": headgate_pool}
    if importlib.util.find_spec("aiohttp"):
        openers["aiohttp"] = aiohttp_session
    if importlib.util.find_spec("httpx"):
        openers["httpx"] = httpx_client
    await wait_for_port(port)
    print(f"CPU us     {'JSON, 1 conn.':>14} {f'JSON, {CONCURRENT} conn.':>14} {'chunk':>14}")
    for name, opener in openers.items():
        share = 1 if name in ("socket", "headgate") else 10  # slower ones need fewer repetitions
        await measure(name, opener, port, requests // share, max(CONCURRENT, streams // share))


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--port", type=int, default=9190)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--streams", type=int, default=256)
    chosen = options.parse_args()
    mock = [sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(chosen.port), "--events", str(EVENTS)]
    with subprocess.Popen(mock) as process:
        try:
            uvloop.run(compare(chosen.port, chosen.requests, chosen.streams))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
