"""Opens connections: TCP, TLS with verification, and the CONNECT tunnel through a proxy. Keeps none of them.

Every failure leaves here as UpstreamUnreachable or ConnectTimeout and names the host (or the proxy), never a key.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import cast

from headgate.errors import ConnectTimeout, UpstreamUnreachable
from headgate.providers.upstream.connection import Connection
from headgate.providers.upstream.proxy import PASSWORD_WANTED, Proxy, ProxySettings, proxy_for
from headgate.providers.upstream.target import Target
from headgate.types import Frozen
from headgate.writing import Batch

MAX_PROXY_ANSWER_BYTES = 16_384
PROXY_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class ConnectSettings(Frozen, frozen=True, gc=False):
    """How the connections of one provider are made."""

    connect_seconds: float = 5.0  # name lookup, TCP, proxy and TLS together
    ca_file: str = ""  # trusted beside the system's certificates
    verify_tls: bool = True
    proxy: ProxySettings = ProxySettings()


class Connector:
    """Opens connections. One for all that have the same settings, so that certificates are read and kept once."""

    __slots__ = ("_batch", "_context", "settings")

    def __init__(self, settings: ConnectSettings) -> None:
        self.settings = settings
        self._context: asyncio.Future[ssl.SSLContext] | None = None
        self._batch: Batch | None = None  # what the connections write together; made on the loop

    def proxy_for(self, target: Target) -> Proxy | None:
        """The proxy before a target. Raises UpstreamUnreachable if its URL cannot be used."""
        return proxy_for(target, self.settings.proxy)

    async def located(self, target: Target) -> Sequence[str]:
        """Where a target is reached without a proxy: names or addresses, tried one after the other."""
        return (target.host,)

    async def open(self, target: Target) -> Connection:
        """A connection ready to send on. Raises UpstreamUnreachable, ConnectTimeout. Cancelling it leaves no socket."""
        proxy = self.proxy_for(target)
        where = target.address if proxy is None else f"{target.address} through the proxy {proxy.address}"
        seconds = self.settings.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._open(target, proxy)
        except TimeoutError:
            raise ConnectTimeout(f"No connection to {where} within connect_seconds ({seconds:g}).") from None
        except ssl.SSLCertVerificationError as error:
            raise UpstreamUnreachable(
                f"The certificate of {target.address} is not trusted: {error.verify_message}. "
                "If it is your own authority's, name that in the provider's ca_file."
            ) from error
        except ssl.SSLError as error:
            raise UpstreamUnreachable(f"TLS with {where} failed: {error.reason or error}.") from error
        except (OSError, UnicodeError) as error:
            raise UpstreamUnreachable(f"No connection to {where}: {_reason(error)}.") from error

    async def _open(self, target: Target, proxy: Proxy | None) -> Connection:
        loop = asyncio.get_running_loop()
        self._batch = self._batch or Batch(loop)
        connection = Connection(target.address, self._batch)
        if target.scheme == "https" and proxy is not None:
            await self._open_tunnel(connection, target, proxy)
            return connection
        hosts, port = ([proxy.host], proxy.port) if proxy is not None else (await self.located(target), target.port)
        for index, host in enumerate(hosts, start=1):
            try:
                if target.scheme == "https":
                    tls = await self._tls()
                    await loop.create_connection(lambda: connection, host, port, ssl=tls, server_hostname=target.host)
                else:
                    await loop.create_connection(lambda: connection, host, port)
                break
            except OSError as error:
                if index == len(hosts) or isinstance(error, ssl.SSLError):
                    raise
        return connection

    async def _open_tunnel(self, connection: Connection, target: Target, proxy: Proxy) -> None:
        loop = asyncio.get_running_loop()
        tls = await self._tls()
        transport, answer = await loop.create_connection(lambda: ProxyAnswer(proxy), proxy.host, proxy.port)
        try:
            transport.write(render_connect(target, proxy))
            await answer.accepted
            secure = await loop.start_tls(transport, connection, tls, server_hostname=target.host)
            connection.connection_made(cast("asyncio.Transport", secure))
        except BaseException:
            transport.abort()
            raise

    async def _tls(self) -> ssl.SSLContext:
        """The TLS settings, made once and off the event loop: reading the system's certificates takes about 60 ms."""
        if self._context is None or (self._context.done() and self._context.exception() is not None):
            making = asyncio.to_thread(tls_context, self.settings.ca_file, self.settings.verify_tls)
            self._context = asyncio.ensure_future(making)
        return await asyncio.shield(self._context)


class ProxyAnswer(asyncio.Protocol):
    """Reads what a proxy answers to CONNECT; `accepted` is done when the tunnel stands."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._head = b""
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._head += data
        if len(self._head) > MAX_PROXY_ANSWER_BYTES:
            self._refuse("answered CONNECT with too much")
        elif b"\r\n\r\n" in self._head:
            self._judge()

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("closed the connection instead of answering CONNECT")

    def _judge(self) -> None:
        status = PROXY_STATUS.match(self._head)
        if status is None:
            self._refuse("did not answer CONNECT in HTTP/1.1")
        elif status[1] == b"407":
            self._refuse(PASSWORD_WANTED)
        elif not status[1].startswith(b"2"):
            self._refuse(f"answered CONNECT with status {status[1].decode()}")
        elif not self._head.endswith(b"\r\n\r\n"):
            self._refuse("sent data into the tunnel that it had just opened")
        elif not self.accepted.done():
            self.accepted.set_result(None)

    def _refuse(self, what: str) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(UpstreamUnreachable(f"The proxy {self._proxy.address} {what}."))
            self.accepted.exception()  # nobody may be waiting any more, and that is no reason to log it


def render_connect(target: Target, proxy: Proxy) -> bytes:
    """The request that asks a proxy for a tunnel (RFC 9110, 9.3.6)."""
    lines = [f"CONNECT {target.address} HTTP/1.1", f"host: {target.address}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def tls_context(ca_file: str, verify: bool) -> ssl.SSLContext:
    """A client context for HTTP/1.1. Raises UpstreamUnreachable if the certificates cannot be read."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UpstreamUnreachable(
                f"The certificates in ca_file {ca_file} cannot be read: {_reason(error)}."
            ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
