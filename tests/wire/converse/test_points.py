"""Cache points that the operator asks for, in bodies for Bedrock."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.cache_types import ProviderCacheRules
from headgate.types import Call, Route
from headgate.wire.dialects import dialogues
from headgate.wire.neutral import Target
from headgate.wire.translation import Ask

Json = dict[str, Any]
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EVERYWHERE = ProviderCacheRules(tools=True, system=True, history=True)
POINT = {"cachePoint": {"type": "default"}}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
TURNS = [
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two"},
    {"role": "user", "content": "Three"},
    {"role": "assistant", "content": "Four"},
    {"role": "user", "content": "Five"},
]


def sent(fields: Json, model: str = CLAUDE, rules: ProviderCacheRules | None = EVERYWHERE) -> Json:
    members = {"model": "m", "max_tokens": 9, "system": "S", "tools": [TOOL], "messages": TURNS, **fields}
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}
    call = Call("req_1", Route.MESSAGES, "m", False, raw, 0)
    ask = Ask(Target(model), None, True, 0)
    asked = dialogues("bedrock", points=rules)[Route.MESSAGES].ask(call, ask)
    assert not any("cache" in name for name in asked.dropped) or "cache_control" in json.dumps(fields)
    value: Json = json.loads(asked.body)
    return value


def test_golden() -> None:
    body, plain = sent({}), sent({}, rules=None)
    assert body["toolConfig"]["tools"] == [*plain["toolConfig"]["tools"], POINT]
    assert body["system"] == [{"text": "S"}, POINT]
    assert [message["content"] for message in body["messages"]] == [
        [{"text": "One"}],
        [{"text": "Two"}],
        [{"text": "Three"}, POINT],
        [{"text": "Four"}],
        [{"text": "Five"}, POINT],
    ]
    assert {name: value for name, value in body.items() if name not in ("toolConfig", "system", "messages")} == {
        name: value for name, value in plain.items() if name not in ("toolConfig", "system", "messages")
    }


@pytest.mark.parametrize(
    ("model", "tools", "ttl"),
    [
        (CLAUDE, True, {"ttl": "1h"}),
        ("anthropic.claude-opus-4-1-20250805-v1:0", True, {}),  # keeps nothing for an hour
        ("amazon.nova-pro-v1:0", False, {}),
    ],
)
def test_as_the_family_takes_them(model: str, tools: bool, ttl: Json) -> None:
    body = sent({}, model, msgspec.structs.replace(EVERYWHERE, ttl="1h"))
    point = {"cachePoint": {"type": "default", **ttl}}
    assert body["system"][-1] == body["messages"][-1]["content"][-1] == point
    assert (body["toolConfig"]["tools"][-1] == point) is tools


@pytest.mark.parametrize("model", ["meta.llama3-1-70b-instruct-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"])
def test_none_where_there_is_no_cache(model: str) -> None:
    assert sent({}, model) == sent({}, model, None)


@pytest.mark.parametrize(
    "own",
    [
        {"system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
        {"cache_control": {"type": "ephemeral"}},  # which Converse has no word for
    ],
)
def test_a_callers_own_points_are_the_only_ones(own: Json) -> None:
    assert sent(own) == sent(own, rules=None)


def test_arguments_that_speak_of_cache_points_are_none() -> None:
    call = {"type": "tool_use", "id": "c", "name": "look", "input": {"cachePoint": {}}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
    turns = [TURNS[0], {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert sent({"messages": turns})["messages"][2]["content"][-1] == POINT


def test_nothing_below_the_least_length() -> None:
    rules = msgspec.structs.replace(EVERYWHERE, least_bytes=2_000)
    assert sent({}, rules=rules) == sent({}, rules=None)
    body = sent({"system": "S" * 2_000}, rules=rules)
    assert POINT not in body["toolConfig"]["tools"] and body["system"][-1] == POINT
