"""How connections are made: TLS and whom it trusts, proxies, time limits, and errors that name what failed."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from headgate.errors import ConnectTimeout, UpstreamUnreachable
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.connection import Connection
from headgate.providers.upstream.proxy import ProxySettings
from headgate.providers.upstream.target import Target, parse_target
from tests.providers.loopback import HOST, JSON_ANSWER, Peer, Server, answering, header, serving, tunnelling

OnEachLoop = Callable[[Coroutine[None, None, None]], None]
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}"
SOON = 0.3  # seconds; long enough to be later, short enough to wait for
ALICE = "Basic YWxpY2U6c2VjcmV0"  # alice:secret


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own."""

    ca: trustme.CA
    ca_file: str

    def server_context(self, *names: str, not_after: datetime.datetime | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.ca.issue_cert(*names, not_after=not_after).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Authority(ca, str(tmp_path / "ca.pem"))


def secure(server: Server, host: str = "localhost") -> Target:
    return parse_target(f"https://{host}:{server.port}/v1")


async def ask(connection: Connection) -> bytes:
    response = await connection.send(REQUEST)
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    response.close()
    return b"".join(pieces)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", HOST])
def test_tls_to_a_host_with_a_trusted_certificate(host: str, authority: Authority, on_each_loop: OnEachLoop) -> None:
    seen: list[str | None] = []

    async def handler(peer: Peer) -> None:
        seen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(JSON_ANSWER)(peer)

    async def scenario() -> None:
        context = authority.server_context("localhost", HOST)
        context.sni_callback = lambda _socket, name, _context: seen.append(name)
        async with serving(handler, context) as server:
            connection = await Connector(ConnectSettings(ca_file=authority.ca_file)).open(secure(server, host))
            for _ in range(3):
                assert await ask(connection) == b'{"ok":true}'
            connection.abort()
        assert seen == ["localhost" if host == "localhost" else None, "http/1.1"]

    on_each_loop(scenario())


@pytest.mark.parametrize(
    ("names", "trusted", "days", "told"),
    [
        (["localhost"], False, 30, "unable to get local issuer certificate"),
        (["other.example"], True, 30, "Hostname mismatch"),
        (["localhost"], True, -1, "certificate has expired"),
    ],
    ids=["unknown authority", "wrong host", "expired"],
)
def test_tls_refuses_what_it_cannot_trust(
    names: list[str], trusted: bool, days: int, told: str, authority: Authority, on_each_loop: OnEachLoop
) -> None:
    async def scenario() -> None:
        expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        settings = ConnectSettings(ca_file=authority.ca_file if trusted else "")
        async with serving(answering(JSON_ANSWER), authority.server_context(*names, not_after=expiry)) as server:
            with pytest.raises(UpstreamUnreachable, match=f"localhost:{server.port} is not trusted: .*{told}.*ca_file"):
                await Connector(settings).open(secure(server))
            unverified = await Connector(ConnectSettings(verify_tls=False)).open(secure(server))
            assert await ask(unverified) == b'{"ok":true}'
            unverified.abort()

    on_each_loop(scenario())


def test_who_gives_up_while_certificates_are_read_does_not_disturb_the_others(
    authority: Authority, on_each_loop: OnEachLoop
) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER), authority.server_context("localhost")) as server:
            connector = Connector(ConnectSettings(ca_file=authority.ca_file))
            hasty, patient = (asyncio.ensure_future(connector.open(secure(server))) for _ in range(2))
            await asyncio.sleep(0)
            hasty.cancel()
            assert await ask(await patient) == b'{"ok":true}'
            assert hasty.cancelled()
            (await patient).abort()

    on_each_loop(scenario())


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path, on_each_loop: OnEachLoop) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")

    async def scenario() -> None:
        for name in ("missing.pem", "broken.pem"):
            connector = Connector(ConnectSettings(ca_file=str(tmp_path / name)))
            for _ in range(2):
                with pytest.raises(UpstreamUnreachable, match=f"ca_file .*{name} cannot be read"):
                    await connector.open(parse_target("https://localhost:1"))

    on_each_loop(scenario())


def test_tls_to_a_plain_server_fails_by_name(on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async def scenario() -> None:
        async with serving(handler) as server:
            with pytest.raises(UpstreamUnreachable, match=f"localhost:{server.port}"):
                await Connector(ConnectSettings()).open(secure(server))

    on_each_loop(scenario())


def test_over_tls_a_long_body_is_whole_and_a_cut_one_is_not(authority: Authority, on_each_loop: OnEachLoop) -> None:
    size = 3_000_000

    async def handler(peer: Peer) -> None:
        for sent in (size, size - 1):
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * sent)

    async def scenario() -> None:
        async with serving(handler, authority.server_context("localhost")) as server:
            connection = await Connector(ConnectSettings(ca_file=authority.ca_file)).open(secure(server))
            assert len(await ask(connection)) == size
            with pytest.raises(Exception, match="in the middle of its answer"):
                await ask(connection)

    on_each_loop(scenario())


# --- what cannot be reached ------------------------------------------------------------------------------------------


