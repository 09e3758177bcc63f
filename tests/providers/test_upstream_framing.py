"""One connection over a wire in memory: any bytes, in any pieces, from good and bad peers."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.errors import HeadgateError, StreamIncomplete, StreamMalformed
from headgate.providers.upstream.connection import MAX_HEAD_BYTES, Connection, Response
from tests.providers.loopback import JSON_ANSWER
from tests.providers.recorded import RECORDED, REQUEST, read_all
from tests.providers.wire import Wire


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
