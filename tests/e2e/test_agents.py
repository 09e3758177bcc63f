"""Requests as coding agents make them, to models of three vendors: all of it arrives, and the answer is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import messages, requested, responses, shapes
from tests.conformance.meaning import Call
from tests.e2e import agents
from tests.e2e.gateway import Gateway, Json
from tests.e2e.upstream import Exchange, Upstream
from tests.e2e.vendors.mind import THOUGHT, Heard, Said
from tests.e2e.vendors.playing import path_of, speaking

VENDORS = {"by-openai": "chat", "by-anthropic": "messages", "by-gemini": "gemini"}
COMMAND = {"command": "cat README.md", "options": {"mode": "careful", "depth": 1}}


def going_on(_heard: Heard) -> Said:
    """The next step of an agent: it thinks, says what it will do, and does it."""
    return Said("Now I read it.", THOUGHT, ("Read", COMMAND))


@pytest.fixture(params=VENDORS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(gateway: Gateway, path: str, body: Json, headers: dict[str, str]) -> tuple[str, str]:
    """The stream that the agent gets, and what was dropped of its request."""
    named: dict[str, Any] = {name.replace("-", "_"): value for name, value in headers.items()}
    status, answered, stream = gateway.request("POST", path, body, content_type="application/json", **named)
    assert status == 200, stream
    assert answered["content-type"].startswith("text/event-stream")
    return stream.decode(), answered.get("x-headgate-dropped", "")


def told(exchange: Exchange) -> requested.Asked:
    """What the vendor was asked."""
    path = path_of(exchange)
    spoken = "responses" if path.endswith("/responses") else "messages" if path.endswith("/messages") else ""
    return requested.READERS[spoken or ("gemini" if "Content" in path else "chat")](exchange.body)


def test_an_agent_that_speaks_anthropics_dialect(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking(going_on))
    body = agents.claude_code(model)
    stream, _ = ask(gateway, "/v1/messages?beta=true", body, agents.CLAUDE_CODE_HEADERS)
    reading = messages.read_stream(stream)
    assert not reading.failure and not shapes.of_stream("messages", stream)
    (choice,) = reading.choices
    assert (choice.text, choice.thoughts, choice.finish) == ("Now I read it.", [THOUGHT], "tool_calls")
    assert choice.calls == [Call("Read", COMMAND)]
    assert not requested.lost(requested.messages(body), told(upstream.exchange()))
    beta = upstream.exchange().header("anthropic-beta")
    assert beta == (agents.CLAUDE_CODE_HEADERS["anthropic-beta"] if model == "by-anthropic" else None)
    if model == "by-anthropic":
        assert upstream.exchange().body == {**body, "model": "claude-sonnet-4-5"}


def test_an_agent_that_speaks_responses(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking(going_on))
    body = agents.codex(model)
    stream, dropped = ask(gateway, "/v1/responses", body, agents.CODEX_HEADERS)
    reading = responses.read_stream(stream)
    assert not reading.failure and not shapes.of_stream("responses", stream)
    (choice,) = reading.choices
    assert (choice.text, choice.thoughts) == ("Now I read it.", [THOUGHT])
    assert choice.calls == [Call("Read", COMMAND)]
    lost = requested.lost(requested.responses(body), told(upstream.exchange()))
    if model == "by-anthropic":  # who does not think on from a turn whose thoughts were another model's
        assert lost == ["setting effort"] and "reasoning" in dropped
    else:
        assert not lost
    if model == "by-openai":
        assert upstream.exchange().body == {**body, "model": "gpt-5-mini"}


def test_counting_an_agents_tokens(gateway: Gateway, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    asked = {name: value for name, value in agents.claude_code(model).items() if name not in ("stream", "max_tokens")}
    status, _, body = gateway.request("POST", "/v1/messages/count_tokens?beta=true", asked)
    counted = json.loads(body)["input_tokens"]
    assert status == 200
    assert counted == 20 if model == "by-anthropic" else 5000 < counted < 50_000


def test_many_turns(gateway: Gateway, upstream: Upstream, model: str) -> None:
    """What an agent sends again is what it got: nothing grows, nothing is lost, turn by turn."""
    upstream.plays(speaking(going_on))
    body = agents.claude_code(model)
    for turn in range(3):
        stream, _ = ask(gateway, "/v1/messages", body, agents.CLAUDE_CODE_HEADERS)
        blocks = content_of(stream)
        # The proof of Gemini's tool calls is carried by thoughts without words.
        said = [block["type"] for block in blocks if block.get("thinking") != ""]
        assert said == ["thinking", "text", "tool_use"]
        result = {"type": "tool_result", "tool_use_id": blocks[-1]["id"], "content": f"line {turn}"}
        turn_of_both = [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        body["messages"] = [*body["messages"], *turn_of_both]
    assert not requested.lost(requested.messages(agents.claude_code(model)), told(upstream.exchange(1)))
    asked = told(upstream.exchange(3))
    assert [call.name for call in asked.calls] == ["Bash", "Read", "Read", "Read"]
    assert asked.results.endswith("line0line1")


def content_of(stream: str) -> list[Json]:
    """The blocks of a streamed message, as an agent keeps them."""
    blocks: list[Json] = []
    pieces: dict[int, str] = {}
    for line in stream.split("\n"):
        event = json.loads(line[6:]) if line.startswith("data: ") else {}
        match event.get("type"):
            case "content_block_start":
                blocks.append(event["content_block"])
            case "content_block_delta":
                delta = {name: value for name, value in event["delta"].items() if name != "type"}
                ((name, piece),) = delta.items()
                if name == "partial_json":
                    pieces[event["index"]] = pieces.get(event["index"], "") + piece
                else:
                    blocks[event["index"]][name] = blocks[event["index"]].get(name, "") + piece
    for index, text in pieces.items():
        blocks[index]["input"] = json.loads(text)
    return blocks
