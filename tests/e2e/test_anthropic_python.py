"""The anthropic package for Python, unchanged, against a gateway, with models of three vendors behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from anthropic.types import MessageParam, ToolParam

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import PIXEL
from tests.e2e.upstream import Exchange, Upstream
from tests.e2e.vendors import messages, playing
from tests.e2e.vendors.mind import THOUGHT, WEATHER_ARGUMENTS, thoughtful
from tests.e2e.vendors.playing import heard, refusing, speaking

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
        "required": ["city", "unit"],
    },
}
VENDORS = ["by-openai", "by-anthropic", "by-gemini"]


@pytest.fixture(params=VENDORS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    """Does not try again by itself."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=ALICE, max_retries=0) as client:
        yield client


def test_a_message(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    answer = client.messages.create(
        model=model, max_tokens=100, system="Be brief.", messages=HELLO, extra_body={"temperature": 0.5}
    )
    assert [block.text for block in answer.content if block.type == "text"] == ["You said: Hello"]
    assert (answer.stop_reason, answer.role, answer.type) == ("end_turn", "assistant", "message")
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (12, 8)
    assert answer.usage.output_tokens == 10
    understood = heard(upstream.exchange())
    assert (understood.system, understood.prompt) == ("Be brief.", "Hello")


def test_a_stream(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "You said: Hello"
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 10
    assert (message.usage.input_tokens or 0) + (message.usage.cache_read_input_tokens or 0) == 20


def test_raw_events(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    events = list(client.messages.create(model=model, max_tokens=100, messages=HELLO, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_loop(client: anthropic.Anthropic, upstream: Upstream, model: str, streamed: bool) -> None:
    upstream.plays(speaking())

    def ask(history: list[MessageParam]) -> Any:
        asked: dict[str, Any] = {"model": model, "max_tokens": 500, "messages": history, "tools": [WEATHER]}
        if not streamed:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            return stream.get_final_message()

    called = ask([{"role": "user", "content": "How is the weather in Rome?"}])
    assert called.stop_reason == "tool_use"
    (block,) = [block for block in called.content if block.type == "tool_use"]
    assert (block.name, block.input) == ("weather", WEATHER_ARGUMENTS)
    result: Any = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "21 C"}]}
    history: list[MessageParam] = [
        {"role": "user", "content": "How is the weather in Rome?"},
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [result]},
    ]
    told = ask(history)
    assert [block.text for block in told.content if block.type == "text"] == ["The tool says: 21 C"]
    assert told.stop_reason == "end_turn"


def test_the_tool_runner(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    asked: list[tuple[str, str]] = []

    @beta_tool
    def weather(city: str, unit: str) -> str:
        """The weather in a city."""
        asked.append((city, unit))
        return "21 C"

    runner = client.beta.messages.tool_runner(model=model, max_tokens=500, messages=[*HELLO], tools=[weather])
    last = runner.until_done()
    assert asked == [("Rome", "C")]
    assert [block.text for block in last.content if block.type == "text"] == ["The tool says: 21 C"]


def test_thinking(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking(thoughtful))
    thinking: Any = {"type": "enabled", "budget_tokens": 2000}
    answer = client.messages.create(model=model, max_tokens=4000, messages=HELLO, thinking=thinking)
    assert [block.thinking for block in answer.content if block.type == "thinking"] == [THOUGHT]
    with client.messages.stream(model=model, max_tokens=4000, messages=HELLO, thinking=thinking) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
        message = stream.get_final_message()
    assert "".join(thoughts) == THOUGHT
    assert [block.type for block in message.content] == ["thinking", "text"]
    again = client.messages.create(
        model=model,
        max_tokens=4000,
        messages=[*HELLO, {"role": "assistant", "content": message.content}, {"role": "user", "content": "More"}],
        thinking=thinking,
    )
    assert [block.text for block in again.content if block.type == "text"] == ["You said: More"]


def test_an_image(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    data = PIXEL.partition("base64,")[2]
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    content: Any = [image, {"type": "text", "text": "What is it?"}]
    client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": content}])
    exchange = upstream.exchange()
    assert data in json.dumps(exchange.body) and heard(exchange).prompt == "What is it?"


def test_counting_tokens(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    assert client.messages.count_tokens(model=model, messages=HELLO, tools=[WEATHER]).input_tokens > 0
    assert (upstream.requests == 1) == (model == "by-anthropic"), "the vendor that can count is asked"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (529, anthropic.InternalServerError),
    ],
)
def test_the_vendors_errors(
    client: anthropic.Anthropic,
    upstream: Upstream,
    model: str,
    status: int,
    kind: type[anthropic.APIStatusError],
) -> None:
    upstream.plays(refusing("No, because.", status))
    with pytest.raises(kind) as caught:
        client.messages.create(model=model, max_tokens=100, messages=HELLO)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert body["type"] == "error" and body["error"]["message"] == "No, because."


def test_our_own_errors(gateway: Gateway, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no-such-model") as caught:
        client.messages.create(model="no-such-model", max_tokens=100, messages=HELLO)
    assert caught.value.request_id is not None and caught.value.request_id.startswith("req_")
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="by-gemini", max_tokens=-1, messages=HELLO)
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="hg-wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(model="by-openai", max_tokens=100, messages=HELLO)


def test_a_bearer_token_is_a_key_too(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(speaking())
    with anthropic.Anthropic(base_url=gateway.url, auth_token=ALICE, api_key=None, max_retries=0) as client:
        assert client.messages.create(model="by-openai", max_tokens=100, messages=HELLO).content


def test_a_stream_that_breaks(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    async def script(exchange: Exchange) -> None:
        vendor = playing.vendor_of(playing.path_of(exchange))
        data = vendor.stream(thoughtful(vendor.hear(exchange.body)), exchange.body)
        await exchange.begin_stream()
        await exchange.chunk(data[: len(data) * 2 // 3])
        exchange.client_left.set()  # cuts the connection

    upstream.plays(script)
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream,
    ):
        stream.get_final_message()


def test_betas_reach_anthropic_alone(client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    client.beta.messages.create(
        model=model, max_tokens=100, messages=[*HELLO], betas=["interleaved-thinking-2025-05-14"]
    )
    sent = upstream.exchange().header("anthropic-beta")
    assert sent == ("interleaved-thinking-2025-05-14" if model == "by-anthropic" else None)


def test_the_async_client(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())

    async def scenario() -> None:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=ALICE, max_retries=0) as client:

            async def ask(number: int) -> str:
                if number % 2:
                    async with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
                        return await stream.get_final_text()
                answer = await client.messages.create(model=model, max_tokens=100, messages=HELLO)
                return "".join(block.text for block in answer.content if block.type == "text")

            assert await asyncio.gather(*(ask(number) for number in range(10))) == ["You said: Hello"] * 10

    asyncio.run(scenario())


def test_what_goes_to_anthropic_is_what_was_sent(client: anthropic.Anthropic, upstream: Upstream) -> None:
    upstream.plays(speaking())
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    asked: dict[str, Any] = {"max_tokens": 100, "messages": HELLO, "system": system, "metadata": {"user_id": "u"}}
    answer = client.messages.create(model="by-anthropic", **asked)
    assert upstream.exchange().body == {"model": "claude-sonnet-4-5", **asked}
    assert answer.to_dict() == messages.answer(thoughtful(heard(upstream.exchange()))) | {
        "content": [{"type": "text", "text": "You said: Hello"}]
    }
    assert upstream.exchange().header("x-api-key") == "sk-upstream-secret"
