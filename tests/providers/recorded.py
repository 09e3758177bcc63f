"""Responses as bytes, of every framing, and how the tests of one connection read them."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.providers.upstream.connection import Response

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


async def read_all(response: Response) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)
