"""The provider `anthropic`: its URLs, its key and the version of its API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from headgate.providers.anthropic import AnthropicProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation
from tests.providers.loopback import JSON_ANSWER, answering, header, serving

Headers = tuple[tuple[str, str], ...]


def request_head(
    headers: Headers = (), configured: Mapping[str, str] | None = None, api: Api = Api.MESSAGES, suffix: str = ""
) -> str:
    """The head of the request that reaches the server."""

    async def scenario() -> str:
        async with serving(answering(JSON_ANSWER)) as server:
            endpoint = server.url.removesuffix("/v1") + suffix
            connector = Connector(ConnectSettings())
            provider = AnthropicProvider("anthropic", connector, PoolSettings(), configured or {})
            operation = Operation(api, "claude", stream=False)
            response = await provider.send(operation, b"{}", endpoint=endpoint, api_key="sk-ant-1", headers=headers)
            assert await response.read() == b'{"ok":true}'
            response.close()
            await provider.aclose()
            head, _ = server.peers[0].requests[0]
            return head

    return asyncio.run(scenario())


@pytest.mark.parametrize("suffix", ["", "/v1"])
@pytest.mark.parametrize("api", [Api.MESSAGES, Api.COUNT_TOKENS])
def test_the_version_may_stand_in_the_endpoint(api: Api, suffix: str) -> None:
    assert request_head(api=api, suffix=suffix).startswith(f"POST /v1/{api.value} HTTP/1.1\r\n")


def test_the_key_travels_as_anthropic_wants_it() -> None:
    head = request_head()
    assert header(head, "x-api-key") == "sk-ant-1"
    assert header(head, "authorization") is None


@pytest.mark.parametrize(
    ("headers", "configured", "version"),
    [
        ((), {}, "2023-06-01"),
        ((("anthropic-version", "2024-10-22"),), {}, "2024-10-22"),
        ((("anthropic-version", "2024-10-22"),), {"Anthropic-Version": "2025-01-01"}, "2025-01-01"),
    ],
)
def test_one_version_is_sent(headers: Headers, configured: Mapping[str, str], version: str) -> None:
    head = request_head((*headers, ("anthropic-beta", "context-1m")), configured)
    assert head.lower().count("anthropic-version:") == 1
    assert header(head, "anthropic-version") == version
    assert header(head, "anthropic-beta") == "context-1m"
