"""Cache points that the operator asks for, in bodies for Anthropic's API, whoever asks in whatever dialect."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.cache_types import ProviderCacheRules
from headgate.types import Call, Route
from headgate.wire.dialects import dialogues
from headgate.wire.neutral import Target
from headgate.wire.translation import Ask

Json = dict[str, Any]
EVERYWHERE = ProviderCacheRules(tools=True, system=True, history=True)
POINT = {"cache_control": {"type": "ephemeral"}}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}}}
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": TOOL["input_schema"]}}


def sent(fields: Json | bytes, route: Route = Route.MESSAGES, rules: ProviderCacheRules | None = EVERYWHERE) -> bytes:
    """The body that Anthropic is sent for a caller's."""
    body = fields if isinstance(fields, bytes) else json.dumps({"model": "m", "max_tokens": 9, **fields}).encode()
    members: Mapping[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    call = Call("req_1", route, "m", False, members, 0)
    ask = Ask(Target("claude-sonnet-4-5"), None, True, 0)
    return dialogues("anthropic", points=rules)[route].ask(call, ask).body


def marked(fields: Json, route: Route = Route.MESSAGES, rules: ProviderCacheRules = EVERYWHERE) -> Json:
    value: Json = json.loads(sent(fields, route, rules))
    return value


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def points(value: Any) -> int:
    """How many cache points there are anywhere but in schemas."""
    if isinstance(value, dict):
        inside = sum(points(inner) for name, inner in value.items() if name not in ("input_schema", "input"))
        return inside + ("cache_control" in value)
    return sum(map(points, value)) if isinstance(value, list) else 0


def prefix(body: Json, turns: int) -> Json:
    """What the provider makes of a beginning: points are no part of it, and a text is a block."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items() if name != "cache_control"}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    messages = plain(body["messages"][:turns])
    for message in messages:
        if isinstance(message["content"], str):
            message["content"] = [text(message["content"])]
    return {"tools": plain(body["tools"]), "system": plain(body["system"]), "messages": messages}


TURN_1 = [user("One")]
TURN_2 = [*TURN_1, {"role": "assistant", "content": "Two"}, user("Three")]
TURN_3 = [*TURN_2, {"role": "assistant", "content": "Four"}, user("Five")]


def test_golden() -> None:
    assert marked({"tools": [TOOL, {**TOOL, "name": "see"}], "system": "Be brief.", "messages": TURN_3}) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 9,
        "tools": [TOOL, {**TOOL, "name": "see", **POINT}],
        "system": [text("Be brief.", **POINT)],
        "messages": [
            user("One"),
            {"role": "assistant", "content": "Two"},
            user([text("Three", **POINT)]),
            {"role": "assistant", "content": "Four"},
            user([text("Five", **POINT)]),
        ],
    }


def test_golden_of_other_dialects() -> None:
    turns = [{"role": "system", "content": "Be brief."}, *TURN_2]
    chat = marked({"tools": [FUNCTION], "messages": turns}, Route.CHAT)
    responses = marked(
        {"tools": [{"type": "function", **FUNCTION["function"]}], "instructions": "Be brief.", "input": TURN_2},  # type: ignore[dict-item]  # a function is a dict
        Route.RESPONSES,
    )
    for body in (chat, responses):
        assert body["tools"] == [{**TOOL, **POINT}]
        assert body["system"] == [text("Be brief.", **POINT)]
        assert [message["content"] for message in body["messages"]] == [
            [text("One", **POINT)],
            [text("Two")],
            [text("Three", **POINT)],
        ]


@pytest.mark.parametrize("route", [Route.MESSAGES, Route.CHAT])
def test_a_turn_reads_what_the_turn_before_wrote(route: Route) -> None:
    start: Json = {"tools": [TOOL], "system": "S"} if route is Route.MESSAGES else {"tools": [FUNCTION]}
    before = [] if route is Route.MESSAGES else [{"role": "system", "content": "S"}]
    bodies = [marked({**start, "messages": [*before, *turns]}, route) for turns in (TURN_1, TURN_2, TURN_3)]
    for earlier, later in itertools.pairwise(bodies):
        size = len(earlier["messages"])
        assert prefix(earlier, size) == prefix(later, size)
        assert points(earlier["messages"][-1]) == 1 == points(later["messages"][size - 1])
    assert [points(body) for body in bodies] == [3, 4, 4]
    assert sent({**start, "messages": TURN_3}, route) == sent({**start, "messages": TURN_3}, route)


def test_only_what_has_a_point_is_touched() -> None:
    body = (
        b'{"model":"m","max_tokens":9,"x-new": {"a" : 1.0},"tools":[ {"name":"a", "n":1.00} , {"name":"b"}],'
        b'"messages":[{"role":"user","content":[ {"type":"text","text":"\\u00e9 "} ] , "own" : 1 },'
        b'{"role":"assistant","content":[{"type":"thinking", "thinking":"h","signature":"s"} ]},'
        b'{"role":"user","content":"Go"}]}'
    )
    assert sent(body, rules=ProviderCacheRules(history=True)) == (
        b'{"model":"claude-sonnet-4-5","max_tokens":9,"x-new":{"a" : 1.0},'
        b'"tools":[ {"name":"a", "n":1.00} , {"name":"b"}],"messages":['
        b'{"role":"user","content":[{"type":"text","text":"\\u00e9 ","cache_control":{"type":"ephemeral"}}],'
        b'"own":1},{"role":"assistant","content":[{"type":"thinking", "thinking":"h","signature":"s"} ]},'
        b'{"role":"user","content":[{"type":"text","text":"Go","cache_control":{"type":"ephemeral"}}]}]}'
    )
    assert sent(body, rules=ProviderCacheRules()) == sent(body, rules=None)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (ProviderCacheRules(tools=True), {"tools": 1, "system": 0, "messages": 0}),
        (ProviderCacheRules(system=True), {"tools": 0, "system": 1, "messages": 0}),
        (ProviderCacheRules(history=True), {"tools": 0, "system": 0, "messages": 2}),
    ],
)
def test_each_where_it_is_asked_for(rules: ProviderCacheRules, found: dict[str, int]) -> None:
    body = marked({"tools": [TOOL], "system": "S", "messages": TURN_2}, rules=rules)
    assert {name: points(body[name]) for name in found} == found


def test_for_an_hour() -> None:
    body = marked({"system": "S", "messages": TURN_1}, rules=ProviderCacheRules(system=True, ttl="1h"))
    assert body["system"] == [text("S", cache_control={"type": "ephemeral", "ttl": "1h"})]


NESTED = {"type": "tool_result", "tool_use_id": "c", "content": [text("x", **POINT)]}
INSIDE = {"type": "document", "source": {"type": "content", "content": [text("x", **POINT)]}}


@pytest.mark.parametrize(
    "own",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"tools": [{**TOOL, **POINT}, TOOL]},
        {"system": [text("S", **POINT), text("T")]},
        {"messages": [user([text("One", **POINT)]), *TURN_2]},
        {"messages": [user([NESTED]), *TURN_2]},
        {"messages": [user([INSIDE]), *TURN_2]},
    ],
)
def test_a_callers_own_points_are_the_only_ones(own: Json) -> None:
    fields = {"system": "S", "tools": [TOOL], "messages": TURN_2, **own}
    assert sent(fields) == sent(fields, rules=None)


def test_a_callers_own_points_in_another_dialect() -> None:
    first = {"role": "system", "content": [text("S", **POINT)]}
    fields = {"messages": [first, *TURN_2]}
    assert sent(fields, Route.CHAT) == sent(fields, Route.CHAT, None)
    assert points(marked(fields, Route.CHAT)) == 1


def test_an_escaped_name_is_a_point_and_a_null_is_none() -> None:
    body = b'{"model":"m","max_tokens":9,"system":[{"type":"text","text":"S","cache\\u005fcontrol":{}}],"messages":[]}'
    own = body.replace(b"{}", b'{"type":"ephemeral"}')
    assert sent(own) == sent(own, rules=None)
    none = marked({"system": [text("S", cache_control=None)], "messages": TURN_1})
    assert none["system"] == [text("S", **POINT)]


def test_words_about_cache_control_are_no_points() -> None:
    call = {"type": "tool_use", "id": "c", "name": "look", "input": {"cache_control": {"type": "ephemeral"}}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": 'the "cache_control" member'}
    body = marked({"messages": [user("Look"), {"role": "assistant", "content": [call]}, user([result])]})
    assert body["messages"][2]["content"] == [{**result, **POINT}]
    assert body["messages"][1]["content"] == [call]


def test_nothing_below_the_least_length() -> None:
    rules = msgspec.structs.replace(EVERYWHERE, least_bytes=400)
    short = {"tools": [TOOL], "system": "S", "messages": TURN_2}
    assert sent(short, rules=rules) == sent(short, rules=None)
    long = marked({**short, "system": "S" * 400, "messages": TURN_1}, rules=rules)
    assert (points(long["tools"]), points(long["system"]), points(long["messages"])) == (0, 1, 1)
    growing = marked({"messages": [user("One"), {"role": "assistant", "content": "T" * 400}, user("Go")]}, rules=rules)
    assert [points(message) for message in growing["messages"]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("content", "at"),
    [
        ([text("a"), text("  ")], 0),
        ([{"type": "tool_result", "tool_use_id": "c"}, {"type": "of_tomorrow"}], 0),
        ([text("a"), {"type": "image", "source": {"type": "url", "url": "u"}}], 1),
    ],
)
def test_a_point_stands_at_the_last_block_that_can_have_it(content: list[Json], at: int) -> None:
    (message,) = marked({"messages": [user(content)]})["messages"]
    assert message["content"] == [{**block, **(POINT if index == at else {})} for index, block in enumerate(content)]


def test_tools_that_are_loaded_later_have_none() -> None:
    later = {**TOOL, "defer_loading": True}
    assert marked({"tools": [TOOL, later], "messages": TURN_1})["tools"] == [{**TOOL, **POINT}, later]


def test_messages_of_the_user_in_a_row_are_one_turn() -> None:
    body = marked({"messages": [user("a"), user("b"), {"role": "assistant", "content": "c"}, user("d"), user("e")]})
    assert [points(message) for message in body["messages"]] == [0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "what?"},
        {"messages": [user(7)]},
        {"messages": ["x"]},
        {"messages": [{"role": 1}]},
        {"messages": [], "system": "", "tools": []},
        {"messages": [user("")], "system": None},
        {"messages": TURN_1, "tools": ["x"]},
        {"messages": json.loads("[" * 900 + "]" * 900)},
    ],
)
def test_what_cannot_be_marked_passes_as_it_is(fields: Json) -> None:
    assert json.loads(sent(fields)) == json.loads(sent(fields, rules=None))


def test_a_count_of_tokens_needs_no_points() -> None:
    fields = {"system": "S", "messages": TURN_1}
    assert sent(fields, Route.COUNT_TOKENS) == sent(fields, Route.COUNT_TOKENS, None)


def test_other_providers_are_asked_as_before() -> None:
    assert dialogues("openai", points=EVERYWHERE) == dialogues("openai")


blocks = st.sampled_from(
    [
        text("a"),
        text(""),
        {"type": "thinking", "thinking": "h", "signature": "s"},
        {"type": "tool_result"},
        {"type": "x"},
    ]
)
contents = st.one_of(st.sampled_from(["", "a"]), st.lists(blocks, max_size=3))
turns = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": contents})


@given(st.lists(turns, max_size=6), st.lists(turns, max_size=3), st.integers(0, 300))
def test_at_most_four_and_the_same_beginning(start: list[Json], more: list[Json], least_bytes: int) -> None:
    rules = msgspec.structs.replace(EVERYWHERE, least_bytes=least_bytes)
    members = {"tools": [TOOL], "system": "S"}
    earlier = marked({**members, "messages": start}, rules=rules)
    later = marked({**members, "messages": [*start, *more]}, rules=rules)
    assert points(earlier) <= 4 and points(later) <= 4
    assert prefix(earlier, len(start)) == prefix(later, len(start))
