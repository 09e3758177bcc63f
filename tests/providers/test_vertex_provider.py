"""The provider `vertex`: its URLs, and the tokens it shows instead of a key."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import RouteNotServed
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.providers.vertex import Tokens, VertexPlace, VertexProvider
from headgate.types import Api, Operation
from tests.providers.loopback import JSON_ANSWER, answering, header, serving

GENERATE = Operation(Api.GENERATE_CONTENT, "gemini-2.5-flash", stream=False)
REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"


class Numbered:
    """Gives out the same token until it is told to forget it."""

    def __init__(self) -> None:
        self.number = 1

    async def token(self) -> str:
        return f"token-{self.number}"

    def forget(self, token: str) -> None:
        assert token == f"token-{self.number}"
        self.number += 1


def request_heads(
    *operations: Operation,
    tokens: Tokens | None,
    key: str = "",
    project: str = "my-project",
    suffix: str = "/v1",
    answers: tuple[bytes, ...] = (JSON_ANSWER,),
) -> list[str]:
    """The heads of the requests that reach the server."""

    async def scenario() -> list[str]:
        async with serving(answering(*answers)) as server:
            place = VertexPlace(project, "europe-west4")
            provider = VertexProvider("vertex", Connector(ConnectSettings()), PoolSettings(), {}, place, tokens)
            endpoint = server.url.removesuffix("/v1") + suffix
            for operation in operations:
                response = await provider.send(operation, b"{}", endpoint=endpoint, api_key=key)
                assert await response.read()
                assert await response.read() == b""
                response.close()
            await provider.aclose()
            return [head for peer in server.peers for head, _ in peer.requests]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash"),
        ("publishers/meta/models/llama", "publishers/meta/models/llama"),
        ("endpoints/123", "endpoints/123"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "/v1"])
def test_a_model_belongs_to_a_project_and_a_location(model: str, path: str, suffix: str) -> None:
    operation = Operation(Api.GENERATE_CONTENT, model, stream=True)
    (head,) = request_heads(operation, tokens=Numbered(), suffix=suffix)
    parent = "/v1/projects/my-project/locations/europe-west4"
    assert head.startswith(f"POST {parent}/{path}:streamGenerateContent?alt=sse HTTP/1.1\r\n")
    assert header(head, "authorization") == "Bearer token-1"


def test_a_token_that_was_refused_is_not_shown_again() -> None:
    heads = request_heads(GENERATE, GENERATE, tokens=Numbered(), answers=(REFUSED, JSON_ANSWER))
    assert [header(head, "authorization") for head in heads] == ["Bearer token-1", "Bearer token-2"]


def test_a_key_knows_its_project() -> None:
    (head,) = request_heads(GENERATE, tokens=None, key="key-1", project="")
    assert head.startswith("POST /v1/publishers/google/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n")
    assert header(head, "x-goog-api-key") == "key-1"
    assert header(head, "authorization") is None


@pytest.mark.parametrize("key", ["", "none"])
def test_a_server_that_asks_for_nothing_gets_nothing(key: str) -> None:
    (head,) = request_heads(GENERATE, tokens=None, key=key)
    assert header(head, "x-goog-api-key") is None
    assert header(head, "authorization") is None


def test_an_api_that_google_does_not_have() -> None:
    with pytest.raises(RouteNotServed):
        request_heads(Operation(Api.CONVERSE, "gemini-2.5-flash", stream=False), tokens=None)
