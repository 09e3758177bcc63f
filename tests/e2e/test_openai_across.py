"""The openai package for Python, unchanged: chat and responses, with models of three vendors behind the gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseInputParam

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import HELLO, PICTURE, PIXEL, WEATHER, Person
from tests.e2e.upstream import Exchange, Upstream
from tests.e2e.vendors import playing
from tests.e2e.vendors.mind import PERSON, THOUGHT, WEATHER_ARGUMENTS, thoughtful
from tests.e2e.vendors.playing import heard, refusing, speaking

VENDORS = ["by-openai", "by-anthropic", "by-gemini"]
TOOL: Any = {"type": "function", **WEATHER["function"]}


@pytest.fixture(params=VENDORS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- responses ---


def test_a_response(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    answer = client.responses.create(model=model, instructions="Be brief.", input="Hello", max_output_tokens=100)
    assert (answer.output_text, answer.status, answer.error) == ("You said: Hello", "completed", None)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens) == (20, 8)
    assert answer.usage.output_tokens == 10
    understood = heard(upstream.exchange())
    assert (understood.system, understood.prompt) == ("Be brief.", "Hello")


def test_a_response_in_pieces(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    with client.responses.stream(model=model, input="Hello") as stream:
        words = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(words) == final.output_text == "You said: Hello"
    assert len(words) > 1
    assert final.usage is not None and final.usage.total_tokens == 30


def test_raw_events(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    with client.responses.create(model=model, input="Hello", stream=True) as stream:
        events = list(stream)
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_loop_of_responses(client: openai.OpenAI, upstream: Upstream, model: str, streamed: bool) -> None:
    upstream.plays(speaking())

    def ask(history: ResponseInputParam) -> Any:
        asked: dict[str, Any] = {"model": model, "input": history, "tools": [TOOL], "store": False}
        if not streamed:
            return client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            return stream.get_final_response()

    history: Any = [{"role": "user", "content": "How is the weather in Rome?"}]
    called = ask(history)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("weather", WEATHER_ARGUMENTS)
    history += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in called.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 C"})
    assert ask(history).output_text == "The tool says: 21 C"


def test_parsed_responses(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    assert client.responses.parse(model=model, input="Who?", text_format=Person).output_parsed == Person(**PERSON)
    with client.responses.stream(model=model, input="Who?", text_format=Person) as stream:
        assert stream.get_final_response().output_parsed == Person(**PERSON)


def test_reasoning_summaries(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking(thoughtful))
    asked: Any = {"effort": "low", "summary": "auto"}
    answer = client.responses.create(model=model, input="Hello", reasoning=asked)
    (thought,) = [item for item in answer.output if item.type == "reasoning"]
    assert [part.text for part in thought.summary] == [THOUGHT]
    with client.responses.stream(model=model, input="Hello", reasoning=asked) as stream:
        pieces = [event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(pieces) == THOUGHT
    history: Any = [
        {"role": "user", "content": "Hello"},
        *[item.model_dump(exclude_none=True) for item in answer.output],
        {"role": "user", "content": "More"},
    ]
    assert client.responses.create(model=model, input=history, reasoning=asked).output_text == "You said: More"


def test_a_picture_in_a_response(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    parts: Any = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": PIXEL, "detail": "low"}]
    client.responses.create(model=model, input=[{"role": "user", "content": parts}])
    assert PIXEL.partition("base64,")[2] in json.dumps(upstream.exchange().body)


def test_an_earlier_response_is_the_vendors_to_remember(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    if model == "by-openai":
        client.responses.create(model=model, input="More", previous_response_id="resp_1")
        assert upstream.exchange().body["previous_response_id"] == "resp_1"
    else:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=model, input="More", previous_response_id="resp_1")
        assert caught.value.param == "previous_response_id"
        assert upstream.requests == 0


def test_errors_of_responses(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    for status, kind in ((400, openai.BadRequestError), (404, openai.NotFoundError), (429, openai.RateLimitError)):
        upstream.plays(refusing("No, because.", status))
        with pytest.raises(kind, match="No, because") as caught:
            client.responses.create(model=model, input="Hello")
        assert caught.value.status_code == status


def test_a_response_that_breaks(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    async def script(exchange: Exchange) -> None:
        vendor = playing.vendor_of(playing.path_of(exchange))
        data = vendor.stream(thoughtful(vendor.hear(exchange.body)), exchange.body)
        await exchange.begin_stream()
        await exchange.chunk(data[: len(data) * 2 // 3])
        exchange.client_left.set()  # cuts the connection

    upstream.plays(script)
    with pytest.raises(openai.APIError), client.responses.create(model=model, input="Hello", stream=True) as stream:
        assert "response.completed" not in [event.type for event in stream]


# --- chat completions ---


def test_a_chat_completion(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "system", "content": "Be brief."}, *HELLO], temperature=0.5, max_tokens=100
    )
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (20, 10, 30)
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    assert heard(upstream.exchange()).system == "Be brief."


def test_a_chat_stream(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    with client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "You said: Hello"
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 30


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_loop_of_chat(client: openai.OpenAI, upstream: Upstream, model: str, streamed: bool) -> None:
    upstream.plays(speaking())

    def ask(history: list[Any]) -> Any:
        asked: dict[str, Any] = {"model": model, "messages": history, "tools": [WEATHER]}
        if not streamed:
            return client.chat.completions.create(**asked).choices[0]
        with client.chat.completions.stream(**asked) as stream:
            return stream.get_final_completion().choices[0]

    history: list[Any] = [{"role": "user", "content": "How is the weather in Rome?"}]
    called = ask(history)
    assert called.finish_reason == "tool_calls"
    (call,) = called.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", WEATHER_ARGUMENTS)
    history.append(called.message.model_dump(exclude_none=True, exclude={"parsed"}))
    history.append({"role": "tool", "tool_call_id": call.id, "content": "21 C"})
    assert ask(history).message.content == "The tool says: 21 C"


def test_parsed_chat(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    parsed = client.chat.completions.parse(model=model, messages=HELLO, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(**PERSON)


def test_a_picture_in_chat(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    client.chat.completions.create(model=model, messages=PICTURE)
    exchange = upstream.exchange()
    assert PIXEL.partition("base64,")[2] in json.dumps(exchange.body) and heard(exchange).prompt == "What is it?"


def test_reasoning_in_chat(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking(thoughtful))
    message: Any = (
        client.chat.completions.create(model=model, messages=HELLO, reasoning_effort="low").choices[0].message
    )
    assert (message.reasoning_content, message.content) == (THOUGHT, "You said: Hello")


def test_errors_of_chat(client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    for status, kind in ((400, openai.BadRequestError), (404, openai.NotFoundError), (429, openai.RateLimitError)):
        upstream.plays(refusing("No, because.", status, "retry-after: 3"))
        with pytest.raises(kind, match="No, because") as caught:
            client.chat.completions.create(model=model, messages=HELLO)
        assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "3"


def test_what_a_vendor_cannot_do_is_refused_by_name(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.plays(speaking())
    with pytest.raises(openai.BadRequestError, match="logit_bias") as caught:
        client.chat.completions.create(model="by-anthropic", messages=HELLO, logit_bias={"50256": -100})
    assert caught.value.param == "logit_bias"
    assert upstream.requests == 0


def test_the_async_client(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())

    async def scenario() -> None:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as client:

            async def ask(number: int) -> str:
                if number % 2:
                    return (await client.responses.create(model=model, input="Hello")).output_text
                async with client.responses.stream(model=model, input="Hello") as stream:
                    return (await stream.get_final_response()).output_text

            assert await asyncio.gather(*(ask(number) for number in range(10))) == ["You said: Hello"] * 10

    asyncio.run(scenario())
