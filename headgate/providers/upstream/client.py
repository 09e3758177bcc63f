"""The upstream side of one deployment: a pool for each endpoint, and request heads that are rendered once.

It turns an endpoint, a path and headers into bytes and sends them. Which headers a provider wants is not its business.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence

from headgate.errors import InvalidRequest, UpstreamUnreachable
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import Pool, PoolSettings
from headgate.providers.upstream.proxy import PASSWORD_WANTED, Proxy
from headgate.providers.upstream.target import Target, parse_target
from headgate.types import Frozen

FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, 5.5
FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "expect", "te", "trailer"}
OURS = FRAMING | {"host", "accept-encoding", "proxy-authorization"}


class Destination(Frozen, frozen=True):
    """Where one kind of request goes."""

    pool: Pool
    head: bytes  # the request's head but for what differs between requests and the blank line
    proxy: Proxy | None  # a proxy that reads our requests, rather than tunnelling them


class Client:
    """The pools of one deployment, one for each endpoint."""

    __slots__ = ("_closed", "_connector", "_pools", "_settings")

    def __init__(self, connector: Connector, settings: PoolSettings) -> None:
        self._connector = connector
        self._settings = settings
        self._pools: dict[Target, Pool] = {}
        self._closed = False

    def destination(self, endpoint: str, path: str, headers: Mapping[str, str], method: str = "POST") -> Destination:
        """Prepare requests to `endpoint`/`path` with these headers (names in lower case).

        Raises UpstreamUnreachable for a URL that cannot be called, InvalidRequest for a header that cannot be sent.
        """
        target = parse_target(endpoint)
        proxy = self._connector.proxy_for(target) if target.scheme == "http" else None
        pool = self._pools.get(target)
        if pool is None:
            pool = self._pools[target] = Pool(target, self._connector, self._settings)
            if self._closed:
                pool.close()
        return Destination(pool, render_head(target, method, path, headers, proxy), proxy)

    def send(
        self, destination: Destination, body: bytes, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """Send one request and wait for the head of its answer. Raises as `Pool.send` does, and InvalidRequest."""
        more = render_headers(headers) if headers else b""
        message = b"%b%bcontent-length: %d\r\n\r\n%b" % (destination.head, more, len(body), body)
        if destination.proxy is not None:
            return self._send_through(destination.proxy, destination.pool, message)
        return destination.pool.send(message)

    async def _send_through(self, proxy: Proxy, pool: Pool, message: bytes) -> Response:
        response = await pool.send(message)
        if response.status == 407:
            response.close()
            raise UpstreamUnreachable(f"The proxy {proxy.address} {PASSWORD_WANTED}.")
        return response

    def forget_unused(self) -> None:
        """Drop pools without connections. Only for a caller that has dropped its destinations."""
        self._pools = {target: pool for target, pool in self._pools.items() if not pool.unused}

    async def aclose(self) -> None:
        """Close idle connections, refuse waiting and new requests; busy connections close when they are done."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)  # aborted sockets are closed in the loop's next round


def render_head(target: Target, method: str, path: str, headers: Mapping[str, str], proxy: Proxy | None) -> bytes:
    """A request's head without content-length and blank line; in absolute form (RFC 9112, 3.2.2) for a proxy."""
    origin = "" if proxy is None else f"http://{target.authority}"
    lines = (
        f"{method} {origin}{target.path}/{path} HTTP/1.1\r\nhost: {target.authority}\r\naccept-encoding: identity\r\n"
    )
    if proxy is not None and proxy.authorization:
        lines += f"proxy-authorization: {proxy.authorization}\r\n"
    return lines.encode("ascii") + render_headers(headers.items())


def render_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines. Raises InvalidRequest, never showing the value, for one that is ours or would break the framing."""
    lines = []
    for name, value in headers:
        if not FIELD_NAME.fullmatch(name) or name.lower() in OURS:
            raise InvalidRequest(f"The header {name[:60]!r} cannot be set on requests to a provider.", param=name[:60])
        if not FIELD_VALUE.fullmatch(value):
            raise InvalidRequest(
                f"The value of the header {name} has a line break or another forbidden character.", param=name
            )
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
