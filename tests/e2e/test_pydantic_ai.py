"""pydantic-ai, unchanged: its models of OpenAI and Anthropic, with models of three vendors behind the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anthropic
import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.prompts import Person
from tests.e2e.upstream import Upstream
from tests.e2e.vendors.mind import PERSON
from tests.e2e.vendors.playing import heard, speaking

KINDS = ["openai_chat", "openai_responses", "anthropic_messages"]
Use = Callable[[Model], Awaitable[None]]
With = Callable[[Use], None]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["by-openai", "by-anthropic", "by-gemini"])
def with_model(request: pytest.FixtureRequest, gateway: Gateway, kind: str) -> With:
    """Runs a scenario with a model whose client is closed after it."""
    name = str(request.param)

    async def scenario(use: Use) -> None:
        if kind == "anthropic_messages":
            async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=ALICE, max_retries=0) as vendor:
                await use(AnthropicModel(name, provider=AnthropicProvider(anthropic_client=vendor)))
            return
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as client:
            model = OpenAIChatModel if kind == "openai_chat" else OpenAIResponsesModel
            await use(model(name, provider=OpenAIProvider(openai_client=client)))

    return lambda use: asyncio.run(scenario(use))


def test_an_agent(with_model: With, upstream: Upstream) -> None:
    upstream.plays(speaking())

    async def use(model: Model) -> None:
        result = await Agent(model, instructions="Be brief.").run("Hello")
        assert result.output == "You said: Hello"
        assert result.usage.output_tokens == 10

    with_model(use)
    assert heard(upstream.exchange()).system == "Be brief."


def test_an_agent_with_a_tool(with_model: With, upstream: Upstream) -> None:
    upstream.plays(speaking())
    asked: list[tuple[str, str]] = []

    async def use(model: Model) -> None:
        agent = Agent(model)

        @agent.tool_plain
        def weather(city: str, unit: str) -> str:
            """The weather in a city."""
            asked.append((city, unit))
            return "21 C"

        assert (await agent.run("How is the weather in Rome?")).output == "The tool says: 21 C"

    with_model(use)
    assert asked == [("Rome", "C")]


def test_an_agent_with_an_output_type(with_model: With, upstream: Upstream) -> None:
    upstream.plays(speaking())

    async def use(model: Model) -> None:
        assert (await Agent(model, output_type=Person).run("Who?")).output == Person(**PERSON)

    with_model(use)


def test_a_streaming_agent(with_model: With, upstream: Upstream) -> None:
    upstream.plays(speaking())

    async def use(model: Model) -> None:
        async with Agent(model).run_stream("Hello") as result:
            assert "".join([piece async for piece in result.stream_text(delta=True)]) == "You said: Hello"
            assert result.usage.output_tokens == 10

    with_model(use)
