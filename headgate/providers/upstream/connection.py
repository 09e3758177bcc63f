"""One HTTP/1.1 client connection: writes a request, parses its response, holds the sender back when nobody reads.

It owns the socket, the parser and the framing of one message at a time. It must not know of providers, JSON or pools:
whoever keeps it is told through `Owner` when it may be used again and when it is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, cast

import httptools
import msgspec

from headgate.errors import HeadgateError, StreamIncomplete, StreamMalformed
from headgate.ports import Take
from headgate.writing import Batch

MAX_HEAD_BYTES = 65_536
PAUSE_ABOVE_BYTES = 262_144
BODILESS = (204, 304)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class StaleConnection(StreamIncomplete):
    """A connection that had served before was closed by the other side before it answered a byte: ask on a new one."""


class Owner(Protocol):
    """Who keeps a connection."""

    def take_back(self, connection: Connection) -> None:
        """The connection is whole and free for another request."""

    def forget(self, connection: Connection) -> None:
        """The connection is gone. Told once."""


class Response(msgspec.Struct, eq=False):
    """One answer being read, as the port `UpstreamResponse` has it. The connection lives longer.

    `ended` without a `failure` means that the HTTP message came whole.
    """

    _loop: asyncio.AbstractEventLoop
    _connection: Connection | None
    status: int = 0
    headers: Mapping[str, str] = NO_HEADERS
    pieces: list[bytes] = []
    buffered: int = 0  # bytes
    ended: bool = False
    failure: HeadgateError | None = None
    keep_alive: bool = False
    waiter: asyncio.Future[None] | None = None
    take: Take | None = None  # whoever wants the pieces at once
    _refused: bool = False

    async def wait(self) -> None:
        """Until something arrives: the head, a piece of the body, the end. For one reader; safe to cancel."""
        self.waiter = self._loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def end(self, failure: HeadgateError | None = None) -> None:
        self.ended = True
        self.failure = failure
        self.wake()

    async def read(self) -> bytes:
        """What has arrived, b"" at the clean end. Raises StreamIncomplete or StreamMalformed. Safe to cancel."""
        while not self.pieces and not self.ended:
            await self.wait()
        if self.pieces:
            return self._collect()
        if self.failure is not None:
            raise self.failure
        return b""

    async def relay(self, take: Take) -> bool:
        """As the port says. The reader's task sleeps while `take` is called from the socket's callback."""
        self._refused = False
        while not self._refused:
            if self.pieces:
                if not take(self._collect()):
                    return False
            elif self.ended:
                if self.failure is not None:
                    raise self.failure
                return True
            else:
                self.take = take
                try:
                    await self.wait()
                finally:
                    self.take = None
        return False

    def refuse(self) -> None:
        """Whoever took the pieces at once wants no more now: let the task go on."""
        self.take, self._refused = None, True
        self.wake()

    def _collect(self) -> bytes:
        pieces = self.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered = 0
        if self._connection is not None:
            self._connection.resume()
        return body

    def close(self) -> None:
        """Give the connection back if the message has ended, else abort it at once. May be repeated."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.finish(self)
        if not self.ended:
            self.end(StreamIncomplete("The answer was closed before its end."))


