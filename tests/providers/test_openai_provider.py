"""The provider `openai`: what it puts on the wire, what it refuses to, and how it goes through a plain proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping

import pytest

from headgate import __version__
from headgate.errors import HeadgateError, InvalidRequest, UpstreamAuth, UpstreamUnreachable
from headgate.providers.openai import OpenAIProvider
from headgate.providers.sending import MAX_DESTINATIONS
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.providers.upstream.proxy import ProxySettings
from headgate.types import Api, Operation
from tests.providers.loopback import HOST, JSON_ANSWER, Peer, answering, header, serving

OnEachLoop = Callable[[Coroutine[None, None, None]], None]
BODY = b'{"model":"m","messages":[]}'
ASKED = Operation(Api.CHAT, "m", stream=False)
ALICE = "Basic YWxpY2U6c2VjcmV0"  # alice:secret


def provider_with(headers: Mapping[str, str] | None = None, proxy: ProxySettings | None = None) -> OpenAIProvider:
    connector = Connector(ConnectSettings(proxy=proxy or ProxySettings()))
    return OpenAIProvider("openai", connector, PoolSettings(), headers or {})


async def ask(
    provider: OpenAIProvider, endpoint: str, api_key: str = "sk-1", headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    response = await provider.send(ASKED, BODY, endpoint=endpoint, api_key=api_key, headers=headers)
    try:
        return await response.read()
    finally:
        response.close()


def test_a_request_on_the_wire_byte_for_byte() -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with({"OpenAI-Organization": "org-1"})
            assert await ask(provider, server.url, headers=(("traceparent", "00-1-2-01"),)) == b'{"ok":true}'
            assert server.peers[0].requests == [
                (
                    "POST /v1/chat/completions HTTP/1.1\r\n"
                    f"host: {HOST}:{server.port}\r\n"
                    "accept-encoding: identity\r\n"
                    f"user-agent: headgate/{__version__}\r\n"
                    "content-type: application/json\r\n"
                    "authorization: Bearer sk-1\r\n"
                    "openai-organization: org-1\r\n"
                    "traceparent: 00-1-2-01\r\n"
                    f"content-length: {len(BODY)}\r\n\r\n",
                    BODY,
                )
            ]
            await provider.aclose()

    asyncio.run(scenario())


def test_each_route_has_its_path_and_each_key_its_authorization() -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with()
            for api in (Api.CHAT, Api.COMPLETIONS, Api.EMBEDDINGS, Api.RESPONSES):
                for key in ("sk-1", "sk-2", "none", "", "sk-1"):
                    response = await provider.send(
                        Operation(api, "m", stream=False), BODY, endpoint=f"{server.url}/", api_key=key
                    )
                    assert await response.read() == b'{"ok":true}'
                    response.close()
                    head, _ = server.peers[0].requests[-1]
                    assert head.startswith(f"POST /v1/{api.value} HTTP/1.1\r\n")
                    assert header(head, "authorization") == (f"Bearer {key}" if key.startswith("sk") else None)
            assert len(server.peers) == 1
            await provider.aclose()

    asyncio.run(scenario())


def test_configured_headers_win_over_the_usual_ones() -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with({"Authorization": "Token t", "User-Agent": "mine"})
            await ask(provider, server.url)
            head, _ = server.peers[0].requests[0]
            assert header(head, "authorization") == "Token t"
            assert header(head, "user-agent") == "mine"
            assert head.lower().count("authorization") == 1
            await provider.aclose()

    asyncio.run(scenario())


BAD_HEADERS = [
    ("x-a", "1\r\nx-evil: 1"),
    ("x-a", "1\nx-evil: 1"),
    ("x-a", "1\r"),
    ("x-a", "\x00"),
    ("x-a", "sn\u2028owman"),
    ("x-a\r\nx-evil: 1\r\nx-b", "1"),
    ("x a", "1"),
    ("x:a", "1"),
    ("", "1"),
    ("Content-Length", "0"),
    ("transfer-encoding", "chunked"),
    ("Connection", "close"),
    ("host", "elsewhere"),
    ("expect", "100-continue"),
    ("accept-encoding", "gzip"),
    ("proxy-authorization", ALICE),
]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_a_header_that_would_break_the_request_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest):
        provider_with({name: value})

    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with()
            with pytest.raises(InvalidRequest) as caught:
                await ask(provider, server.url, headers=((name, value),))
            assert "evil" not in caught.value.message or "evil" in name
            assert server.peers == []

    asyncio.run(scenario())


@pytest.mark.parametrize("key", ["sk-secret\n", "sk-secret\r\nx-evil: 1", "sk-secret\x00", "sk-secret\u2028"])
def test_a_key_that_cannot_be_sent_is_the_operators_fault_and_not_shown(key: str) -> None:
    async def scenario() -> None:
        with pytest.raises(UpstreamAuth, match="A key of the provider openai") as caught:
            await ask(provider_with(), f"http://{HOST}:1/v1", api_key=key)
        assert "secret" not in caught.value.message

    asyncio.run(scenario())


@pytest.mark.parametrize("endpoint", ["", "no url", "http://host/v1\r\nx-evil: 1", "http://ho st/"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    async def scenario() -> None:
        with pytest.raises(UpstreamUnreachable, match="endpoint"):
            await ask(provider_with(), endpoint)

    asyncio.run(scenario())


def test_prepared_requests_are_bounded_and_forgetting_them_keeps_connections_under_way() -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server, serving(answering(JSON_ANSWER)) as other:
            provider = provider_with()
            busy = await provider.send(ASKED, BODY, endpoint=other.url, api_key="sk-1")
            for number in range(MAX_DESTINATIONS + 10):
                await ask(provider, server.url, api_key=f"sk-{number}")
            assert len(server.peers) == 1
            assert await busy.read() == b'{"ok":true}'
            busy.close()
            await ask(provider, other.url)
            assert len(other.peers) == 1
            await provider.aclose()

    asyncio.run(scenario())


def test_closing_closes_every_idle_connection(on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        gone: asyncio.Queue[int] = asyncio.Queue()

        async def handler(peer: Peer) -> None:
            try:
                await answering(JSON_ANSWER)(peer)
            finally:
                gone.put_nowait(1)

        async with serving(handler) as one, serving(handler) as two:
            provider = provider_with()
            await ask(provider, one.url)
            await ask(provider, two.url)
            await provider.aclose()
            await gone.get()
            await gone.get()
            with pytest.raises(UpstreamUnreachable, match="has closed its connections"):
                await ask(provider, one.url)
            with pytest.raises(UpstreamUnreachable, match="has closed its connections"):
                await ask(provider, f"http://{HOST}:1/v1")

    on_each_loop(scenario())


@pytest.mark.parametrize("credentials", ["", "alice:secret@"])
def test_a_plain_proxy_is_asked_in_absolute_form(credentials: str, on_each_loop: OnEachLoop) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as proxy:
            provider = provider_with(proxy=ProxySettings(http=f"http://{credentials}{HOST}:{proxy.port}"))
            assert await ask(provider, "http://models.example:8000/v1") == b'{"ok":true}'
            assert await ask(provider, "http://models.example/v1") == b'{"ok":true}'
            (first, _), (second, _) = (peer.requests[0] for peer in proxy.peers)
            assert first.startswith("POST http://models.example:8000/v1/chat/completions HTTP/1.1\r\n")
            assert header(first, "host") == "models.example:8000"
            assert header(first, "proxy-authorization") == (ALICE if credentials else None)
            assert header(first, "authorization") == "Bearer sk-1"
            assert second.startswith("POST http://models.example/v1/chat/completions HTTP/1.1\r\n")
            await provider.aclose()

    on_each_loop(scenario())


def test_a_plain_proxy_that_wants_a_password_is_named() -> None:
    async def scenario() -> None:
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
        async with serving(answering(refusal)) as proxy:
            provider = provider_with(proxy=ProxySettings(http=f"http://alice:wrong@{HOST}:{proxy.port}"))
            with pytest.raises(UpstreamUnreachable, match=f"The proxy {HOST}:{proxy.port} wants a user name") as caught:
                await ask(provider, "http://models.example/v1")
            assert "wrong" not in caught.value.message
            await provider.aclose()

    asyncio.run(scenario())


def test_no_proxy_goes_straight() -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = provider_with(proxy=ProxySettings(http="http://proxy.invalid:1", no_proxy=f"example.com,{HOST}"))
            assert await ask(provider, server.url) == b'{"ok":true}'
            assert server.peers[0].requests[0][0].startswith("POST /v1/chat/completions ")
            await provider.aclose()

    asyncio.run(scenario())


def test_no_error_ever_shows_a_key(on_each_loop: OnEachLoop) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 nonsense\r\n\r\n" if len(server_peers) else b"")
        server_peers.append(peer)

    server_peers: list[Peer] = []

    async def scenario() -> None:
        async with serving(handler) as server:
            provider = provider_with()
            for _ in range(2):
                with pytest.raises(HeadgateError) as caught:
                    await ask(provider, server.url, api_key="sk-very-secret")
                assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
            await provider.aclose()

    on_each_loop(scenario())
