"""Access tokens of Google Cloud: asked for once, kept while they are good, and errors that say whose fault it is."""

from __future__ import annotations

import asyncio
import importlib
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from headgate.clock import SystemClock
from headgate.errors import MissingExtra, UpstreamAuth, UpstreamUnreachable
from headgate.providers import google_tokens
from headgate.providers.google_tokens import RENEW_SECONDS, GoogleTokens, TokenSettings
from tests.providers.google_cloud import LIFETIME_SECONDS, TokenServer
from tests.providers.loopback import HOST, Peer, serving, tunnelling

INVALID = 400


class LaterClock(SystemClock):
    """The real clock, put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.later_seconds = 0.0
        real = self.now
        self.now = lambda: real() + self.later_seconds


class World:
    """A token server and tokens from it."""

    def __init__(self, google: TokenServer, tokens: GoogleTokens, clock: LaterClock) -> None:
        self.google, self.tokens, self.clock = google, tokens, clock


def run(tmp_path: Path, scenario: Callable[[World], Awaitable[None]], *failures: int) -> None:
    async def with_world() -> None:
        google, clock = TokenServer(failures), LaterClock()
        async with asyncio.timeout(120), serving(google.handler) as server:
            file = google.write_credentials(tmp_path / "account.json", server.url.replace("/v1", "/token"))
            await scenario(World(google, GoogleTokens(TokenSettings("vertex", file), clock), clock))

    asyncio.run(with_world())


def test_a_token_is_asked_for_once_however_many_wait(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        assert world.google.asked == 0
        assert await asyncio.gather(*(world.tokens.token() for _ in range(20))) == ["token-1"] * 20
        assert await world.tokens.token() == "token-1"
        assert world.google.asked == 1

    run(tmp_path, scenario)


def test_a_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.tokens.token()
        world.clock.later_seconds = LIFETIME_SECONDS - RENEW_SECONDS - 30
        assert await world.tokens.token() == "token-1"
        world.clock.later_seconds = LIFETIME_SECONDS - RENEW_SECONDS + 30
        assert await world.tokens.token() == "token-2"

    run(tmp_path, scenario)


def test_a_refused_token_is_not_given_out_again(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.tokens.token()
        world.tokens.forget("another")
        assert await world.tokens.token() == "token-1"
        world.tokens.forget("token-1")
        assert await world.tokens.token() == "token-2"

    run(tmp_path, scenario)


def test_a_token_that_cannot_be_renewed_is_used_until_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        await world.tokens.token()
        monkeypatch.setattr(world.google, "_failures", [INVALID, INVALID])
        world.clock.later_seconds = LIFETIME_SECONDS - 30
        assert await world.tokens.token() == "token-1"
        assert "could not be renewed and is used until it expires" in caplog.text
        world.clock.later_seconds = LIFETIME_SECONDS + 30
        with pytest.raises(UpstreamAuth):
            await world.tokens.token()
        assert await world.tokens.token() == "token-4"

    run(tmp_path, scenario)


def test_refused_credentials_are_the_operators_fault_and_not_shown(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(UpstreamAuth, match="no access token for vertex: invalid_grant") as caught:
            await world.tokens.token()
        assert "PRIVATE KEY" not in caught.value.message
        assert await world.tokens.token() == "token-2"

    run(tmp_path, scenario, INVALID)


def test_a_request_that_is_cancelled_leaves_the_others_waiting(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        first, second = (asyncio.ensure_future(world.tokens.token()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        assert await second == "token-1"
        assert world.google.asked == 1

    run(tmp_path, scenario)


def test_the_machines_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        assert await GoogleTokens(TokenSettings("vertex"), world.clock).token() == "token-1"

    run(tmp_path, scenario)


@pytest.mark.parametrize("content", [None, "", "{}", '{"type": "service_account", "private_key": "x"}'])
def test_a_file_that_holds_no_credentials(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    tokens = GoogleTokens(TokenSettings("vertex", str(file)), SystemClock())
    with pytest.raises(UpstreamAuth, match="no access token for vertex: "):
        asyncio.run(tokens.token())


def test_nobody_answers(tmp_path: Path) -> None:
    file = TokenServer().write_credentials(tmp_path / "account.json", f"http://{HOST}:1/token")
    tokens = GoogleTokens(TokenSettings("vertex", file, proxy="none"), SystemClock())
    with pytest.raises(UpstreamUnreachable, match="Google could not be asked for a token of vertex"):
        asyncio.run(tokens.token())


def test_through_a_proxy_with_a_private_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    tunnels: list[Peer] = []

    async def proxy(peer: Peer) -> None:
        tunnels.append(peer)
        await tunnelling()(peer)

    async def scenario() -> None:
        google = TokenServer()
        async with serving(google.handler, context) as server, serving(proxy) as gate:
            file = google.write_credentials(tmp_path / "account.json", f"https://localhost:{server.port}/token")
            url = f"http://{HOST}:{gate.port}"
            trusting = TokenSettings("vertex", file, proxy=url, ca_file=str(tmp_path / "ca.pem"))
            assert await GoogleTokens(trusting, SystemClock()).token() == "token-1"
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await GoogleTokens(TokenSettings("vertex", file, proxy=url), SystemClock()).token()
        assert len(tunnels) == 2

    asyncio.run(scenario())


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(MissingExtra, match=r"pip install 'headgate\[vertex\]'"):
        importlib.reload(google_tokens)
