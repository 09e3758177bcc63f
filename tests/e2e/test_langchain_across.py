"""LangChain's chat models for OpenAI and Anthropic, unchanged, with models of three vendors behind the gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import Person
from tests.e2e.upstream import Upstream
from tests.e2e.vendors.mind import PERSON, WEATHER_ARGUMENTS
from tests.e2e.vendors.playing import heard, speaking

VENDORS = ["by-openai", "by-anthropic", "by-gemini"]
KEY = SecretStr(ALICE)


def openai_chat(gateway: Gateway, model: str) -> BaseChatModel:
    return ChatOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, model=model, max_retries=0, stream_usage=True)


def openai_responses(gateway: Gateway, model: str) -> BaseChatModel:
    return ChatOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, model=model, max_retries=0, use_responses_api=True)


def anthropic_messages(gateway: Gateway, model: str) -> BaseChatModel:
    return ChatAnthropic(  # type: ignore[call-arg]
        base_url=gateway.url, api_key=KEY, model_name=model, max_retries=0, max_tokens_to_sample=500
    )


@pytest.fixture(params=[openai_chat, openai_responses, anthropic_messages], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Gateway, str], BaseChatModel]:
    chosen: Callable[[Gateway, str], BaseChatModel] = request.param
    return chosen


@pytest.fixture(params=VENDORS)
def chat_model(
    request: pytest.FixtureRequest, gateway: Gateway, make: Callable[[Gateway, str], BaseChatModel]
) -> BaseChatModel:
    return make(gateway, str(request.param))


@tool
def weather(city: str, unit: str) -> str:
    """The weather in a city."""
    return "21 C"


def test_invoke(chat_model: BaseChatModel, upstream: Upstream) -> None:
    upstream.plays(speaking())
    answer = chat_model.invoke([SystemMessage("Be brief."), HumanMessage("Hello")])
    assert answer.text == "You said: Hello"
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (20, 10)
    assert heard(upstream.exchange()).system == "Be brief."


def test_stream(chat_model: BaseChatModel, upstream: Upstream) -> None:
    upstream.plays(speaking())
    whole: AIMessageChunk | None = None
    for chunk in chat_model.stream("Hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None and whole.text == "You said: Hello"
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] == 10


def test_a_tool_loop(chat_model: BaseChatModel, upstream: Upstream) -> None:
    upstream.plays(speaking())
    model = chat_model.bind_tools([weather])
    history: list[BaseMessage] = [HumanMessage("How is the weather in Rome?")]
    called = model.invoke(history)
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("weather", WEATHER_ARGUMENTS)
    history += [called, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert model.invoke(history).text == "The tool says: 21 C"


def test_streamed_tool_calls(chat_model: BaseChatModel, upstream: Upstream) -> None:
    upstream.plays(speaking())
    whole: AIMessageChunk | None = None
    for chunk in chat_model.bind_tools([weather]).stream("How is the weather?"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("weather", WEATHER_ARGUMENTS)]


def test_structured_output(chat_model: BaseChatModel, upstream: Upstream) -> None:
    upstream.plays(speaking())
    assert chat_model.with_structured_output(Person).invoke("Who?") == Person(**PERSON)