def test_nobody_listens(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            target = parse_target(server.url)
        with pytest.raises(UpstreamUnreachable, match=f"No connection to {HOST}:{server.port}: .+"):
            await Connector(ConnectSettings()).open(target)

    on_each_loop(scenario())


def test_a_name_that_cannot_exist(on_each_loop: OnEachLoop) -> None:
    host = "a" * 70 + ".invalid"  # longer than a label may be, so no name server is asked

    async def scenario() -> None:
        with pytest.raises(UpstreamUnreachable, match=f"No connection to {host}:80: .+"):
            await Connector(ConnectSettings()).open(parse_target(f"http://{host}"))

    on_each_loop(scenario())


@pytest.mark.parametrize("through_proxy", [False, True])
def test_a_connection_that_is_not_made_in_time(through_proxy: bool, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        gone = asyncio.Event()

        async def silent(peer: Peer) -> None:
            await peer.gone()
            gone.set()

        async with serving(silent) as server:  # TLS is never answered, nor is CONNECT
            proxy = (
                ProxySettings(https=f"http://alice:secret@{HOST}:{server.port}") if through_proxy else ProxySettings()
            )
            connector = Connector(ConnectSettings(connect_seconds=SOON, proxy=proxy))
            with pytest.raises(ConnectTimeout, match=f"{HOST}:{server.port} within connect_seconds") as caught:
                await connector.open(
                    parse_target("https://api.example" if through_proxy else f"https://{HOST}:{server.port}")
                )
            assert "secret" not in caught.value.message
            if server.peers:  # else the time was over even before it was connected
                await gone.wait()

    on_each_loop(scenario())


@pytest.mark.parametrize("through_proxy", [False, True])
def test_cancelling_a_connection_being_made_closes_its_socket(through_proxy: bool, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        here, gone = asyncio.Event(), asyncio.Event()

        async def silent(peer: Peer) -> None:
            await peer.reader.readexactly(1)
            here.set()
            await peer.gone()
            gone.set()

        async with serving(silent) as server:
            proxy = ProxySettings(https=f"http://{HOST}:{server.port}") if through_proxy else ProxySettings()
            opening = asyncio.ensure_future(Connector(ConnectSettings(proxy=proxy)).open(secure(server)))
            await here.wait()
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await gone.wait()

    on_each_loop(scenario())


# --- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", ["", "alice:secret@"])
def test_tls_through_a_tunnel(credentials: str, authority: Authority, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with (
            serving(answering(JSON_ANSWER), authority.server_context("localhost")) as server,
            serving(tunnelling(ALICE if credentials else "")) as proxy,
        ):
            settings = ProxySettings(https=f"http://{credentials}{HOST}:{proxy.port}")
            connector = Connector(ConnectSettings(ca_file=authority.ca_file, proxy=settings))
            connection = await connector.open(secure(server))
            for _ in range(3):
                assert await ask(connection) == b'{"ok":true}'
            connection.abort()
            head, _ = proxy.peers[0].requests[0]
            assert head.startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n")
            assert header(head, "host") == f"localhost:{server.port}"
            assert header(head, "proxy-authorization") == (ALICE if credentials else None)
            await server.peers[0].writer.wait_closed()

    on_each_loop(scenario())


def test_the_certificate_at_the_end_of_a_tunnel_is_verified(authority: Authority, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with (
            serving(answering(JSON_ANSWER), authority.server_context("other.example")) as server,
            serving(tunnelling()) as proxy,
        ):
            settings = ProxySettings(https=f"http://{HOST}:{proxy.port}")
            connector = Connector(ConnectSettings(ca_file=authority.ca_file, proxy=settings))
            with pytest.raises(UpstreamUnreachable, match=f"localhost:{server.port} is not trusted"):
                await connector.open(secure(server))

    on_each_loop(scenario())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name and password"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "answered CONNECT with status 403"),
        (b"SOCKS?\r\n\r\n", "did not answer CONNECT in HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "sent data into the tunnel"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "answered CONNECT with too much"),
        (b"", "closed the connection instead of answering CONNECT"),
    ],
    ids=["407", "403", "not http", "early data", "too much", "closed"],
)
def test_a_proxy_that_refuses_is_named(answer: bytes, told: str, on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        if answer:
            await peer.gone()

    async def scenario() -> None:
        async with serving(handler) as proxy:
            settings = ProxySettings(https=f"http://alice:secret@{HOST}:{proxy.port}")
            with pytest.raises(UpstreamUnreachable, match=f"The proxy {HOST}:{proxy.port} {told}") as caught:
                await Connector(ConnectSettings(proxy=settings)).open(parse_target("https://api.example/v1"))
            assert "secret" not in caught.value.message

    on_each_loop(scenario())


def test_a_proxy_that_cannot_be_reached_is_named(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(tunnelling()) as proxy:
            settings = ProxySettings(https=f"http://{HOST}:{proxy.port}", http=f"http://{HOST}:{proxy.port}")
        for scheme in ("http", "https"):
            with pytest.raises(UpstreamUnreachable, match=f"through the proxy {HOST}:{proxy.port}"):
                await Connector(ConnectSettings(proxy=settings)).open(parse_target(f"{scheme}://api.example/v1"))

    on_each_loop(scenario())
