"""The litellm package as a client, unchanged, with models of three vendors behind the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import litellm
import pytest

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import HELLO, WEATHER
from tests.e2e.upstream import Upstream
from tests.e2e.vendors.mind import WEATHER_ARGUMENTS
from tests.e2e.vendors.playing import refusing, speaking

Complete = Callable[..., Any]


@pytest.fixture(params=["by-openai", "by-anthropic", "by-gemini"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["openai", "anthropic"])
def complete(request: pytest.FixtureRequest, gateway: Gateway, model: str) -> Complete:
    """`litellm.completion` in one of the dialects that the gateway speaks."""
    base = f"{gateway.url}/v1" if request.param == "openai" else gateway.url
    named = {"model": f"{request.param}/{model}", "api_base": base, "api_key": ALICE, "max_retries": 0}
    return lambda **asked: litellm.completion(**named, **asked)


def test_a_completion(complete: Complete, upstream: Upstream) -> None:
    upstream.plays(speaking())
    answer = complete(messages=HELLO)
    assert answer.choices[0].message.content == "You said: Hello"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 10)


def test_a_stream(complete: Complete, upstream: Upstream) -> None:
    upstream.plays(speaking())
    chunks = list(complete(messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_tool_loop(complete: Complete, upstream: Upstream) -> None:
    upstream.plays(speaking())
    history: list[Any] = [{"role": "user", "content": "How is the weather in Rome?"}]
    message = complete(messages=history, tools=[WEATHER]).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", WEATHER_ARGUMENTS)
    history += [message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "21 C"}]
    assert complete(messages=history, tools=[WEATHER]).choices[0].message.content == "The tool says: 21 C"


def test_a_response(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    answer: Any = litellm.responses(
        model=f"openai/{model}", input="Hello", api_base=f"{gateway.url}/v1", api_key=ALICE, max_retries=0
    )
    assert answer.output[-1].content[0].text == "You said: Hello"


def test_an_error(complete: Complete, upstream: Upstream) -> None:
    upstream.plays(refusing("No, because.", 429))
    with pytest.raises(litellm.RateLimitError, match="No, because"):
        complete(messages=HELLO)