class Connection(asyncio.Protocol):
    """One connection to `peer` (its name in messages). Idle, busy with one request, or closed for ever."""

    __slots__ = (
        "_batch", "_head", "_owner", "_parser", "_paused", "_peer", "_response", "_reused",
        "_silent_bytes", "_transport", "_until_close", "closed", "loop",
    )  # fmt: skip

    def __init__(self, peer: str, batch: Batch | None = None) -> None:
        """Requests are sent with those that others write to the same batch in the same round of the loop."""
        self._peer = peer
        # Kept, because Python 3.11 makes a system call each time it looks for the running loop.
        self.loop = asyncio.get_running_loop()
        self._batch = batch or Batch(self.loop)
        self._owner: Owner | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: Response | None = None
        self._head: list[bytes] = []  # names and values of headers, in turn; later of trailers
        self._silent_bytes = 0  # bytes since the request or the last piece of a body
        self._until_close = False  # the body ends when the connection does
        self._paused = False
        self._reused = False
        self.closed = False

    def adopt(self, owner: Owner) -> None:
        """From now on tell this owner."""
        self._owner = owner

    async def send(self, message: bytes) -> Response:
        """Write a whole request and wait for the head of its response. Cancelling it aborts the connection.

        Raises StaleConnection, StreamIncomplete or StreamMalformed.
        """
        if self.closed or self._transport is None:
            raise StaleConnection(f"{self._peer} closed the connection before it was used.")
        response = self._response = Response(self.loop, self)
        self._head = []
        self._silent_bytes = 0
        self._until_close = False
        self._batch.write(self._transport, message)
        try:
            await response.wait()
        except asyncio.CancelledError:
            self.abort()
            raise
        if not response.status and response.failure is not None:
            raise response.failure
        return response

    def finish(self, response: Response) -> None:
        """The reader is done. A request that is still being written makes the connection useless for the next one."""
        self._response = None
        transport = self._transport
        whole = response.ended and response.failure is None and response.keep_alive
        if self.closed or not whole or transport is None or transport.get_write_buffer_size():
            self.abort()
            return
        self._reused = True
        self.resume()
        if self._owner is not None:
            self._owner.take_back(self)

    def abort(self) -> None:
        """Close the socket at once, sending nothing more."""
        if self._transport is not None:
            self._transport.abort()
        self._gone()

    def resume(self) -> None:
        """Let the other side go on, if it was held back."""
        if self._paused and not self.closed and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _gone(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._owner is not None:
            self._owner.forget(self)

    def _fail(self, error: HeadgateError) -> None:
        response = self._response
        if response is not None and not response.ended:
            response.end(error)
        self.abort()

    # --- called by the event loop -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.ended:
            self.abort()  # nobody asked for these bytes, so nothing that follows could be trusted
            return
        self._silent_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, HeadgateError) else self._malformed(str(error) or "protocol upgrade"))
            return
        take = response.take
        if take is None:
            if response.status:
                response.wake()
        elif pieces := response.pieces:
            # As `Response._collect`, without a call: this is the way of every event of every stream.
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            response.buffered = 0
            if not take(body):
                response.refuse()
        if self._silent_bytes > MAX_HEAD_BYTES:
            self._fail(self._malformed(f"more than {MAX_HEAD_BYTES} bytes of headers"))
        elif response.buffered > PAUSE_ABOVE_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The other side sends nothing more. Only this, not a reset, is the clean end of a body without a length."""
        response = self._response
        if response is None:
            self.abort()
        elif self._until_close and not response.ended:
            response.end()

    def connection_lost(self, exc: Exception | None) -> None:
        response = self._response
        if response is not None and not response.ended:
            response.end(self._lost(response))
        self._gone()
        self._transport = None
        del self._parser  # it refers back to this connection

    def _lost(self, response: Response) -> HeadgateError:
        if response.status:
            return StreamIncomplete(f"{self._peer} closed the connection in the middle of its answer.")
        if self._reused and not self._silent_bytes:
            return StaleConnection(f"{self._peer} closed the kept connection instead of answering. Try again.")
        return StreamIncomplete(f"{self._peer} closed the connection before it answered. Trying again is possible.")

    def _malformed(self, what: str) -> StreamMalformed:
        return StreamMalformed(f"{self._peer} sent what is not an HTTP/1.1 response: {what}.")

    # --- called by the parser, inside data_received -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        response = self._response
        if response is None or response.ended:
            raise self._malformed("a second response to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += (name, value)

    def _take_head(self) -> dict[str, str]:
        """The headers or trailers that came since the last ones; read at once, for a provider may send thirty."""
        head, self._head = self._head, []
        if sum(map(len, head)) > MAX_HEAD_BYTES:
            raise self._malformed(f"more than {MAX_HEAD_BYTES} bytes of headers")
        words = b"\n".join(head).decode("latin-1").split("\n")  # no line break can be in a name or value
        return dict(zip(map(str.lower, words[::2]), words[1::2], strict=False))

    def on_headers_complete(self) -> None:
        response, headers = self._response, self._take_head()
        assert response is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return
        if status < 200:
            raise self._malformed(f"status {status}")
        transfer = headers.get("transfer-encoding")
        if transfer is not None and transfer.lower() != "chunked":
            raise self._malformed(f"transfer-encoding {transfer[:40]!r}")
        content = headers.get("content-encoding", "identity")
        if content.lower() not in ("identity", ""):
            raise self._malformed(f"content-encoding {content[:40]!r} although only identity was accepted")
        self._until_close = transfer is None and "content-length" not in headers and status not in BODILESS
        response.status = status
        response.headers = headers

    def on_body(self, body: bytes) -> None:
        response = self._response
        assert response is not None
        self._silent_bytes = 0
        response.pieces.append(body)
        response.buffered += len(body)

    def on_message_complete(self) -> None:
        response = self._response
        if self._head:
            self._take_head()
        if response is not None and response.status:  # 0: it was a 1xx
            response.keep_alive = self._parser.should_keep_alive()
            response.end()
