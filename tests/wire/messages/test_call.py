"""The few members that are read of a call that is passed on, and the body that goes on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.errors import InvalidRequest, MalformedJson
from headgate.types import Call, Features, Route
from headgate.wire.messages.call import features, read_call, upstream_body, write_count
from tests.wire.messages.asking import fields

BODY = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


def call(route: Route = Route.MESSAGES, **members: Any) -> Call:
    return Call(id="req_1", route=route, model="m", stream=False, fields=fields(**members), body_bytes=0)


def test_what_is_read() -> None:
    body = json.dumps({**BODY, "stream": True, "metadata": {"user_id": "u" * 300}, "tomorrow": 1}).encode()
    given, view = read_call(Route.MESSAGES, body)
    assert (view.model, view.stream, view.max_tokens, view.user) == ("m", True, 100, "u" * 256)
    assert list(given) == ["model", "max_tokens", "messages", "stream", "metadata", "tomorrow"]


@pytest.mark.parametrize("members", [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"user_id": ""}}])
def test_a_caller_who_names_no_user(members: dict[str, Any]) -> None:
    assert read_call(Route.MESSAGES, json.dumps({**BODY, **members}).encode())[1].user is None


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"model": 7}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        read_call(Route.MESSAGES, json.dumps({**BODY, **members}).encode())
    assert error.value.param == param and param.split("[")[0] in error.value.message


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_what_is_missing_is_named(name: str) -> None:
    body = {member: value for member, value in BODY.items() if member != name}
    with pytest.raises(InvalidRequest, match=f"The member '{name}' is missing"):
        read_call(Route.MESSAGES, json.dumps(body).encode())


def test_tokens_are_counted_without_a_ceiling() -> None:
    body = {member: value for member, value in BODY.items() if member != "max_tokens"}
    assert read_call(Route.COUNT_TOKENS, json.dumps(body).encode())[1].max_tokens is None
    assert write_count(42) == b'{"input_tokens":42}'


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":' * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        read_call(Route.MESSAGES, body)


IMAGE = {"type": "image", "source": {"type": "url", "url": "u"}}


@pytest.mark.parametrize(
    ("content", "images"),
    [
        ("an image", False),
        ([{"type": "text", "text": "image"}], False),
        ([IMAGE], True),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}], True),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "image"}]}], False),
        ([{"type": "document", "source": {"type": "content", "content": [IMAGE]}}], True),
        ([{"type": 7, "image": 1}], True),
    ],
)
def test_images_are_found(content: Any, images: bool) -> None:
    assert features(fields(messages=[{"role": "user", "content": content}])) == Features(tools=False, images=images)


def test_an_escaped_image_is_found() -> None:
    for content in (rb'[{"type":"\u0069mage"}]', rb'[{"type":"tool_result","content":[{"type":"\u0069mage"}]}]'):
        messages = msgspec.Raw(b'[{"role":"user","content":' + content + b"}]")
        assert features({**fields(), "messages": messages}).images


@pytest.mark.parametrize(("tools", "used"), [([{"name": "f"}], True), ([], False), (None, False)])
def test_tools_are_found(tools: Any, used: bool) -> None:
    assert features(fields(tools=tools)).tools is used


# --- the body that goes on -----------------------------------------------------------------------------------------


def sent(call: Call, ceiling: int | None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(upstream_body(call, "theirs", max_output_tokens=ceiling).body)
    return body


def test_everything_else_passes_untouched() -> None:
    assert sent(call(tomorrow={"a": [1.50]}), None) == {**BODY, "model": "theirs", "tomorrow": {"a": [1.5]}}


@pytest.mark.parametrize(("given", "ceiling", "expected"), [(100, 50, 50), (100, 200, 100), (100, None, 100)])
def test_the_ceiling_is_lowered_and_never_raised(given: int, ceiling: int | None, expected: int) -> None:
    assert sent(call(max_tokens=given), ceiling)["max_tokens"] == expected


def test_a_count_has_no_ceiling_to_lower() -> None:
    counting = call(Route.COUNT_TOKENS)
    del counting.fields["max_tokens"]
    assert "max_tokens" not in sent(counting, 50)


@pytest.mark.parametrize(
    ("thinking", "ceiling", "budget_tokens"),
    [
        ({"type": "enabled", "budget_tokens": 5000}, 4000, 3999),
        ({"type": "enabled", "budget_tokens": 4000}, 4000, 3999),
        ({"type": "enabled", "budget_tokens": 3999}, 4000, 3999),
        ({"type": "enabled", "budget_tokens": 5000}, 1025, 1024),
        ({"type": "adaptive"}, 100, None),
    ],
)
def test_a_budget_to_think_is_lowered_too(thinking: Any, ceiling: int, budget_tokens: int | None) -> None:
    body = sent(call(max_tokens=9000, thinking={**thinking, "display": "omitted"}), ceiling)
    assert (body["max_tokens"], body["thinking"].get("budget_tokens")) == (ceiling, budget_tokens)
    assert body["thinking"]["display"] == "omitted"


def test_a_ceiling_that_leaves_no_room_to_think() -> None:
    with pytest.raises(InvalidRequest, match="thinking") as error:
        sent(call(max_tokens=9000, thinking={"type": "enabled", "budget_tokens": 5000}), 1024)
    assert error.value.param == "thinking.budget_tokens"


@pytest.mark.parametrize("thinking", [None, 7, {"type": "enabled", "budget_tokens": "many"}])
def test_what_is_wrong_with_thinking_says_the_provider(thinking: Any) -> None:
    assert sent(call(max_tokens=9000, thinking=thinking), 4000)["thinking"] == thinking


# --- thoughts of others ------------------------------------------------------------------------------------------


def thought(signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


def test_thoughts_of_other_providers_are_taken_out() -> None:
    turns = [
        {"role": "user", "content": '"openai:'},
        {
            "role": "assistant",
            "content": [thought("openai:S"), {"type": "text", "text": "Hi"}, thought("S"), thought("")],
        },
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "bedrock:D"}]},
        {"role": "user", "content": [{"type": "text", "text": "gemini:S"}]},
    ]
    kept = [*turns[:1], {"role": "assistant", "content": turns[1]["content"][1:]}, *turns[3:]]  # type: ignore[index] # a list
    given = call(messages=turns)
    assert sent(given, None)["messages"] == kept
    places = [leftover.field for leftover in upstream_body(given, "theirs", max_output_tokens=None).leftovers]
    assert places == ["messages[1].content[0]", "messages[2].content[0]"]


@pytest.mark.parametrize(
    "messages",
    [
        b'[ {"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"S"}]} ]',
        b'[ {"role":"assistant","content":[{"type":"text","text":"\\"openai:"}]} ]',
        b'[ {"thinking":1,"content":7}, "openai:S" ]',
    ],
)
def test_messages_without_any_pass_byte_for_byte(messages: bytes) -> None:
    given = call()
    given.fields["messages"] = msgspec.Raw(messages)
    written = upstream_body(given, "theirs", max_output_tokens=None)
    assert messages in written.body and not written.leftovers
