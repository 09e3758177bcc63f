"""Limits of a connection and of the process, each small enough to be reached (`strict_gateway`)."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.gateway import ADMIN_KEY, ALICE, CAROL, Gateway
from tests.e2e.upstream import Exchange, Upstream, chat_answer, chat_chunk, saying
from tests.e2e.wire import CHAT, HELLO_BODY, STREAM_BODY, WAIT_SECONDS, Wire, ask, head, post

BIG = b"x" * 50_000


def long_body(size: int) -> bytes:
    return HELLO_BODY[:-1] + b', "padding": "' + b"x" * (size - len(HELLO_BODY) - 15) + b'"}'


# --- sizes ---


def test_a_body_of_just_the_allowed_size(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    body = long_body(100_000)
    assert len(body) == 100_000
    assert ask(strict_gateway, post(body)).status == 200
    assert ask(strict_gateway, post(long_body(100_001))).status == 413


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(strict_gateway: Gateway, path: str) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", path, "content-length: 1000000000"))
        wire.receive().is_refusal(413, "body_too_large")
        assert wire.ended()


@pytest.mark.parametrize(("path", "key", "limit"), [(CHAT, ALICE, 100_000), ("/admin/keys", ADMIN_KEY, 1_000_000)])
def test_a_chunked_body_is_refused_when_it_becomes_too_large(
    strict_gateway: Gateway, path: str, key: str, limit: int
) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", path, "transfer-encoding: chunked", key=key))
        for _ in range(limit // len(BIG) + 1):
            wire.send(b"%x\r\n%b\r\n" % (len(BIG), BIG))
        wire.receive().is_refusal(413, "body_too_large")


def test_a_client_that_cannot_stop_sending_reads_its_error(strict_gateway: Gateway) -> None:
    """It is read from for a while, so that its own sending does not tear the error down."""
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", CHAT, "content-length: 3000000"), b"x" * 3_000_000)
        wire.receive().is_refusal(413, "body_too_large")


def test_a_client_that_never_stops_sending_is_cut(strict_gateway: Gateway) -> None:
    with Wire(strict_gateway) as wire, pytest.raises(ConnectionError):
        wire.send(head("POST", CHAT, "content-length: 1000000000000"))
        wire.receive().is_refusal(413, "body_too_large")
        while True:
            wire.send(BIG)


@pytest.mark.parametrize("sent", [b"", b"{", b"x" * 20_000])
def test_a_stranger_is_refused_before_the_body_comes(strict_gateway: Gateway, sent: bytes) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", CHAT, "content-length: 90000", key="hg-nobody"), sent)
        wire.receive().is_refusal(401, "invalid_api_key")
        assert wire.ended()


# --- slow senders ---


@pytest.mark.parametrize(
    "part",
    [b"P", head()[:-4], head("POST", CHAT, "content-length: 100"), post(HELLO_BODY)[:-1]],
    ids=["method", "headers", "no body", "body"],
)
def test_a_slow_sender(strict_gateway: Gateway, upstream: Upstream, part: bytes) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(part)
        response = wire.receive()
        response.is_refusal(408, "request_timeout")
        assert wire.ended()
    assert upstream.requests == 0


def test_a_slow_sender_on_a_cold_route(strict_gateway: Gateway) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", "/admin/keys", "content-length: 100", key=ADMIN_KEY), b'{"tenant"')
        wire.receive().is_refusal(408, "request_timeout")
        assert wire.ended()


def test_a_trickle_is_slow_too(strict_gateway: Gateway) -> None:
    """Each byte comes in time, the request does not."""
    data = post(HELLO_BODY)
    with Wire(strict_gateway) as wire:
        wire.socket.settimeout(0.05)
        answered = False
        for place in range(len(data)):
            wire.send(data[place : place + 1])
            with contextlib.suppress(TimeoutError):
                answered = bool(wire.socket.recv(1, socket.MSG_PEEK))
                break
        assert answered
        wire.receive().is_refusal(408, "request_timeout")


def test_a_client_that_says_nothing_is_disconnected(strict_gateway: Gateway) -> None:
    with Wire(strict_gateway) as wire:
        assert wire.ended()
    with Wire(strict_gateway) as wire:
        wire.send(b"\r\n\r\n")
        assert wire.ended()


# --- slow readers ---


async def flood(exchange: Exchange) -> None:
    """A stream without end."""
    await exchange.begin_stream()
    while True:
        await exchange.event(chat_chunk({"content": " word" * 2000}))


def test_a_reader_that_takes_nothing_is_dropped(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(flood)
    with Wire(strict_gateway) as wire:
        wire.send(post(STREAM_BODY))
        request_id = wire.headers()["x-request-id"]
        exchange = upstream.exchange()
        assert exchange.client_left.wait(WAIT_SECONDS), "the upstream goes on for nobody"
        sent = exchange.chunks_sent * len(" word" * 2000)
        assert sent < 60_000_000, "what nobody takes is not kept"
        row = strict_gateway.row(request_id)
        assert (row["outcome"], row["tokens_counted"]) == ("disconnected", "estimated")
        strict_gateway.is_quiet()


def test_a_reader_of_a_large_answer_that_takes_nothing_is_dropped(strict_gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(chat_answer("x" * 30_000_000))

    upstream.plays(script)
    with Wire(strict_gateway) as wire:
        wire.send(post(HELLO_BODY))
        request_id = wire.headers()["x-request-id"]
        assert strict_gateway.row(request_id)["outcome"] == "done"  # it was received whole, and is paid for
        strict_gateway.eventually(lambda: strict_gateway.row(request_id)["undelivered"] or None)
        strict_gateway.is_quiet()


def test_a_slow_reader_gets_everything(strict_gateway: Gateway, upstream: Upstream) -> None:
    """Slower than the upstream by far, but never idle for `send_seconds`."""

    async def script(exchange: Exchange) -> None:
        await exchange.words([" word" * 2000] * 1500)

    upstream.plays(script)
    with Wire(strict_gateway) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wire.send(post(STREAM_BODY))
        assert wire.receive().body.endswith(b"data: [DONE]\n\n")


def test_a_client_that_pipelines_and_does_not_read(strict_gateway: Gateway, upstream: Upstream) -> None:
    """Answers must not pile up in memory: the next request waits until the client has taken the answers before."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(chat_answer("x" * 1_000_000))

    upstream.plays(script)
    with Wire(strict_gateway) as wire, contextlib.suppress(ConnectionError):
        wire.send(*[post(HELLO_BODY)] * 100)
        strict_gateway.has_no_clients()
    assert upstream.requests < 30
    strict_gateway.is_quiet()


