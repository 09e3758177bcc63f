"""The provider `gemini`: its URLs and its key."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import RouteNotServed
from headgate.providers.gemini import GeminiProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation
from tests.providers.loopback import JSON_ANSWER, answering, header, serving

GENERATE = Operation(Api.GENERATE_CONTENT, "gemini-2.5-flash", stream=False)


def request_head(operation: Operation = GENERATE, suffix: str = "/v1beta", key: str = "key-1") -> str:
    """The head of the request that reaches the server."""

    async def scenario() -> str:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = GeminiProvider("gemini", Connector(ConnectSettings()), PoolSettings(), {})
            endpoint = server.url.removesuffix("/v1") + suffix
            response = await provider.send(operation, b"{}", endpoint=endpoint, api_key=key)
            assert await response.read() == b'{"ok":true}'
            response.close()
            await provider.aclose()
            head, _ = server.peers[0].requests[0]
            return head

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (GENERATE, "models/gemini-2.5-flash:generateContent"),
        (
            Operation(Api.GENERATE_CONTENT, "gemini-3-pro-preview", stream=True),
            "models/gemini-3-pro-preview:streamGenerateContent?alt=sse",
        ),
        (
            Operation(Api.EMBED_CONTENTS, "gemini-embedding-2", stream=False),
            "models/gemini-embedding-2:batchEmbedContents",
        ),
        (Operation(Api.GENERATE_CONTENT, "tunedModels/mine", stream=False), "tunedModels/mine:generateContent"),
        (Operation(Api.GENERATE_CONTENT, "a b\r\nc?ü", stream=False), "models/a%20b%0D%0Ac%3F%C3%BC:generateContent"),
    ],
)
def test_each_method_has_its_path(operation: Operation, path: str) -> None:
    assert request_head(operation).startswith(f"POST /v1beta/{path} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("", "/v1beta/"),
        ("/v1", "/v1/"),
        ("/v1beta1", "/v1beta1/"),
        ("/google", "/google/v1beta/"),
        ("/v1/x", "/v1/x/v1beta/"),
    ],
)
def test_the_version_may_stand_in_the_endpoint(suffix: str, path: str) -> None:
    assert request_head(suffix=suffix).startswith(f"POST {path}models/gemini-2.5-flash:generateContent HTTP/1.1\r\n")


def test_the_key_travels_as_google_wants_it_and_never_in_the_url() -> None:
    head = request_head()
    assert header(head, "x-goog-api-key") == "key-1"
    assert header(head, "authorization") is None
    assert "key-1" not in head.split("\r\n")[0]


def test_a_server_that_asks_for_no_key_gets_none() -> None:
    assert header(request_head(key="none"), "x-goog-api-key") is None


def test_an_api_that_google_does_not_have() -> None:
    with pytest.raises(RouteNotServed, match="do not know 'chat/completions'"):
        request_head(Operation(Api.CHAT, "gemini-2.5-flash", stream=False))
