"""LangChain's chat model for OpenAI, unchanged, against a gateway."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import WEATHER, Person
from tests.e2e.upstream import Upstream, saying


def chat_model(gateway: Gateway, model: str) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{gateway.url}/v1", api_key=SecretStr(ALICE), model=model, max_retries=0)


def test_invoke(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    answer = chat_model(gateway, "small").invoke("Hello")
    assert answer.content == "Hello to you"
    assert answer.usage_metadata is not None and answer.usage_metadata["total_tokens"] == 12


def test_stream(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    whole: AIMessageChunk | None = None
    for chunk in chat_model(gateway, "small").stream("Hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None and whole.content == "Hello to you"


def test_tools(gateway: Gateway) -> None:
    model = chat_model(gateway, "simulated").bind_tools([dict(WEATHER)], tool_choice="any")
    answer = model.invoke("How is the weather?")
    assert [call["name"] for call in answer.tool_calls] == ["weather"]
    assert answer.tool_calls[0]["args"].keys() == {"city", "unit"}


def test_structured_output(gateway: Gateway) -> None:
    model = chat_model(gateway, "simulated").with_structured_output(Person, method="json_schema")
    assert isinstance(model.invoke("Who?"), Person)


def test_embeddings(gateway: Gateway) -> None:
    embeddings = OpenAIEmbeddings(
        base_url=f"{gateway.url}/v1",
        api_key=SecretStr(ALICE),
        model="simulated",
        check_embedding_ctx_length=False,
        dimensions=8,
    )
    assert [len(vector) for vector in embeddings.embed_documents(["one", "two"])] == [8, 8]


def test_an_error(gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError, match="no-such-model"):
        chat_model(gateway, "no-such-model").invoke("Hello")
