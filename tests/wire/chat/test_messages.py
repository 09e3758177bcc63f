"""What a caller's messages mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import InvalidRequest
from headgate.wire.neutral import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tests.wire.chat.bodies import USER, leftovers, read, turns

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def part(value: dict[str, Any]) -> Any:
    """The one part of a user's message."""
    (message,) = turns({"role": "user", "content": [value]})
    (read_part,) = message.parts
    return read_part


def test_roles() -> None:
    said = [{"role": role, "content": role} for role in ("system", "developer", "user", "assistant")]
    assert turns(*said) == (
        Message(Role.SYSTEM, (Text("system"),)),
        Message(Role.SYSTEM, (Text("developer"),)),
        Message(Role.USER, (Text("user"),)),
        Message(Role.ASSISTANT, (Text("assistant"),)),
    )


def test_a_name_is_kept() -> None:
    assert turns({**USER, "name": "ann"}) == (Message(Role.USER, (Text("Hello"),), name="ann"),)


def test_what_sdks_add_to_messages_means_nothing() -> None:
    dumped = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "parsed": {"a": 1},
    }
    assert turns(USER, {**dumped, "function_call": None, "tool_calls": None})[1].parts == (Text("Hi"),)


@pytest.mark.parametrize(
    ("sent", "means"),
    [
        ({"type": "text", "text": "Hi"}, Text("Hi")),
        ({"type": "text", "text": "Hi", "image_url": None}, Text("Hi")),
        ({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}, Text("Hi", cache="5m")),
        ({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("Hi", cache="1h")),
        ({"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("Hi", cache="5m")),
        ({"type": "image_url", "image_url": {"url": "https://a/b.png"}}, Image(url="https://a/b.png")),
        ({"type": "image_url", "image_url": "https://a/b.png"}, Image(url="https://a/b.png")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
            Image(media_type="image/png", data="QUJD", detail="low"),
        ),
        ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, Audio("QUJD", "wav")),
        ({"type": "file", "file": {"file_id": "file-1"}}, File(file_id="file-1")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
            File(media_type="application/pdf", data="QUJD", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.PDF", "file_data": "QUJD"}},
            File(media_type="application/pdf", data="QUJD", name="a.PDF"),
        ),
        ({"type": "file", "file": {"file_data": "https://a/b.pdf"}}, File(url="https://a/b.pdf")),
    ],
)
def test_parts(sent: dict[str, Any], means: object) -> None:
    assert part(sent) == means


def test_a_part_of_tomorrow_is_kept_as_it_came() -> None:
    video = {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}
    assert part(video) == Opaque("chat", "video_url", json.dumps(video).encode())


def test_a_mark_on_a_message_is_on_its_last_part() -> None:
    marked = {"role": "system", "content": "Be terse.", "cache_control": {"type": "ephemeral"}}
    assert turns(marked, USER)[0].parts == (Text("Be terse.", cache="5m"),)


# --- tools ---


def test_calls_and_results() -> None:
    second = {"id": "c2", "type": "function", "function": {"name": "time", "arguments": {"zone": "CET"}}, "index": 1}
    assert turns(
        USER,
        {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}]},
        {"role": "user", "content": "Thanks"},
    )[1:] == (
        Message(
            Role.ASSISTANT,
            (
                Text("Let me look."),
                ToolCall("c1", "weather", '{"city":"Rome"}'),
                ToolCall("c2", "time", '{"zone":"CET"}'),
            ),
        ),
        Message(
            Role.USER,
            (
                ToolResult("c1", (Text("sunny"),), name="weather"),
                ToolResult("c2", (Text("noon"),), name="time"),
            ),
        ),
        Message(Role.USER, (Text("Thanks"),)),
    )


def test_functions_of_old_get_the_same_ids_every_time() -> None:
    conversation = (
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "2"},
    )
    first, again = turns(*conversation), turns(*conversation)
    assert first == again
    (call,), (result,) = first[1].parts, first[2].parts
    assert isinstance(call, ToolCall) and isinstance(result, ToolResult)
    assert (call.name, call.arguments) == ("add", "{}")
    assert (result.call_id, result.name, result.parts) == (call.id, "add", (Text("2"),))


def test_a_custom_call_is_kept_as_it_came() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    (call,) = turns(USER, {"role": "assistant", "content": None, "tool_calls": [custom]})[1].parts
    assert isinstance(call, Opaque) and (call.kind, json.loads(call.raw)) == ("custom", custom)


