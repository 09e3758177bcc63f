"""One request and its response on a hot route: from the bytes of the body to the corridor and back to the socket."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec
from uvicorn.protocols.http.flow_control import FlowControl

from headgate.errors import BodyTooLarge, Draining, HeadgateError, InternalError, Overloaded
from headgate.gateway.accounts import Accounts
from headgate.gateway.answers import Answer
from headgate.gateway.http import headers as http_headers
from headgate.gateway.http.cors import Cors, require_known_page
from headgate.gateway.http.headers import Headers
from headgate.gateway.pipeline import Pipeline
from headgate.ports import Clock
from headgate.types import Call, Caller, Frozen, Route
from headgate.wire import openai
from headgate.wire.speakers import speaker
from headgate.writing import Batch

_LARGE_BYTES = 65_536  # more than a transport takes without saying that it is full

log = logging.getLogger(__name__)


class EdgeLimits(Frozen, frozen=True, gc=False):
    """What a client may ask of a connection."""

    max_body_bytes: int = 10_000_000
    max_header_bytes: int = 32_768
    max_connections: int = 10_000
    receive_seconds: float = 30.0
    send_seconds: float = 30.0
    cors: Cors | None = None  # nobody else's web pages read anything


class Refusals(Protocol):
    """Counts what never reaches the ledger."""

    def unauthenticated(self) -> None: ...

    def refused(self, code: str) -> None: ...


class Connection(Protocol):
    """What an exchange needs of its connection, which is `GatewayProtocol`."""

    transport: asyncio.Transport
    flow: FlowControl

    def date_header(self) -> bytes: ...

    def on_response_complete(self) -> None: ...


class Edge:
    """What every connection of this process shares."""

    def __init__(
        self, pipeline: Pipeline, accounts: Accounts, clock: Clock, refusals: Refusals, limits: EdgeLimits
    ) -> None:
        self.pipeline = pipeline
        self.accounts = accounts
        self.clock = clock
        self.refusals = refusals
        self.limits = limits
        self.draining = False
        self.batch = Batch(asyncio.get_running_loop())
        self._common_headers: list[tuple[bytes, bytes]] = []
        self._rendered = b""

    def rendered(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The headers every response has. The list is another object when they change, once a second."""
        if headers is not self._common_headers:
            self._common_headers = headers
            self._rendered = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._rendered

    def caller(self, headers: Headers) -> Caller:
        """Let a request through the in-flight gate and find out whose it is."""
        if self.draining:
            raise Draining("This process is shutting down. Send the request again.", retry_after_seconds=1)
        if self.pipeline.in_flight >= self.pipeline.setup.max_in_flight:
            self.refusals.refused(Overloaded.code)
            raise Overloaded("Too many requests are under way. Send the request again later.", retry_after_seconds=1)
        try:
            caller = self.accounts.authenticate(http_headers.secret(headers))
            if not caller.key_id:
                require_known_page(headers, self.limits.cors)
            return caller
        except HeadgateError:
            self.refusals.unauthenticated()
            raise


class _NobodyWaits(asyncio.Event):
    """uvicorn wakes a cycle's reader through an event; an exchange has no reader."""

    def set(self) -> None:
        return


_NOBODY_WAITS = _NobodyWaits()


