"""A provider's own cache of prompts: a conversation that grows reads what the turn before it wrote, at its price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.upstream import Exchange, Upstream

MODEL = {
    "price": {"input": 1, "cached_input": 0.1, "cache_write": 1.25, "output": 2},
    "deployments": [{"provider": "anthropic", "model": "claude-sonnet-4-5"}],
    "cache": {"provider": {"points": ["tools", "system", "history"], "min_tokens": 100}},
}
OUTPUT_TOKENS = 3
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "Of the weather. " * 30}}}
SYSTEM = "You are a patient assistant. " * 20


class PromptCache:
    """Anthropic as far as its cache goes: what is before a point is read if it was written before, else written.

    A token is a byte of JSON. Only beginnings that end at a point are found.
    """

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.seen: list[tuple[int, int, int]] = []  # read, written and plain tokens of each request
        self.points: list[list[str]] = []  # where each request had them

    async def script(self, exchange: Exchange) -> None:
        body, said, points = exchange.body, "", []
        where: list[str] = []
        for place, block in _blocks(body):
            marked = block.pop("cache_control", None) is not None
            said += json.dumps(block, sort_keys=True)
            if marked:
                points.append(said)
                where.append(place)
        assert len(points) <= 4
        read = max((len(point) for point in points if point in self.written), default=0)
        written = max(map(len, points), default=0) - read
        self.written.update(points)
        self.points.append(where)
        self.seen.append((read, written, len(said) - read - written))
        usage = {
            "input_tokens": len(said) - read - written,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
        }
        content = [{"type": "text", "text": "As you say."}]
        end = {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
        await exchange.json(
            {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, **end}
        )


def _blocks(body: Json) -> Iterator[tuple[str, Json]]:
    for tool in body["tools"]:
        yield "tools", tool
    for place, content in [("system", body["system"]), *_contents(body)]:
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield place, block


def _contents(body: Json) -> list[tuple[str, Any]]:
    return [(f"messages[{index}]", message["content"]) for index, message in enumerate(body["messages"])]


@pytest.fixture(scope="module")
def pointing(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("pointing"), running_upstream.url, {"models": {"pointed": MODEL}})
    gateway.start()
    yield gateway
    gateway.stop()


def messages_body(turns: list[Json]) -> tuple[str, Json]:
    tool = {"name": "weather", "input_schema": SCHEMA}
    return "/v1/messages", {"tools": [tool], "system": SYSTEM, "messages": turns}


def chat_body(turns: list[Json]) -> tuple[str, Json]:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    return "/v1/chat/completions", {"tools": [tool], "messages": [{"role": "system", "content": SYSTEM}, *turns]}


@pytest.mark.parametrize("asking", [messages_body, chat_body])
def test_a_conversation_that_grows(pointing: Gateway, upstream: Upstream, asking: Any) -> None:
    provider = PromptCache()
    upstream.plays(provider.script)
    turns: list[Json] = []
    costs: list[Decimal] = []
    for question in ("Will it rain?", "And tomorrow?", "And the day after?"):
        turns.append({"role": "user", "content": question})
        path, body = asking(turns)
        status, headers, answer = pointing.request("POST", path, {"model": "pointed", "max_tokens": 50, **body})
        assert status == 200, answer
        assert "x-headgate-dropped" not in headers
        costs.append(Decimal(headers["x-headgate-cost-usd"]))
        turns.append({"role": "assistant", "content": "As you say."})
    assert provider.points == [
        ["tools", "system", "messages[0]"],
        ["tools", "system", "messages[0]", "messages[2]"],
        ["tools", "system", "messages[2]", "messages[4]"],
    ]
    (first, second, third) = provider.seen
    assert first[0] == 0 and second[0] == first[1] and third[0] == first[1] + second[1]
    assert [plain for _, _, plain in provider.seen] == [0, 0, 0]
    assert costs == [
        (read * Decimal("0.1") + written * Decimal("1.25") + plain + 2 * OUTPUT_TOKENS) / 1_000_000
        for read, written, plain in provider.seen
    ]
    assert costs[2] < costs[0] / 5


def test_a_callers_own_points_stay_alone(pointing: Gateway, upstream: Upstream) -> None:
    provider = PromptCache()
    upstream.plays(provider.script)
    path, body = messages_body([{"role": "user", "content": "Will it rain?"}])
    body["tools"][0]["cache_control"] = {"type": "ephemeral"}
    status, _, answer = pointing.request("POST", path, {"model": "pointed", "max_tokens": 50, **body})
    assert status == 200, answer
    assert provider.points == [["tools"]]