# --- the process ---


@pytest.fixture
def four_under_way(strict_gateway: Gateway, upstream: Upstream) -> Iterator[list[Wire]]:
    """As many requests as the process takes, none answered yet."""

    async def script(exchange: Exchange) -> None:
        await exchange.told_to_go_on()
        await exchange.json(chat_answer("late"))

    upstream.plays(script)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(strict_gateway)) for _ in range(4)]
        for number, wire in enumerate(wires, 1):
            wire.send(post(HELLO_BODY))
            upstream.exchange(number)
        yield wires
    strict_gateway.is_quiet()


def test_more_than_may_be_under_way(strict_gateway: Gateway, upstream: Upstream, four_under_way: list[Wire]) -> None:
    response = ask(strict_gateway, post(HELLO_BODY))
    response.is_refusal(503, "overloaded")
    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("1", "1000")
    assert response.headers.get("x-should-retry") != "false"
    assert strict_gateway.request("GET", "/readyz")[0] == 200
    for number, wire in enumerate(four_under_way, 1):
        upstream.exchange(number).go_on()
        assert b"late" in wire.receive().body
    upstream.plays(saying("x"))
    assert ask(strict_gateway, post(HELLO_BODY, key=CAROL)).status == 200


def test_more_connections_than_there_may_be(strict_gateway: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        wires: list[Wire] = []
        for _ in range(40):
            wires.append(stack.enter_context(Wire(strict_gateway)))
            wires[-1].send(head("GET", "/healthz"))
            assert wires[-1].receive("GET").status == 200
        assert stack.enter_context(Wire(strict_gateway)).ended()
        wires[0].send(head("GET", "/healthz"))
        assert wires[0].receive("GET").status == 200
    strict_gateway.has_no_clients()


def test_many_clients_at_once_that_all_do_something_else(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    doings = [
        post(HELLO_BODY),
        post(STREAM_BODY),
        post(b"{"),
        head("GET", "/v1/models"),
        b"nonsense\r\n\r\n",
        head()[:20],
    ]

    def one(number: int) -> int:
        with Wire(strict_gateway) as wire:
            wire.send(doings[number % len(doings)])
            if number % 5 == 0:
                wire.reset()
                return 0
            return wire.receive().status

    with ThreadPoolExecutor(12) as pool:
        statuses = set(pool.map(one, range(120)))
    assert statuses <= {0, 200, 400, 408, 503}
    strict_gateway.is_quiet()
    assert json.loads(strict_gateway.request("GET", "/readyz")[2])
