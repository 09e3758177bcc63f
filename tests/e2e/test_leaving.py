"""Clients that leave in the middle of a stream: the upstream stops at once, and what was generated is billed."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import struct
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.gateway import ALICE, HOST, Gateway, Json
from tests.e2e.prompts import HELLO
from tests.e2e.upstream import WAIT_SECONDS, Exchange, Upstream, chat_chunk

WORDS = (" one", " two", " three", " four", " five", " six")  # a token each in the model's vocabulary
READ = 3  # words that the client has read when it leaves


async def stepwise(exchange: Exchange) -> None:
    """Send a few words, then one more each time the test says so."""
    await exchange.begin_stream()
    await exchange.event(chat_chunk({"role": "assistant", "content": ""}))
    for number, word in enumerate(WORDS):
        if number >= READ:
            await exchange.told_to_go_on()
        await exchange.event(chat_chunk({"content": word}))
    await exchange.event(chat_chunk({}, finish="stop"))
    await exchange.event(b"[DONE]")
    await exchange.end_stream()


def left(gateway: Gateway, upstream: Upstream, request_id: str) -> Json:
    """Assert that the upstream was left while it was silent, and return the ledger's row."""
    exchange = upstream.exchange()
    assert exchange.client_left.wait(WAIT_SECONDS), "the upstream was not stopped"
    assert exchange.chunks_sent == 1 + READ, "the upstream was to be stopped without another chunk"
    row = gateway.row(request_id)
    assert row["outcome"] == "disconnected"
    assert row["tokens_counted"] == "estimated"
    assert row["output_tokens"] == READ
    assert row["cost_usd"] == f"{(row['input_tokens'] + 2 * READ) / 1e6:.6f}"
    assert [attempt["outcome"] for attempt in row["attempts"]] == ["disconnected"]
    gateway.is_quiet()
    return row


def test_the_python_package_leaves(client: openai.OpenAI, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(stepwise)
    stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
    words = [next(stream).choices[0].delta.content for _ in range(1 + READ)]
    assert words == ["", *WORDS[:READ]]
    stream.close()
    left(gateway, upstream, stream.response.headers["x-request-id"])


def test_the_async_package_leaves(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(stepwise)

    async def scenario() -> str:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE) as client:
            stream = await client.chat.completions.create(model="small", messages=HELLO, stream=True)
            for _ in range(1 + READ):
                await anext(stream)
            await stream.close()
            request_id: str = stream.response.headers["x-request-id"]
            return request_id

    left(gateway, upstream, asyncio.run(scenario()))


def test_a_task_that_is_cancelled_leaves(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(stepwise)

    async def scenario() -> str:
        request_ids: list[str] = []
        read = asyncio.Event()

        async def ask() -> None:
            async with (
                openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE) as client,
                await client.chat.completions.create(model="small", messages=HELLO, stream=True) as stream,
            ):
                request_ids.append(stream.response.headers["x-request-id"])
                count = 0
                async for _ in stream:
                    count += 1
                    if count == 1 + READ:
                        read.set()

        task = asyncio.create_task(ask())
        await read.wait()
        task.cancel()
        await asyncio.wait({task})
        return request_ids[0]

    left(gateway, upstream, asyncio.run(scenario()))


class RawStream:
    """A streaming request on a bare socket, read up to the point where the test leaves."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.create_connection((HOST, gateway.port), timeout=WAIT_SECONDS)
        body = json.dumps({"model": "small", "messages": HELLO, "stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n"
        self.socket.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.response = http.client.HTTPResponse(self.socket)
        self.response.begin()
        self.request_id = self.response.headers["x-request-id"]
        for _ in range(1 + READ):
            self.response.readline()
            assert self.response.readline() == b"\n"

    def close(self) -> None:
        self.response.close()
        self.socket.close()


@pytest.fixture
def raw_stream(gateway: Gateway, upstream: Upstream) -> Iterator[RawStream]:
    upstream.plays(stepwise)
    stream = RawStream(gateway)
    yield stream
    stream.close()


def test_a_socket_is_closed(raw_stream: RawStream, gateway: Gateway, upstream: Upstream) -> None:
    raw_stream.close()
    left(gateway, upstream, raw_stream.request_id)


def test_a_socket_is_reset(raw_stream: RawStream, gateway: Gateway, upstream: Upstream) -> None:
    raw_stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw_stream.close()
    left(gateway, upstream, raw_stream.request_id)


def test_a_socket_is_half_closed(raw_stream: RawStream, gateway: Gateway, upstream: Upstream) -> None:
    """On the wire nobody can tell that from a client that left."""
    raw_stream.socket.shutdown(socket.SHUT_WR)
    left(gateway, upstream, raw_stream.request_id)
    with pytest.raises(http.client.IncompleteRead):
        raw_stream.response.read()


def test_a_client_that_leaves_with_another_request_under_way(
    raw_stream: RawStream, gateway: Gateway, upstream: Upstream
) -> None:
    """Nothing is read while a request waits for its turn, so it takes a chunk or two to find that nobody is there."""
    raw_stream.socket.sendall(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n\r\n".encode())
    gateway.request("GET", "/healthz")  # the gateway has read it
    raw_stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw_stream.close()
    exchange = upstream.exchange()
    for _ in WORDS[READ + 1 :]:
        exchange.go_on()
        exchange.client_left.wait(1)
    assert exchange.client_left.wait(WAIT_SECONDS)
    assert gateway.row(raw_stream.request_id)["outcome"] == "disconnected"
    gateway.is_quiet()


def test_a_client_that_leaves_before_the_first_word(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(Exchange.silence)
    connection = http.client.HTTPConnection(HOST, gateway.port)
    body = json.dumps({"model": "small", "messages": HELLO, "stream": True})
    gateway.is_quiet()
    known = {row["id"] for row in gateway.ledger()}
    connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {ALICE}"})
    exchange = upstream.exchange()
    connection.close()
    assert exchange.client_left.wait(WAIT_SECONDS)
    row = gateway.eventually(lambda: next((row for row in gateway.ledger() if row["id"] not in known), None))
    assert (row["outcome"], row["output_tokens"]) == ("disconnected", 0)
    gateway.is_quiet()


def test_a_client_that_leaves_a_plain_request(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(Exchange.silence)
    connection = http.client.HTTPConnection(HOST, gateway.port)
    body = json.dumps({"model": "small", "messages": HELLO})
    connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {ALICE}"})
    exchange = upstream.exchange()
    connection.close()
    assert exchange.client_left.wait(WAIT_SECONDS)
    gateway.is_quiet()


def test_a_gateway_that_is_to_read_on(finishing_gateway: Gateway, upstream: Upstream) -> None:
    """`on_disconnect: finish`: the upstream is read to its end, and what it says it used is what is billed."""
    upstream.plays(stepwise)
    stream = RawStream(finishing_gateway)
    stream.close()
    exchange = upstream.exchange()
    for _ in WORDS[READ:]:
        exchange.go_on()
    row = finishing_gateway.row(stream.request_id)
    assert exchange.finished.wait(WAIT_SECONDS) and not exchange.client_left.is_set()
    assert row["output_tokens"] == len(WORDS)
    assert row["undelivered"] or row["outcome"] == "disconnected"
    finishing_gateway.is_quiet()
