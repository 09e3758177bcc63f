"""One connection over real sockets: truncation, backpressure, cancellation, reuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from headgate.errors import StreamIncomplete
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.connection import PAUSE_ABOVE_BYTES, Connection, Response
from headgate.providers.upstream.target import parse_target
from tests.providers.loopback import JSON_ANSWER, Peer, Server, answering, serving
from tests.providers.recorded import RECORDED, REQUEST, read_all

OnEachLoop = Callable[[Coroutine[None, None, None]], None]


async def connect(server: Server) -> Connection:
    return await Connector(ConnectSettings()).open(parse_target(server.url))


async def ask(connection: Connection) -> bytes:
    response = await connection.send(REQUEST)
    try:
        return await read_all(response)
    finally:
        response.close()


async def filled(response: Response) -> None:
    """Until more has arrived than is taken while nobody reads."""
    while response.buffered <= PAUSE_ABOVE_BYTES:  # noqa: ASYNC110  the socket fills it, and tells nobody else
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", RECORDED)
def test_a_whole_response_is_read(name: str, on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        assert await peer.request() == (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n",
            b"{}",
        )
        await peer.send(RECORDED[name].raw)

    async def scenario() -> None:
        async with serving(handler) as server:
            assert await ask(await connect(server)) == RECORDED[name].body

    on_each_loop(scenario())


@pytest.mark.parametrize("with_reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("name", RECORDED)
def test_a_response_cut_at_any_byte_is_never_whole(name: str, with_reset: bool, on_each_loop: OnEachLoop) -> None:
    response = RECORDED[name]
    cuts = iter(range(len(response.raw)))

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(response.raw[: next(cuts)])
        if with_reset:
            peer.reset()

    async def scenario() -> None:
        async with serving(handler) as server:
            for cut in range(len(response.raw)):
                connection = await connect(server)
                if cut >= response.whole_from and not with_reset:
                    assert response.body.startswith(await ask(connection)), cut
                else:
                    with pytest.raises(StreamIncomplete):
                        await ask(connection)
                connection.abort()

    on_each_loop(scenario())


def test_a_connection_lost_before_the_head_is_told_from_one_lost_in_the_body(on_each_loop: OnEachLoop) -> None:
    heads = [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"]

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(heads.pop(0))

    async def scenario() -> None:
        async with serving(handler) as server:
            with pytest.raises(StreamIncomplete, match="before it answered"):
                await (await connect(server)).send(REQUEST)
            response = await (await connect(server)).send(REQUEST)
            assert await response.read() == b"hel"
            for _ in range(2):
                with pytest.raises(StreamIncomplete, match="in the middle"):
                    await response.read()
            response.close()

    on_each_loop(scenario())


def test_a_body_is_read_as_it_arrives(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        turns: asyncio.Queue[bytes] = asyncio.Queue()

        async def handler(peer: Peer) -> None:
            await peer.request()
            while piece := await turns.get():
                await peer.send(piece)

        async with serving(handler) as server:
            turns.put_nowait(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            response = await (await connect(server)).send(REQUEST)
            for word in (b"one", b"two", b"three"):
                turns.put_nowait(b"%x\r\n%s\r\n" % (len(word), word))
                assert await response.read() == word
            turns.put_nowait(b"0\r\n\r\n")
            assert await response.read() == b""
            response.close()
            turns.put_nowait(b"")

    on_each_loop(scenario())


def test_a_fast_sender_is_held_back_while_nobody_reads_and_goes_on_afterwards(on_each_loop: OnEachLoop) -> None:
    size, block = 48_000_000, b"x" * 1_000_000
    sent = 0

    async def handler(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            await peer.send(block)
            sent += len(block)

    async def scenario() -> None:
        async with serving(handler) as server:
            response = await (await connect(server)).send(REQUEST)
            await filled(response)
            for _ in range(2000):  # rounds of the loop in which all of it could be sent
                await asyncio.sleep(0)
            assert response.buffered <= 2 * PAUSE_ABOVE_BYTES
            assert sent < size / 2
            assert len(await read_all(response)) == size
            response.close()

    on_each_loop(scenario())


def test_a_paused_connection_that_is_lost_still_gives_what_arrived(on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_000_000)

    async def scenario() -> None:
        async with serving(handler) as server:
            response = await (await connect(server)).send(REQUEST)
            await filled(response)
            received = 0
            with pytest.raises(StreamIncomplete):
                while piece := await response.read():
                    received += len(piece)
            assert received == 1_000_000
            response.close()

    on_each_loop(scenario())


def test_a_request_answered_before_it_was_written_leaves_a_useless_connection(on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    async def scenario() -> None:
        async with serving(handler) as server:
            connection = await connect(server)
            response = await connection.send(REQUEST + b"x" * 50_000_000)
            assert response.status == 413
            assert await response.read() == b""
            response.close()
            assert connection.closed

    on_each_loop(scenario())


@pytest.mark.parametrize("step", ["head", "body", "upload"])
def test_cancelling_reaches_the_socket_at_once(step: str, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        arrived, gone = asyncio.Event(), asyncio.Event()

        async def handler(peer: Peer) -> None:
            if step == "upload":
                await peer.reader.readexactly(1000)
            else:
                await peer.request()
            if step == "body":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel")
            arrived.set()
            await peer.gone()
            gone.set()

        async with serving(handler) as server:
            connection = await connect(server)
            message = REQUEST + b"x" * (50_000_000 if step == "upload" else 0)

            async def exchange() -> None:
                response = await connection.send(message)
                try:
                    await read_all(response)
                finally:
                    response.close()

            task = asyncio.ensure_future(exchange())
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert connection.closed
            await gone.wait()

    on_each_loop(scenario())


def test_an_idle_connection_that_is_spoken_to_is_closed(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        speak, gone = asyncio.Event(), asyncio.Event()

        async def handler(peer: Peer) -> None:
            await peer.request()
            await peer.send(JSON_ANSWER)
            await speak.wait()
            await peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            await peer.gone()
            gone.set()

        async with serving(handler) as server:
            connection = await connect(server)
            assert await ask(connection) == b'{"ok":true}'
            assert not connection.closed
            speak.set()
            await gone.wait()
            assert connection.closed

    on_each_loop(scenario())


def test_a_connection_serves_one_request_after_another(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(
            answering(*(RECORDED[name].raw for name in ("chunked", "trailers", "length", "empty")))
        ) as server:
            connection = await connect(server)
            assert [await ask(connection) for _ in range(5)] == [b"hello world", b"hello", b"hello", b"", b""]
            assert len(server.peers) == 1
            connection.abort()

    on_each_loop(scenario())
