"""The HTTP edge: uvicorn's httptools protocol with bounds on everything, and a short cut for the hot routes.

A POST to an inference route becomes an `Exchange`, which goes straight into the corridor. Every other request goes the
usual ASGI way. Keep-alive, pipelining, flow control and shutdown stay uvicorn's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from headgate.errors import BodyTooLarge, HeadersTooLarge, HeadgateError, MalformedHttp, SlowSender
from headgate.gateway.http import headers as http_headers
from headgate.gateway.http.cors import PREFIX
from headgate.gateway.http.exchange import Edge, Exchange
from headgate.gateway.http.urls import HOT_ROUTES, route_of
from headgate.types import Route
from headgate.wire.speakers import speaker

_UPLOADS = (b"/v1/files", b"/v1/messages/batches")  # may be so large that they take long
_LINGER_SECONDS = 2.0  # how long a client that is still sending may read its error


class GatewayProtocol(HttpToolsProtocol):
    """One client connection."""

    cycle: Exchange | RequestResponseCycle  # type: ignore[assignment]  # an exchange is a cycle by its names

    def __init__(
        self,
        edge: Edge,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._edge = edge
        self._unexplained_bytes = 0  # received since the parser last told something whole: a head, a piece, an end
        self._read_bytes = 0  # received last
        self._idle_until = 0.0  # on the loop's clock, while no request is under way
        self._receiving = False
        self._lingering = False
        self._answering: Exchange | RequestResponseCycle | None = None  # the request whose turn it is, or was last
        self._incomplete: Exchange | RequestResponseCycle | None = None  # the request whose body is being received
        self._refusal: HeadgateError | None = None  # to be told when the answers before it are sent
        self._receive_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn says Transport too
        super().connection_made(transport)
        if len(self.connections) > self._edge.limits.max_connections:
            transport.abort()
            return
        self._receive_timer = self.loop.call_later(self._edge.limits.receive_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        self._stop_receive_timer()
        self._stop_send_timer()
        answering = self._answering  # with pipelining this need not be the newest one, which uvicorn tells
        if answering is not None and not answering.response_complete:
            if isinstance(answering, Exchange):
                answering.gone()
            else:
                answering.disconnected = True
                answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """A client that stops sending in the middle of a request is told; one that waits for its answer has left."""
        if self._receiving and not self._lingering:
            self._fail(MalformedHttp("The connection ended before the request was complete."))

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._read_bytes = len(data)
        self._unexplained_bytes += self._read_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self._fail(_cause(error))
        except httptools.HttpParserError:
            self._fail(MalformedHttp("This is not a valid HTTP/1.1 request."))
        if self._unexplained_bytes > self._edge.limits.max_header_bytes and not self._lingering:
            self._fail(self._headers_too_large())  # a head, name or value that does not end: all of it is kept
        if isinstance(self._incomplete, Exchange) and not self._lingering:
            self._ask_who_sends(self._incomplete)
        if self._receiving and self._receive_timer is None:
            self._receive_timer = self.loop.call_later(self._edge.limits.receive_seconds, self._too_slow)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._send_timer is None:
            self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_send_timer()

    def timeout_keep_alive_handler(self) -> None:
        """One timer for all the rests of a connection: it is not set anew for each request, but looks again."""
        self.timeout_keep_alive_task = None
        if self._receiving or (self.cycle is not None and not self.cycle.response_complete):
            return  # the next rest sets it
        if self.loop.time() < self._idle_until:
            self._close_when_idle()
        else:
            self.close()

    def _close_when_idle(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(self._idle_until, self.timeout_keep_alive_handler)

    def close(self) -> None:
        """Close, and do not wait for ever until the client has taken what it was sent."""
        self.transport.close()
        self.loop.call_later(self._edge.limits.send_seconds, self.transport.abort)

    def _ask_who_sends(self, exchange: Exchange) -> None:
        """A body that comes in pieces is not collected for strangers, nor when too much is under way already."""
        if not exchange.is_known:
            try:
                self._edge.caller(exchange.headers)
                exchange.is_known = True
            except HeadgateError as error:
                self._fail(error)

    def _read_without_upgrade(self, rest: bytes) -> None:
        """An upgrade that nobody takes is ignored (RFC 9110, 7.8), but the parser would take the body for its part."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._fail(MalformedHttp("This is no proxy: CONNECT is not served."))
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    # --- the parser ---

    # uvicorn prepares an ASGI scope for every request; here it is prepared when it turns out to be needed.

    def on_message_begin(self) -> None:
        self._receiving = True
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def _measure_headers(self) -> None:
        """Those of a head, or the trailers. One that came in several reads is noticed where these are counted."""
        if self._read_bytes > self._edge.limits.max_header_bytes:
            lengths = [len(name) + len(value) + len(b": \r\n") for name, value in self.headers]
            if len(self.url) + sum(lengths) > self._edge.limits.max_header_bytes:
                raise self._headers_too_large()

    def _headers_too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"The headers are larger than {self._edge.limits.max_header_bytes} bytes.")

    def _on_cold_headers_complete(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self._incomplete = self.cycle

    def on_headers_complete(self) -> None:
        self._unexplained_bytes = 0
        self._measure_headers()
        if self.parser.should_upgrade():
            return  # it is read again without that
        route, model = HOT_ROUTES.get(self.url), ""
        if route is None:
            route, model = self._route()
        if route is None or self.parser.get_method() != b"POST":
            self._on_cold_headers_complete()
            return
        headers = dict(self.headers)
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._edge.limits.max_body_bytes:
            raise BodyTooLarge(f"The body is larger than {self._edge.limits.max_body_bytes} bytes.")
        self.headers = []  # what comes into the list now are trailers
        http_1_1, before = self.parser.get_http_version() == "1.1", self.cycle
        keep_alive = http_1_1 and self.parser.should_keep_alive()
        request_id = self._edge.clock.new_id("req")
        exchange = Exchange(self, self._edge, request_id, route, headers, http_1_1, keep_alive)
        exchange.model = model
        if b"expect" in headers:
            exchange.expects_continue = headers[b"expect"].lower() == b"100-continue"
        self.cycle = self._incomplete = exchange
        if before is None or before.response_complete:
            self._give_turn(exchange)
        else:  # pipelined: it waits for the response before it
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]  # an exchange is a cycle

    def _route(self) -> tuple[Route | None, str]:
        """Of a URL with a query, or in the absolute form, which proxies are sent (RFC 9112, 3.2.2)."""
        path = self.url.partition(b"?")[0]
        return route_of(path if path.startswith(b"/") else httptools.parse_url(self.url).path or b"")

    def on_body(self, body: bytes) -> None:
        self._unexplained_bytes = 0
        if isinstance(self.cycle, Exchange):
            self.cycle.receive(body)
        else:
            if self.url.partition(b"?")[0] in _UPLOADS:
                self._stop_receive_timer()  # it runs anew from here: what matters is that something comes
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._unexplained_bytes = 0
        if self.headers:
            self._measure_headers()
        self._receiving = False
        self._incomplete = None
        self._stop_receive_timer()
        if not isinstance(self.cycle, Exchange):
            super().on_message_complete()
            return
        self.cycle.body_complete = True
        if self.cycle.startable:
            self._start(self.cycle)

    # --- requests in turn ---

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """uvicorn calls this when it is a request's turn."""
        if isinstance(cycle, Exchange):
            self._give_turn(cycle)
        else:
            self._answering = cycle
            super()._start_asgi_task(cycle, app)

    def _give_turn(self, exchange: Exchange) -> None:
        self._answering = exchange
        exchange.startable = True
        if exchange.body_complete:
            self._start(exchange)
        elif exchange.expects_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self, exchange: Exchange) -> None:
        task = exchange.start(self.loop)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def date_header(self) -> bytes:
        """uvicorn renews the date once a second."""
        return self._edge.rendered(self.server_state.default_headers)

    # --- what goes wrong before there is a request ---

    def _too_slow(self) -> None:
        self._receive_timer = None
        if self._receiving:
            self._fail(SlowSender(f"The request did not arrive within {self._edge.limits.receive_seconds:g} seconds."))
        elif self.cycle is None:
            self.close()  # connected, and never sent anything

    def _watch_reader(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(self._edge.limits.send_seconds, self._look_at_reader)

    def _look_at_reader(self) -> None:
        """Bytes have waited for `send_seconds`: whoever took none of them is dropped."""
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _stop_receive_timer(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _fail(self, error: HeadgateError) -> None:
        """Answer what is not a request, let the client read that, and close. Answers before it come first."""
        self._lingering = True
        self._receiving = False
        self._stop_receive_timer()
        self._edge.batch.flush()
        incomplete, answering = self._incomplete, self._answering
        if incomplete is not None and incomplete.response_complete:
            self.close()  # it was refused before its body came
        elif answering is None or answering.response_complete:
            self._refuse(error, incomplete)
        elif incomplete is not answering:  # another answer is on its way
            self._refusal = error
            self.pipeline = deque(waiting for waiting in self.pipeline if waiting[0] is not incomplete)
        elif answering.response_started:
            self.transport.abort()
        else:  # this is its answer
            answering.disconnected = answering.response_complete = True
            answering.message_event.set()
            self._refuse(error, answering)

    def on_response_complete(self) -> None:
        """The next request's turn, or rest."""
        if self.pipeline or self._refusal is not None:
            self._edge.batch.flush()  # what follows may be written at once
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._refuse(self._refusal)
        else:
            self._idle_until = self.loop.time() + self.timeout_keep_alive
            if self.timeout_keep_alive_task is None:
                self._close_when_idle()

    def _refuse(self, error: HeadgateError, request: Exchange | RequestResponseCycle | None = None) -> None:
        """`request` is the one that is refused, if it came far enough to be known."""
        route = request.route if isinstance(request, Exchange) else Route.CHAT
        request_id = self._edge.clock.new_id("req")
        body = speaker(route).error_body(error, request_id)
        head = http_headers.status_line(error.status) + http_headers.error_head(error, request_id, route)
        if (cors := self._edge.limits.cors) is not None and self.url.startswith(PREFIX.encode()):
            head += cors.rendered(request.headers if isinstance(request, Exchange) else dict(self.headers))
        self.transport.write(b"%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (head, len(body), body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.close)


def _cause(error: BaseException) -> HeadgateError:
    """httptools wraps what its callbacks raise."""
    cause = error.__context__ or error.__cause__
    return cause if isinstance(cause, HeadgateError) else MalformedHttp("This is not a valid HTTP/1.1 request.")
