"""The openai package for Python, unchanged, against a gateway."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import openai
import pytest

from tests.e2e.gateway import ALICE, CAROL, Gateway
from tests.e2e.prompts import HELLO, PICTURE, WEATHER, Person
from tests.e2e.upstream import Exchange, Upstream, chat_answer, saying


def test_a_chat_completion(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    answer = client.chat.completions.create(model="small", messages=HELLO, temperature=0.5, seed=7)
    assert answer.choices[0].message.content == "Hello to you"
    assert answer.model == "gpt-4o-mini-2024-07-18"  # the upstream's own name
    assert answer.usage is not None and answer.usage.total_tokens == 12
    assert answer._request_id is not None and answer._request_id.startswith("req_")
    sent = upstream.exchange()
    assert sent.body == {"model": "gpt-4o-mini", "messages": HELLO, "temperature": 0.5, "seed": 7}
    assert sent.header("authorization") == "Bearer sk-upstream-secret"
    assert ALICE not in sent.head


def test_the_answers_headers(client: openai.OpenAI, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(
            chat_answer("x"), 200, "set-cookie: a=b", "openai-organization: org-secret", "x-ratelimit-limit-requests: 9"
        )

    upstream.plays(script)
    headers = client.chat.completions.with_raw_response.create(model="small", messages=HELLO).headers
    assert headers["x-headgate-model"] == "small"
    assert headers["x-headgate-provider"] == "upstream"
    assert headers["x-headgate-attempts"] == "upstream/gpt-4o-mini 200"
    assert headers["x-headgate-cost-usd"] == "0.000015"
    assert (
        "set-cookie" not in headers
        and "org-secret" not in str(headers)
        and headers.get("x-ratelimit-limit-requests") != "9"
    )


def test_a_stream(client: openai.OpenAI, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.words(["Hello", " to", " you"], {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})

    upstream.plays(script)
    with client.chat.completions.create(model="small", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello to you"
    assert all(chunk.choices for chunk in chunks), "a usage chunk nobody asked for"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert upstream.exchange().body["stream_options"] == {"include_usage": True}


def test_a_stream_with_usage(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.plays(saying("Hello"))
    with client.chat.completions.create(
        model="small", messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 12


def test_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="simulated", messages=HELLO, tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls
    call = answer.choices[0].message.tool_calls[0]
    assert call.type == "function" and call.function.name == "weather"
    history: list[Any] = [
        *HELLO,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "21 C"},
    ]
    after = client.chat.completions.create(model="simulated", messages=history, tools=[WEATHER])
    assert after.choices[0].message.content


def test_streamed_tools(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="simulated", messages=HELLO, tools=[WEATHER], tool_choice="required"
    ) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.delta" in kinds
    assert message.tool_calls and message.tool_calls[0].function.name == "weather"


def test_structured_output(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="simulated", messages=HELLO, response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person)


def test_images(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.plays(saying("A pixel"))
    assert client.chat.completions.create(model="small", messages=PICTURE).choices[0].message.content == "A pixel"
    assert upstream.exchange().body["messages"] == PICTURE


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(client: openai.OpenAI, encoding: Any) -> None:
    answer = client.embeddings.create(model="simulated", input=["one", "two"], encoding_format=encoding, dimensions=8)
    assert [item.index for item in answer.data] == [0, 1]
    vectors: list[Any] = [item.embedding for item in answer.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<8f", base64.b64decode(vector))) for vector in vectors]
    assert all(len(vector) == 8 for vector in vectors) and vectors[0] != vectors[1]


def test_embeddings_as_the_package_likes_them(client: openai.OpenAI, upstream: Upstream) -> None:
    """Unasked, the package sends base64 and unpacks it itself."""

    async def script(exchange: Exchange) -> None:
        vector = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
        data = [{"object": "embedding", "index": 0, "embedding": vector}]
        await exchange.json(
            {"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        )

    upstream.plays(script)
    assert client.embeddings.create(model="embed", input="one").data[0].embedding == [0.5, -0.25]
    assert upstream.exchange().body["encoding_format"] == "base64"
    assert upstream.exchange().head.startswith("POST /v1/embeddings ")


def test_completions(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="simulated", prompt="Once", max_tokens=5)
    assert whole.choices[0].text
    assert whole.usage is not None and whole.usage.completion_tokens <= 5
    with client.completions.create(model="simulated", prompt="Once", max_tokens=5, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream)


def test_models(client: openai.OpenAI, gateway: Gateway) -> None:
    assert {"small", "simulated", "embed"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("small").id == "small"
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=CAROL) as other:
        assert {model.id for model in other.models.list()} == {"small", "simulated"}
        with pytest.raises(openai.NotFoundError):
            other.models.retrieve("embed")


def test_the_async_client(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))

    async def scenario() -> None:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as client:

            async def ask(number: int) -> str:
                if number % 2:
                    answer = await client.chat.completions.create(model="small", messages=HELLO)
                    return answer.choices[0].message.content or ""
                async with await client.chat.completions.create(model="small", messages=HELLO, stream=True) as stream:
                    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            assert await asyncio.gather(*(ask(number) for number in range(20))) == ["Hello to you"] * 20
            parsed = await client.chat.completions.parse(model="simulated", messages=HELLO, response_format=Person)
            assert isinstance(parsed.choices[0].message.parsed, Person)
            called = await client.chat.completions.create(
                model="simulated", messages=HELLO, tools=[WEATHER], tool_choice="required"
            )
            assert called.choices[0].message.tool_calls
            assert (await client.embeddings.create(model="simulated", input="one")).data
            assert [model.id async for model in client.models.list()]
            with pytest.raises(openai.NotFoundError, match="unknown-model"):
                await client.chat.completions.create(model="unknown-model", messages=HELLO)

    asyncio.run(scenario())


def test_a_client_of_azure(gateway: Gateway, upstream: Upstream) -> None:
    """It has the model in its URLs and sends its key as `api-key`."""
    upstream.plays(saying("Hello"))
    settings: Any = {"azure_endpoint": gateway.url, "api_key": ALICE, "api_version": "2024-10-21", "max_retries": 0}
    with openai.AzureOpenAI(**settings) as client:
        answer = client.chat.completions.create(model="small", messages=HELLO)
        assert answer.choices[0].message.content == "Hello"
        assert upstream.exchange().body["model"] == "gpt-4o-mini"
        assert client.responses.create(model="simulated", input="Hello").output_text
        assert client.embeddings.create(model="simulated", input="Hello").data[0].embedding
        with client.chat.completions.create(model="simulated", messages=HELLO, stream=True) as stream:
            assert list(stream)[-1].choices[0].finish_reason == "stop"
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="un/known", messages=HELLO)
    with openai.AzureOpenAI(azure_deployment="small", **settings) as client:  # goes before what the body says
        upstream.plays(saying("Hello"))
        assert client.chat.completions.create(model="another", messages=HELLO).choices[0].message.content == "Hello"
