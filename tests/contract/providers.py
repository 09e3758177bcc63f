"""Every provider adapter, ready to be asked: add one here and the contract is checked for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from headgate.clock import SystemClock
from headgate.config.schema import SimConfig, Spread
from headgate.ports import Provider
from headgate.providers.anthropic import AnthropicProvider
from headgate.providers.aws_signing import AwsSigner, SigningSettings
from headgate.providers.azure import AzureProvider
from headgate.providers.bedrock import BedrockProvider
from headgate.providers.gemini import GeminiProvider
from headgate.providers.openai import OpenAIProvider
from headgate.providers.sim import SimProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.providers.vertex import VertexPlace, VertexProvider
from headgate.types import Api
from tests.providers.loopback import Peer, serving

EVENTS = 50


@dataclass(frozen=True)
class Subject:
    """A provider and how to call it. It answers chat completions with JSON, and streams of at least a few events."""

    provider: Provider
    endpoint: str
    api_key: str
    api: Api = Api.CHAT  # what it is asked for; the answer is a chat completion all the same


async def speak_openai(peer: Peer) -> None:
    """A server of OpenAI's dialect, as small as it can be."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
    while True:
        head, body = await peer.request()
        if not head.startswith("POST /v1/") or not body:
            await peer.send(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        elif json.loads(body).get("stream"):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for frame in [event] * EVENTS + [b"data: [DONE]\n\n"]:
                await peer.send(b"%x\r\n%s\r\n" % (len(frame), frame))
            await peer.send(b"0\r\n\r\n")
        else:
            answer = b'{"object": "chat.completion", "choices": []}'
            await peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
            )
            await peer.send(answer)


@asynccontextmanager
async def openai() -> AsyncIterator[Subject]:
    async with serving(speak_openai) as server:
        provider = OpenAIProvider("openai", Connector(ConnectSettings()), PoolSettings(), {})
        yield Subject(provider, server.url, "sk-contract")
        await provider.aclose()


@asynccontextmanager
async def anthropic() -> AsyncIterator[Subject]:
    async with serving(speak_openai) as server:
        provider = AnthropicProvider("anthropic", Connector(ConnectSettings()), PoolSettings(), {})
        yield Subject(provider, server.url, "sk-contract")
        await provider.aclose()


@asynccontextmanager
async def gemini() -> AsyncIterator[Subject]:
    async with serving(speak_openai) as server:
        provider = GeminiProvider("gemini", Connector(ConnectSettings()), PoolSettings(), {})
        yield Subject(provider, server.url, "key-contract", Api.GENERATE_CONTENT)
        await provider.aclose()


@asynccontextmanager
async def vertex() -> AsyncIterator[Subject]:
    async with serving(speak_openai) as server:
        place = VertexPlace("project", "europe-west4")
        provider = VertexProvider("vertex", Connector(ConnectSettings()), PoolSettings(), {}, place, None)
        yield Subject(provider, server.url, "key-contract", Api.GENERATE_CONTENT)
        await provider.aclose()


@asynccontextmanager
async def azure() -> AsyncIterator[Subject]:
    async with serving(speak_openai) as server:
        provider = AzureProvider("azure", Connector(ConnectSettings()), PoolSettings(), {}, "2024-10-21")
        yield Subject(provider, server.url, "key-contract")
        await provider.aclose()


@asynccontextmanager
async def bedrock() -> AsyncIterator[Subject]:
    signer = AwsSigner(SigningSettings("bedrock", "us-east-1"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret-contract")
        async with serving(speak_openai) as server:
            provider = BedrockProvider("bedrock", Connector(ConnectSettings()), PoolSettings(), {}, signer)
            yield Subject(provider, server.url, "none", Api.CONVERSE)
            await provider.aclose()


@asynccontextmanager
async def sim() -> AsyncIterator[Subject]:
    at_once = Spread(median=0, p99=0)
    config = SimConfig(ttft_seconds=at_once, itl_seconds=at_once, output_tokens=Spread(median=EVENTS, p99=EVENTS))
    provider = SimProvider("sim", config, SystemClock())
    yield Subject(provider, "", "none")
    await provider.aclose()


FACTORIES: dict[str, Callable[[], AbstractAsyncContextManager[Subject]]] = {
    "anthropic": anthropic,
    "azure": azure,
    "bedrock": bedrock,
    "gemini": gemini,
    "openai": openai,
    "sim": sim,
    "vertex": vertex,
}
