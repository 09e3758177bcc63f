"""One connection: framing, truncation, delivery in any pieces, bad peers, backpressure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.errors import HeadgateError, StreamIncomplete, StreamMalformed
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.connection import MAX_HEAD_BYTES, PAUSE_ABOVE_BYTES, Connection, Response
from headgate.providers.upstream.target import parse_target
from tests.providers.loopback import JSON_ANSWER, Peer, Server, answering, serving
from tests.providers.wire import Wire

OnEachLoop = Callable[[Coroutine[None, None, None]], None]
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Recorded:
    """A response as bytes, its body, and the shortest prefix of it that may pass as whole."""

    raw: bytes
    body: bytes
    whole_from: int


def recorded(head: bytes, rest: bytes, body: bytes, whole_from: int | None = None) -> Recorded:
    raw = head + b"\r\n\r\n" + rest
    return Recorded(raw, body, len(raw) if whole_from is None else whole_from)


UNTIL_CLOSE_HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream"
RECORDED = {
    "length": recorded(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5", b"hello", b"hello"),
    "chunked": recorded(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked",
        b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n",
        b"hello world",
    ),
    "trailers": recorded(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", b"5\r\nhello\r\n0\r\nx-sum: 1\r\nstatus: 9\r\n\r\n", b"hello"
    ),
    "informational": recorded(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2",
        b"ok",
        b"ok",
    ),
    "empty": recorded(b"HTTP/1.1 200 OK\r\ncontent-length: 0", b"", b""),
    "no content": recorded(b"HTTP/1.1 204 No Content\r\ncontent-length: 7", b"", b""),
    "until close": recorded(UNTIL_CLOSE_HEAD, b"data: 1\n\n", b"data: 1\n\n", whole_from=len(UNTIL_CLOSE_HEAD) + 4),
}


async def connect(server: Server) -> Connection:
    return await Connector(ConnectSettings()).open(parse_target(server.url))


async def read_all(response: Response) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


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


# --- over real sockets ---------------------------------------------------------------------------------------------


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


# --- over a wire in memory: any bytes, in any pieces ----------------------------------------------------------------


@dataclass
class Keeper:
    """Counts what an owner is told."""

    taken_back: int = 0
    forgotten: int = 0
    wire: Wire = field(default_factory=Wire)

    def take_back(self, connection: Connection) -> None:
        self.taken_back += 1

    def forget(self, connection: Connection) -> None:
        self.forgotten += 1


def deliver(pieces: list[bytes]) -> tuple[bytes, Keeper, Response]:
    """The body of the response that these pieces make, after which the connection ends. Raises what reading raises."""

    async def scenario() -> tuple[bytes, Keeper, Response]:
        connection, keeper = Connection("test"), Keeper()
        connection.connection_made(keeper.wire)
        connection.adopt(keeper)
        sending = asyncio.ensure_future(connection.send(REQUEST))
        await asyncio.sleep(0)
        for piece in pieces:
            if not keeper.wire.aborted:
                connection.data_received(piece)
        if not keeper.wire.aborted:
            connection.eof_received()
        response = await finish(sending, connection)
        body = await read_all(response)
        response.close()
        return body, keeper, response

    return asyncio.run(scenario())


async def finish(sending: asyncio.Future[Response], connection: Connection) -> Response:
    await asyncio.sleep(0)
    if not sending.done():
        connection.connection_lost(None)
    response = await sending
    if not response.ended:
        connection.connection_lost(None)
    return response


def split(raw: bytes, cuts: set[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(edges) if start < end]


def frame(body: bytes, framing: str, chunk_sizes: list[int]) -> bytes:
    if framing == "length":
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    if framing == "until close":
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    raw, rest = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body
    for size in chunk_sizes:
        if rest[:size]:
            raw += b"%x\r\n%s\r\n" % (len(rest[:size]), rest[:size])
        rest = rest[size:]
    if rest:
        raw += b"%X\r\n%s\r\n" % (len(rest), rest)
    return raw + b"0\r\n\r\n"


@pytest.mark.parametrize("name", RECORDED)
def test_byte_by_byte_is_the_same_as_at_once(name: str) -> None:
    raw = RECORDED[name].raw
    for pieces in ([raw], split(raw, set(range(len(raw))))):
        body, keeper, response = deliver(pieces)
        assert body == RECORDED[name].body
        assert (keeper.taken_back, keeper.forgotten) == ((0, 1) if name == "until close" else (1, 0))
        assert "x-sum" not in response.headers
        assert "link" not in response.headers


@given(
    body=st.binary(max_size=600),
    framing=st.sampled_from(["length", "chunked", "until close"]),
    chunk_sizes=st.lists(st.integers(1, 200), max_size=8),
    informational=st.integers(0, 2),
    cuts=st.sets(st.integers(0, 1000), max_size=40),
)
@example(body=b"0\r\n\r\n", framing="chunked", chunk_sizes=[1, 1], informational=1, cuts=set(range(200)))
def test_however_a_response_is_split_its_body_is_the_same(
    body: bytes, framing: str, chunk_sizes: list[int], informational: int, cuts: set[int]
) -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\n" * informational + frame(body, framing, chunk_sizes)
    assert deliver(split(raw, cuts))[0] == body


@given(
    name=st.sampled_from(sorted(RECORDED)),
    at=st.integers(0, 400),
    junk=st.binary(min_size=1, max_size=12),
    removed=st.integers(0, 12),
    cuts=st.sets(st.integers(0, 1000), max_size=5),
)
def test_damaged_bytes_end_in_an_answer_or_a_named_error(
    name: str, at: int, junk: bytes, removed: int, cuts: set[int]
) -> None:
    raw = RECORDED[name].raw
    at %= len(raw)
    try:
        deliver(split(raw[:at] + junk + raw[at + removed :], cuts))
    except HeadgateError as error:
        assert isinstance(error, StreamIncomplete | StreamMalformed)


OK = b"HTTP/1.1 200 OK\r\n"
MALFORMED = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "http/2": b"HTTP/2 200 OK\r\n\r\n",
    "http/0.9": b"<html>hello</html>",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "folded header": OK + b"x: a\r\n b\r\n\r\n",
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunked": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "length not a number": OK + b"content-length: +3\r\n\r\nabc",
    "length too large": OK + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "chunk size not a number": OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "chunk longer than said": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "gzip after chunked": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "almost chunked": OK + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "compressed": OK + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\na",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
    "one giant header": OK + b"x-giant: " + b"g" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "a header without end": OK + b"x-giant: " + b"g" * 2 * MAX_HEAD_BYTES,
    "many headers": OK
    + b"".join(b"x-%d: %s\r\n" % (n, b"m" * 100) for n in range(1000))
    + b"content-length: 0\r\n\r\n",
    "a flood of 100s": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "a trailer without end": OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: " + b"t" * 2 * MAX_HEAD_BYTES,
    "a chunk extension without end": OK + b"transfer-encoding: chunked\r\n\r\n1;x=" + b"e" * 2 * MAX_HEAD_BYTES,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_response_is_told_and_its_connection_dropped(name: str) -> None:
    raw = MALFORMED[name]
    for size in (4096, 60_000):
        pieces = split(raw, set(range(0, len(raw), size)))
        with pytest.raises(StreamMalformed, match=r"^test sent what is not an HTTP/1\.1 response"):
            deliver(pieces)


def test_headers_just_below_the_bound_pass() -> None:
    raw = OK + b"x-large: " + b"g" * (MAX_HEAD_BYTES - 100) + b"\r\ncontent-length: 2\r\n\r\nok"
    assert deliver([raw])[0] == b"ok"


@pytest.mark.parametrize("extra", [b"H", OK, JSON_ANSWER, b"\x00"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bytes_after_the_answer_spoil_the_connection_not_the_answer(framing: str, extra: bytes) -> None:
    raw = frame(b"hello", framing, [2])
    for pieces in ([raw + extra], [raw, extra], [raw[:-1], raw[-1:] + extra]):
        body, keeper, response = deliver(pieces)
        assert body == b"hello"
        assert "content-type" not in response.headers
        assert (keeper.taken_back, keeper.forgotten) == (0, 1)


@pytest.mark.parametrize("close", [b"HTTP/1.1 200 OK\r\nconnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_that_the_other_side_will_close_is_not_kept(close: bytes) -> None:
    body, keeper, _ = deliver([close + b"content-length: 2\r\n\r\nok"])
    assert body == b"ok"
    assert (keeper.taken_back, keeper.forgotten) == (0, 1)


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
