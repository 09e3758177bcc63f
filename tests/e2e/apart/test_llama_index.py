"""LlamaIndex's models of OpenAI and Anthropic, unchanged, with models of three vendors behind the gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai_like import OpenAILike

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.upstream import Upstream
from tests.e2e.vendors.mind import WEATHER_ARGUMENTS
from tests.e2e.vendors.playing import heard, speaking

# What stands behind the names of Claude's that LlamaIndex knows.
CLAUDES = {
    "by-openai": "claude-3-7-sonnet-20250219",
    "by-anthropic": "claude-sonnet-4-20250514",
    "by-gemini": "claude-3-haiku-20240307",
}


def openai_like(gateway: Gateway, model: str) -> FunctionCallingLLM:
    return OpenAILike(
        model=model,
        api_base=f"{gateway.url}/v1",
        api_key=ALICE,
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )


def anthropic_messages(gateway: Gateway, model: str) -> FunctionCallingLLM:
    return Anthropic(model=CLAUDES[model], base_url=gateway.url, api_key=ALICE, max_retries=0)


@pytest.fixture(params=[openai_like, anthropic_messages], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Gateway, str], FunctionCallingLLM]:
    chosen: Callable[[Gateway, str], FunctionCallingLLM] = request.param
    return chosen


@pytest.fixture(params=["by-openai", "by-anthropic", "by-gemini"])
def model(
    request: pytest.FixtureRequest,
    gateway: Gateway,
    renaming_gateway: Gateway,
    make: Callable[[Gateway, str], FunctionCallingLLM],
) -> FunctionCallingLLM:
    return make(renaming_gateway if make is anthropic_messages else gateway, str(request.param))


def weather(city: str, unit: str) -> str:
    """The weather in a city."""
    return "21 C"


def test_complete(model: FunctionCallingLLM, upstream: Upstream) -> None:
    upstream.plays(speaking())
    assert model.complete("Hello").text == "You said: Hello"
    assert heard(upstream.exchange()).prompt == "Hello"


def test_stream(model: FunctionCallingLLM, upstream: Upstream) -> None:
    upstream.plays(speaking())
    assert "".join(piece.delta or "" for piece in model.stream_complete("Hello")) == "You said: Hello"


def test_a_tool(model: FunctionCallingLLM, upstream: Upstream) -> None:
    upstream.plays(speaking())
    tool = FunctionTool.from_defaults(weather)
    answer = model.chat_with_tools([tool], user_msg="How is the weather in Rome?")
    (call,) = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("weather", WEATHER_ARGUMENTS)
    assert model.predict_and_call([tool], user_msg="How is the weather in Rome?").response == "21 C"
