"""What a deployment that speaks Messages is sent, and what is named because it cannot be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from headgate.wire.neutral import (
    Audio,
    Citation,
    File,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.messages.asking import ADAPTIVE_MODEL, ASKED, HI, SCHEMA, content, written

SERVER_BLOCK = b'{ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} }'
CALL = Message(Role.ASSISTANT, (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")))


def system(text: str) -> Message:
    return Message(Role.SYSTEM, (Text(text),))


def said(text: str, role: Role = Role.ASSISTANT) -> Message:
    return Message(role, (Text(text),))


def test_a_plain_request() -> None:
    body, leftovers = written(Request(messages=(system("S"), HI), max_output_tokens=50, temperature=0.5, stream=True))
    assert body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "S"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "temperature": 0.5,
        "stream": True,
    }
    assert leftovers == []


@pytest.mark.parametrize(
    ("asked", "target", "ceiling"),
    [(None, {}, 4096), (7, {}, 7), (7, {"max_output_tokens": 5}, 5), (None, {"default_max_output_tokens": 9}, 9)],
)
def test_there_is_always_an_output_ceiling(asked: int | None, target: dict[str, Any], ceiling: int) -> None:
    assert written(Request(messages=ASKED, max_output_tokens=asked), **target)[0]["max_tokens"] == ceiling


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("a", cache="5m"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
        (Text("a", cache="1h"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        (Image("image/png", "AA"),
         {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}),
        (Image(url="https://a"), {"type": "image", "source": {"type": "url", "url": "https://a"}}),
        (File("application/pdf", "AA", name="N"),
         {"type": "document", "title": "N",
          "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}),
        (File("text/csv", "YSxi"),
         {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}}),
        (File(text="w"), {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "w"}}),
        (File(url="https://a"), {"type": "document", "source": {"type": "url", "url": "https://a"}}),
        (File(file_id="f"), {"type": "document", "source": {"type": "file", "file_id": "f"}}),
        (ToolResult("c", (Text("42"),), is_error=True),
         {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "42"}], "is_error": True}),
        (ToolResult("c", (Text(" "),)), {"type": "tool_result", "tool_use_id": "c"}),
        (Thinking("hm", "S", origin="anthropic"), {"type": "thinking", "thinking": "hm", "signature": "S"}),
        (Thinking(redacted="D", origin="anthropic"), {"type": "redacted_thinking", "data": "D"}),
        (ToolCall("c", "f", '{"a":1}'), {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}),
        (ToolCall("c", "f", ""), {"type": "tool_use", "id": "c", "name": "f", "input": {}}),
        (Refusal("no"), {"type": "text", "text": "no"}),
        (Opaque("messages", "server_tool_use", SERVER_BLOCK),
         {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
    ],
)  # fmt: skip
def test_parts(part: Part, block: dict[str, Any]) -> None:
    assert content(part) == ([block], [])


@pytest.mark.parametrize(
    ("part", "leftover"),
    [
        (Audio("AA", "wav"), ""),
        (Opaque("responses", "computer_call", b"{}"), ""),
        (File("application/zip", "AA"), ""),
        (File("text/plain", "not base64"), ""),
        (Image(data="AA"), ""),
        (ToolCall("c", "f", '{"a":'), ".arguments"),
        (ToolCall("c", "f", "[1]"), ".arguments"),
    ],
)
def test_what_cannot_be_said_is_named(part: Part, leftover: str) -> None:
    assert content(part)[1] == [f"messages[0].content[0]{leftover}"]


@pytest.mark.parametrize(
    ("part", "leftover"),
    [
        (Thinking("unsigned"), ""),
        (Thinking("hm", "S", origin="gemini"), ""),
        (Thinking(redacted="D", origin="openai"), ""),
        (Text("a", (Citation(url="u"),)), ".citations"),
        (Image(url="https://a", detail="high"), ".detail"),
        (ToolCall("c", "f", "{}", signature="S", origin="gemini"), ".signature"),
    ],
)
def test_what_may_be_missing_is_a_hint(part: Part, leftover: str) -> None:
    assert content(part)[1] == [f"(messages[0].content[0]{leftover})"]


def test_images_where_there_are_none() -> None:
    parts = (Image(url="https://a"), ToolResult("c", (Image(url="https://a"),)))
    blocks, leftovers = content(*parts, images=False)
    assert blocks == [{"type": "tool_result", "tool_use_id": "c"}]
    assert leftovers == ["messages[0].content[0]", "messages[0].content[1].content[0]"]


@pytest.mark.parametrize("empty", ["", " ", "\n\t"])
def test_text_of_white_space_is_left_out_and_turns_of_it(empty: str) -> None:
    messages = (Message(Role.USER, (Text(empty), Text("Hi"))), said(empty), said("there", Role.USER))
    body, leftovers = written(Request(messages=messages))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]}
    ]
    assert leftovers == []


def test_a_turn_to_be_continued_has_no_white_space_at_its_end() -> None:
    body, _ = written(Request(messages=(HI, said(" A: \n "), HI, said(" {  "))))
    assert [turn["content"][0]["text"] for turn in body["messages"]] == ["Hi", " A: \n ", "Hi", " {"]


def test_tool_results_of_several_messages_stand_first_in_one_turn() -> None:
    results = [Message(Role.USER, (Text(f"said {id_}"), ToolResult(id_, (Text("1"),)))) for id_ in ("c1", "c2")]
    body, _ = written(Request(messages=(HI, CALL, *results, HI)))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    kinds = [block.get("tool_use_id") or block["text"] for block in body["messages"][2]["content"]]
    assert kinds == ["c1", "c2", "said c1", "said c2", "Hi"]


@pytest.mark.parametrize("call_id", ["call_1", "functions.f:0", "a b", "ü", "", "hgid-x"])
def test_ids_of_tool_calls_are_made_of_what_anthropic_takes(call_id: str) -> None:
    messages = (
        HI,
        Message(Role.ASSISTANT, (ToolCall(call_id, "f", "{}"),)),
        Message(Role.USER, (ToolResult(call_id, ()),)),
    )
    body, _ = written(Request(messages=messages))
    used, answered = body["messages"][1]["content"][0]["id"], body["messages"][2]["content"][0]["tool_use_id"]
    assert used == answered and re.fullmatch("[a-zA-Z0-9_-]+", used)
    assert used == call_id if call_id == "call_1" else used != call_id


# --- system messages ---------------------------------------------------------------------------------------------


def test_leading_system_messages_are_the_system_prompt() -> None:
    body, leftovers = written(Request(messages=(system("A"), system("B"), HI)))
    assert [block["text"] for block in body["system"]] == ["A", "B"] and leftovers == []


def test_a_later_system_message_moves_to_the_top_and_is_named() -> None:
    body, leftovers = written(Request(messages=(system("A"), HI, system("B"))))
    assert [block["text"] for block in body["system"]] == ["A", "B"]
    assert [turn["role"] for turn in body["messages"]] == ["user"] and leftovers == ["messages[2].role"]


@pytest.mark.parametrize("after", [(), (said("ok"), HI)])
def test_newer_models_take_a_system_message_after_a_users_turn(after: tuple[Message, ...]) -> None:
    body, leftovers = written(Request(messages=(HI, system("B"), *after)), ADAPTIVE_MODEL)
    assert body["messages"][1] == {"role": "system", "content": [{"type": "text", "text": "B"}]}
    assert "system" not in body and leftovers == []


@pytest.mark.parametrize("before", [(HI, said("ok"), system("B"), HI), (HI, system("B"), HI)])
def test_but_nowhere_else(before: tuple[Message, ...]) -> None:
    body, leftovers = written(Request(messages=before), ADAPTIVE_MODEL)
    assert body["system"] == [{"type": "text", "text": "B"}]
    assert leftovers == [f"messages[{before.index(system('B'))}].role"]


def test_a_system_prompt_is_text() -> None:
    _, leftovers = written(Request(messages=(Message(Role.SYSTEM, (Image(url="https://a"),)), HI)))
    assert leftovers == ["messages[0].content[0]"]


# --- tools -------------------------------------------------------------------------------------------------------


def tools(*given: Tool | Opaque, model: str = ADAPTIVE_MODEL, **request: Any) -> tuple[dict[str, Any], list[str]]:
    return written(Request(messages=ASKED, tools=given, **request), model)


def test_tools() -> None:
    body, leftovers = tools(
        Tool("f", "d", SCHEMA, strict=True, cache="5m"), Tool("g"), Opaque("messages", "x", b'{"type":"x"}')
    )
    assert body["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"type": "x"},
    ]
    assert leftovers == [] and "tool_choice" not in body


def test_every_schema_says_that_it_is_one_of_an_object() -> None:
    body, _ = tools(Tool("f", parameters=msgspec.Raw(b'{"properties":{}}')))
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("name", ["", "a.b", "ü", "x" * 129])
def test_a_tool_whose_name_anthropic_does_not_take(name: str) -> None:
    body, leftovers = tools(Tool("ok"), Tool(name))
    assert [tool["name"] for tool in body["tools"]] == ["ok"] and leftovers == ["tools[1].name"]


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({"tool_choice": ToolChoice("auto")}, {"type": "auto"}),
        ({"tool_choice": ToolChoice("required")}, {"type": "any"}),
        ({"tool_choice": ToolChoice("named", "f")}, {"type": "tool", "name": "f"}),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {"type": "none"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": ToolChoice("required"), "parallel_tool_calls": False},
         {"type": "any", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
    ],
)  # fmt: skip
def test_tool_choice(members: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert tools(Tool("f"), **members)[0].get("tool_choice") == choice


@pytest.mark.parametrize(("mode", "leftovers"), [("required", ["tool_choice"]), ("auto", []), ("none", [])])
def test_a_choice_without_tools(mode: str, leftovers: list[str]) -> None:
    body, named = tools(tool_choice=ToolChoice(mode))
    assert "tool_choice" not in body and named == leftovers


def test_tools_where_there_are_none() -> None:
    body, leftovers = written(Request(messages=ASKED, tools=(Tool("f"),)), tools=False)
    assert "tools" not in body and leftovers == ["tools"]


def test_another_providers_tool() -> None:
    assert tools(Opaque("responses", "web_search", b"{}"))[1] == ["tools[0]"]


def test_strict_tools_where_nothing_keeps_to_a_schema() -> None:
    body, leftovers = written(Request(messages=ASKED, tools=(Tool("f", strict=True),)), json_schema=False)
    assert "strict" not in body["tools"][0] and leftovers == ["(tools[0].strict)"]


# --- the rest ----------------------------------------------------------------------------------------------------


def test_json_of_a_schema() -> None:
    output = OutputFormat(SCHEMA, name="n", strict=True)
    body, leftovers = written(Request(messages=ASKED, output=output))
    assert body["output_config"]["format"]["type"] == "json_schema" and leftovers == []
    assert written(Request(messages=ASKED, output=output), json_schema=False)[1] == ["response_format"]
    assert written(Request(messages=ASKED, output=OutputFormat()))[1] == ["response_format"]


@pytest.mark.parametrize(
    ("members", "leftovers"),
    [
        ({"choices": 2}, ["n"]),
        ({"seed": 0}, ["seed"]),
        ({"frequency_penalty": 0.5}, ["frequency_penalty"]),
        ({"presence_penalty": 0.5}, ["presence_penalty"]),
        ({"frequency_penalty": 0.0, "presence_penalty": 0.0, "choices": 1}, []),
        ({"logit_bias": msgspec.Raw(b'{"5":1}')}, ["logit_bias"]),
        ({"logit_bias": msgspec.Raw(b"{ }")}, []),
        ({"logprobs": 0}, ["logprobs"]),
        ({"verbosity": "low"}, ["(verbosity)"]),
        ({"service_tier": "flex"}, ["(service_tier)"]),
        ({"user": "u" * 513}, ["(user)"]),
        ({"stop": ("\n", "END")}, ["stop"]),
        ({"temperature": 1.5}, ["temperature"]),
    ],
)
def test_members_that_anthropic_has_no_place_for(members: dict[str, Any], leftovers: list[str]) -> None:
    assert written(Request(messages=ASKED, **members))[1] == leftovers


def test_members_that_it_has() -> None:
    body, leftovers = written(Request(messages=ASKED, stop=("END",), user="u", service_tier="default", top_k=3))
    assert (body["stop_sequences"], body["metadata"], body["top_k"]) == (["END"], {"user_id": "u"}, 3)
    assert body["service_tier"] == "standard_only" and leftovers == []
    assert "service_tier" not in written(Request(messages=ASKED, service_tier="auto"))[0]


def test_names_of_speakers_are_hints() -> None:
    assert written(Request(messages=(Message(Role.USER, (Text("Hi"),), name="Ada"),)))[1] == ["(messages[0].name)"]
