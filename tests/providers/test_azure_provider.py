"""The provider `azure`: which of Azure's URLs an endpoint leads to, and its key."""

from __future__ import annotations

import asyncio

import pytest

from headgate.providers.azure import AzureProvider, operation_path
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation
from tests.providers.loopback import JSON_ANSWER, answering, header, serving

NAME = "https://name.openai.azure.com"
FOUNDRY = "https://name.services.ai.azure.com"
DATE = "2024-12-01-preview"
OLD = f"?api-version={DATE}"


@pytest.mark.parametrize(
    ("endpoint", "api", "api_version", "url"),
    [
        # a resource's address and a date: the deployment is in the URL
        (NAME, Api.CHAT, DATE, f"{NAME}/openai/deployments/gpt-4o/chat/completions{OLD}"),
        (NAME, Api.COMPLETIONS, DATE, f"{NAME}/openai/deployments/gpt-4o/completions{OLD}"),
        (NAME, Api.EMBEDDINGS, "2024-02-01", f"{NAME}/openai/deployments/gpt-4o/embeddings?api-version=2024-02-01"),
        (NAME, Api.RESPONSES, "2025-04-01-preview", f"{NAME}/openai/responses?api-version=2025-04-01-preview"),
        (f"{NAME}/openai", Api.CHAT, DATE, f"{NAME}/openai/deployments/gpt-4o/chat/completions{OLD}"),
        (f"{NAME}/openai", Api.RESPONSES, DATE, f"{NAME}/openai/responses{OLD}"),
        # no date: the model is in the body
        (NAME, Api.CHAT, "", f"{NAME}/openai/v1/chat/completions"),
        (NAME, Api.RESPONSES, "", f"{NAME}/openai/v1/responses"),
        (NAME, Api.CHAT, "preview", f"{NAME}/openai/v1/chat/completions?api-version=preview"),
        (f"{NAME}/openai", Api.EMBEDDINGS, "", f"{NAME}/openai/v1/embeddings"),
        (f"{NAME}/openai/v1", Api.CHAT, "", f"{NAME}/openai/v1/chat/completions"),
        (f"{NAME}/openai/v1", Api.RESPONSES, "preview", f"{NAME}/openai/v1/responses?api-version=preview"),
        (f"{FOUNDRY}/openai/v1", Api.EMBEDDINGS, "", f"{FOUNDRY}/openai/v1/embeddings"),
        # behind another gateway
        ("https://a/azure/openai", Api.CHAT, DATE, f"https://a/azure/openai/deployments/gpt-4o/chat/completions{OLD}"),
        # an endpoint that names its deployment
        (f"{NAME}/openai/deployments/own", Api.CHAT, DATE, f"{NAME}/openai/deployments/own/chat/completions{OLD}"),
        # model inference
        (f"{FOUNDRY}/models", Api.CHAT, "", f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview"),
        (f"{FOUNDRY}/models", Api.EMBEDDINGS, "2025-04-01", f"{FOUNDRY}/models/embeddings?api-version=2025-04-01"),
    ],
)  # fmt: skip
def test_where_an_operation_is(endpoint: str, api: Api, api_version: str, url: str) -> None:
    assert f"{endpoint}/{operation_path(endpoint, Operation(api, 'gpt-4o', stream=False), api_version)}" == url


def test_odd_names_break_no_url() -> None:
    path = operation_path(NAME, Operation(Api.CHAT, "a/b\r\nc?", stream=False), "2024-10-21&x=1 ")
    assert path == "openai/deployments/a%2Fb%0D%0Ac%3F/chat/completions?api-version=2024-10-21%26x%3D1%20"


@pytest.mark.parametrize(("key", "sent"), [("key-1", "key-1"), ("none", None), ("", None)])
def test_the_key_travels_as_azure_wants_it(key: str, sent: str | None) -> None:
    async def scenario() -> None:
        async with serving(answering(JSON_ANSWER)) as server:
            provider = AzureProvider("azure", Connector(ConnectSettings()), PoolSettings(), {}, "2024-10-21")
            operation = Operation(Api.CHAT, "gpt-4o", stream=True)
            endpoint = server.url.removesuffix("/v1")
            response = await provider.send(operation, b"{}", endpoint=endpoint, api_key=key, headers=(("x-a", "1"),))
            assert await response.read() == b'{"ok":true}'
            response.close()
            await provider.aclose()
            head, body = server.peers[0].requests[0]
            path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
            assert head.startswith(f"POST {path} HTTP/1.1\r\n") and body == b"{}"
            assert header(head, "api-key") == sent and header(head, "authorization") is None
            assert header(head, "x-a") == "1"

    asyncio.run(scenario())