class Exchange(msgspec.Struct, eq=False):
    """Takes the place of uvicorn's request-response cycle on the hot routes; the names it shares are uvicorn's.

    A struct, because one that is made without a line of Python is made in a fifth of the time.
    """

    _connection: Connection
    _edge: Edge
    id: str
    route: Route
    headers: Headers
    chunked: bool  # for HTTP/1.1
    keep_alive: bool
    expects_continue: bool = False
    model: str = ""  # that the URL names; empty: the body does
    is_known: bool = False  # the caller, before the body is complete
    startable: bool = False  # it is this request's turn on the connection
    body_complete: bool = False
    disconnected: bool = False
    response_started: bool = False
    response_complete: bool = False
    message_event: asyncio.Event = _NOBODY_WAITS
    _body: list[bytes] = []
    _size: int = 0
    _task: asyncio.Task[None] | None = None
    _is_held: bool = False  # booked with others, when its answer is about to be sent

    def receive(self, body: bytes) -> None:
        """A piece of the body. Raises BodyTooLarge."""
        self._size += len(body)
        if self._size > self._edge.limits.max_body_bytes:
            raise BodyTooLarge(f"The body is larger than {self._edge.limits.max_body_bytes} bytes.")
        self._body.append(body)

    def start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        """Serve the request, whose body is complete."""
        self._task = loop.create_task(self._run())
        return self._task

    def gone(self) -> None:
        """The client left. What happens to the request then is configured."""
        self.disconnected = True
        pipeline, task = self._edge.pipeline, self._task
        if (
            task is not None
            and pipeline.setup.on_disconnect == "cancel"
            and not pipeline.outlives(self.id, task.cancel)
        ):
            task.cancel()

    async def _run(self) -> None:
        try:
            await self._serve()
        except HeadgateError as error:
            self._send_error(error)
            # Its frames know the journey, which knows the error: a circle that only the collector would take away, some
            # thousand of them at once, while everybody waits.
            error.__traceback__ = None
        except asyncio.CancelledError:
            if not self.disconnected:  # not the client left, but the process ends
                self._send_error(
                    Draining("This process is shutting down. Send the request again.", retry_after_seconds=1)
                )
        except Exception:
            log.exception("request %s failed inside headgate", self.id)
            self._send_error(InternalError(f"headgate failed. The operator finds the cause under {self.id}."))
        if self._connection.flow.write_paused:
            await self._connection.flow.drain()  # errors that are not taken must not pile up either
        self._complete()

    async def _serve(self) -> None:
        edge = self._edge
        caller = edge.caller(self.headers)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        try:
            told = http_headers.call_headers(self.headers, caller)
            if self.model:
                told = msgspec.structs.replace(told, model=self.model)
            call = speaker(self.route).parse_call(self.route, body, self.id, told)
        except HeadgateError as found:
            error = http_headers.explained(found, self.headers)
            unread = Call(id=self.id, route=self.route, model="", stream=False, fields={}, body_bytes=len(body))
            edge.pipeline.refuse(caller, unread, error)
            raise error from None
        self._body = []
        self._is_held = not call.stream
        async with edge.pipeline.handle(caller, call, edge.batch if self._is_held else None) as answer:
            if call.stream:
                await self._send_stream(answer)
            else:
                self._write(
                    self._head(200, http_headers.answer_head(answer.head, self.route), len(answer.body)) + answer.body
                )
        try:
            if self._connection.flow.write_paused:
                await self._connection.flow.drain()  # another answer may follow when this one was taken
        finally:
            if self.disconnected or self._connection.transport.is_closing():
                edge.pipeline.undelivered(self.id)

    async def _send_stream(self, answer: Answer) -> None:
        """The first piece goes out with the head; then each at once, as long as the client takes them."""
        connection, transport, chunked = self._connection, self._connection.transport, self.chunked
        start = self._head(200, http_headers.answer_head(answer.head, self.route), None)

        def send(piece: bytes) -> bool:
            nonlocal start
            if self.disconnected:
                return True  # read on, to settle
            data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            if start:
                data, start = start + data, b""
                self.response_started = True
            transport.write(data)
            return not connection.flow.write_paused

        while not await answer.relay(send):
            await connection.flow.drain()
        if connection.flow.write_paused:
            await connection.flow.drain()
        if chunked:
            self._write(b"0\r\n\r\n")

    def _send_error(self, error: HeadgateError) -> None:
        if self.response_started:
            # Whoever reads must not take what came for the whole: the connection ends without the message's end.
            self._connection.transport.abort()
            return
        self._write(self._error_message(error))

    def _error_message(self, error: HeadgateError) -> bytes:
        body = speaker(self.route).error_body(error, self.id)
        head = http_headers.error_head(error, self.id, self.route)
        return self._head(openai.error_status(error), head, len(body)) + body

    def _head(self, status: int, headers: bytes, content_length: int | None) -> bytes:
        if content_length is not None:
            framing = b"content-length: %d\r\n" % content_length
        elif self.chunked:
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing, self.keep_alive = b"", False
        if (cors := self._edge.limits.cors) is not None:
            framing += cors.rendered(self.headers)
        if self._edge.draining:
            self.keep_alive = False
        close = b"" if self.keep_alive else b"connection: close\r\n"
        return b"%b%b%b%b%b\r\n" % (
            http_headers.status_line(status), self._connection.date_header(), headers, framing, close
        )  # fmt: skip

    def _write(self, data: bytes) -> None:
        """Write what ends the response."""
        if self.disconnected:
            return
        self.response_started = True
        batch = self._edge.batch
        batch.write(self._connection.transport, data, self._error_message if self._is_held else None)
        if not self.keep_alive or len(data) >= _LARGE_BYTES:
            batch.flush()  # the connection is about to be closed, or to be full

    def _complete(self) -> None:
        if not self.response_complete:
            self.response_complete = True
            if not self.keep_alive:
                self._connection.transport.close()
            self._connection.on_response_complete()