@pytest.mark.parametrize(
    ("signature", "origin", "own"),
    [("gemini:abc", "gemini", "abc"), ("anthropic:a:b", "anthropic", "a:b"), ("CiQB", "gemini", "CiQB")],
)
def test_a_calls_signature_is_in_googles_member(signature: str, origin: str, own: str) -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": signature}}}
    (call,) = turns(USER, {**CALLS, "tool_calls": [signed]})[1].parts
    assert isinstance(call, ToolCall) and (call.origin, call.signature) == (origin, own)


def test_what_a_tools_message_cannot_hold_is_left_over() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}
    result = {"role": "tool", "tool_call_id": "c1", "content": [sound, {"type": "text", "text": "a"}]}
    request = read(USER, CALLS, result)
    assert leftovers(request) == ["messages[2].content[0]"]
    assert request.messages[2].parts == (ToolResult("c1", (Text("a"),), name="weather"),)


# --- thoughts ---


@pytest.mark.parametrize(
    ("members", "thoughts"),
    [
        ({"reasoning_content": "Hm."}, [Thinking("Hm.")]),
        ({"reasoning": "Hm."}, [Thinking("Hm.")]),
        ({"reasoning_content": "Hm.", "reasoning": "Hm."}, [Thinking("Hm.")]),
        (
            {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "anthropic:s", "index": 0}]},
            [Thinking("Hm.", signature="s", origin="anthropic")],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "H", "signature": "s", "format": "anthropic-claude-v1"}
                ]
            },
            [Thinking("H", signature="s", origin="anthropic")],
        ),
        (
            {
                "reasoning_content": "Hm.",
                "reasoning_details": [{"type": "reasoning.text", "signature": "gemini:s", "index": 0}],
            },
            [Thinking("Hm.", signature="s", origin="gemini")],
        ),
        (
            {
                "reasoning_content": "Hm.",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "openai:d", "id": "rs_1"}],
            },
            [Thinking("Hm."), Thinking(redacted="d", origin="openai", id="rs_1")],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm", "index": 0},
                    {"type": "reasoning.text", "text": ".", "index": 0},
                    {"type": "reasoning.text", "signature": "anthropic:s", "index": 0},
                    {"type": "reasoning.text", "text": "Oh.", "index": 1, "signature": "anthropic:t"},
                ]
            },
            [Thinking("Hm.", "s", origin="anthropic"), Thinking("Oh.", "t", origin="anthropic")],
        ),
    ],
)
def test_thoughts_that_come_back(members: dict[str, Any], thoughts: list[Thinking]) -> None:
    message = turns(USER, {"role": "assistant", "content": "Yes.", **members})[1]
    assert message.parts == (*thoughts, Text("Yes."))


def test_mistrals_thoughts_are_parts_of_the_content() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m."}]},
        {"type": "text", "text": "Yes."},
    ]
    assert turns(USER, {"role": "assistant", "content": content})[1].parts == (Thinking("Hm."), Text("Yes."))


def test_refusals_come_back_too() -> None:
    assert turns(USER, {"role": "assistant", "refusal": "No."})[1].parts == (Refusal("No."),)
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert turns(USER, said)[1].parts == (Refusal("No."),)


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([], "messages"),
        ([{"role": "boss", "content": "Hi"}], "messages[0].role"),
        ([{"role": 3, "content": "Hi"}], "messages[0].role"),
        ([{"content": "Hi"}], "messages[0].role"),
        ([USER, {"role": "user"}], "messages[1].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": [5]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "Hi"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0].file"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,Hi"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        ([USER, {"role": "tool", "content": "sunny"}], "messages[1].tool_call_id"),
        ([USER, {"role": "function", "name": "add", "content": "2"}], "messages[1]"),
        ([USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}], "messages[1].tool_calls[0].id"),
        ("Hi", "messages"),
        ([[]], "messages[0]"),
    ],
)
def test_what_is_wrong_is_named(messages: object, place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(messages=messages)
    assert caught.value.param == place
    assert place in caught.value.message


def test_unknown_members_are_left_over_and_named() -> None:
    text = {"type": "text", "text": "Hi", "weight": 2, "note": None}
    request = read(
        {"role": "user", "content": [text], "mood": "glad"},
        {"role": "assistant", "content": "Yes", "prefix": True, "safe": False},
        {**CALLS, "tool_calls": [{**CALL, "parent": "c0"}]},
        {"role": "assistant", "content": "Yes", "audio": {"id": "a1"}, "extra_content": {"google": {}}},
        {"role": "assistant", "content": "Yes", "provider_specific_fields": {"citations": []}},
    )
    assert leftovers(request) == [
        "messages[0].mood",
        "messages[1].prefix",
        "messages[2].tool_calls[0].parent",
        "messages[0].content[0].weight",
        "messages[3].audio",
        "messages[3].extra_content?",
        "messages[4].provider_specific_fields?",
    ]
    assert request.messages[0].parts == (Text("Hi"),)
