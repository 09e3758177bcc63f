"""What callers of Messages say, in neutral words."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.errors import InvalidRequest, Untranslatable
from headgate.wire.messages.request import read_count_request, read_request
from headgate.wire.neutral import (
    Effort,
    File,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.messages.asking import fields, left_over, names, read, read_parts

CACHED = {"type": "ephemeral"}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def test_a_plain_request() -> None:
    request = read(stop_sequences=["END"], temperature=0.5, top_p=0.9, top_k=5, stream=True, metadata={"user_id": "u"})
    assert request.messages == (Message(Role.USER, (Text("Hi"),)),)
    assert (request.max_output_tokens, request.stop, request.temperature) == (100, ("END",), 0.5)
    assert (request.top_p, request.top_k, request.user, request.stream) == (0.9, 5, "u", True)
    assert request.leftovers == ()


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        ("Be brief.", (Text("Be brief."),)),
        ([{"type": "text", "text": "A", "cache_control": CACHED}, {"type": "text", "text": "B"}],
         (Text("A", cache="5m"), Text("B"))),
        ([{"type": "text", "text": "A", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
         (Text("A", cache="1h"),)),
    ],
)  # fmt: skip
def test_system_prompts(system: Any, parts: tuple[Text, ...]) -> None:
    assert read(system=system).messages[0] == Message(Role.SYSTEM, parts)


def test_a_thread_is_never_dropped() -> None:
    with pytest.raises(Untranslatable) as caught:
        read(thread={"type": "continue", "previous_message_id": "msg_1"})
    assert caught.value.param == "thread"
    assert read(thread=None).leftovers == ()


@pytest.mark.parametrize("nothing", ["", [], None])
def test_an_empty_system_prompt_is_none(nothing: object) -> None:
    assert len(read(system=nothing).messages) == 1


def test_a_system_message_between_turns_keeps_its_place() -> None:
    turns = [("user", "A"), ("assistant", "B"), ("user", "C"), ("system", "D")]
    request = read(messages=[{"role": role, "content": text} for role, text in turns])
    assert [(message.role, message.parts) for message in request.messages] == [(r, (Text(t),)) for r, t in turns]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "image", "source": PNG}, Image("image/png", "AAAA")),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}, Image(url="https://a/b.png")),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
         File("application/pdf", "AA==")),
        ({"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
         File("text/plain", text="words", name="T")),
        ({"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}}, File(url="https://a/b.pdf")),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, File(file_id="file_1")),
        ({"type": "document", "source": {"type": "content", "content": "words"}}, File("text/plain", text="words")),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"},
                                                                        {"type": "text", "text": "b"}]}},
         File("text/plain", text="a\nb")),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}, ToolCall("t1", "f", '{"a": 1}')),
        ({"type": "tool_result", "tool_use_id": "t1", "content": "42"}, ToolResult("t1", (Text("42"),))),
        ({"type": "tool_result", "tool_use_id": "t1"}, ToolResult("t1", ())),
        ({"type": "tool_result", "tool_use_id": "t1", "is_error": True, "cache_control": CACHED,
          "content": [{"type": "text", "text": "no"}, {"type": "image", "source": PNG}]},
         ToolResult("t1", (Text("no"), Image("image/png", "AAAA")), is_error=True, cache="5m")),
        ({"type": "thinking", "thinking": "hm", "signature": "S"}, Thinking("hm", "S", origin="anthropic")),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Thinking("hm")),
        ({"type": "thinking", "thinking": "", "signature": "openai:S"}, Thinking("", "S", origin="openai")),
        ({"type": "redacted_thinking", "data": "D"}, Thinking(redacted="D", origin="anthropic")),
        ({"type": "redacted_thinking", "data": "bedrock:D"}, Thinking(redacted="D", origin="bedrock")),
    ],
)  # fmt: skip
def test_blocks(block: dict[str, Any], part: object) -> None:
    assert read_parts(block) == (part,)
    assert left_over(block) == []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", "url": "u"}]},
        {"type": "search_result", "source": "u", "title": "t", "content": []},
        {"type": "container_upload", "file_id": "f"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": PNG}]}},
        {"type": "tomorrow", "text": 7},
    ],
)
def test_blocks_that_only_anthropic_knows(block: dict[str, Any]) -> None:
    (part,) = read_parts(block)
    assert isinstance(part, Opaque) and (part.dialect, part.kind) == ("messages", block["type"])
    assert left_over(block) == []


def test_the_signature_of_a_tool_call_stands_in_the_empty_thought_before_it() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    signed = {"type": "thinking", "thinking": "", "signature": "gemini:S"}
    assert read_parts(signed, call, role="assistant") == (ToolCall("t", "f", "{}", signature="S", origin="gemini"),)


@pytest.mark.parametrize("signature", ["S", "openai:S"])
def test_an_empty_thought_of_others_is_no_signature_of_a_call(signature: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    thought, tool_call = read_parts({"type": "thinking", "thinking": "", "signature": signature}, call)
    assert isinstance(thought, Thinking) and tool_call == ToolCall("t", "f", "{}")


def test_a_tool_result_knows_the_name_of_its_tool_and_the_original_id() -> None:
    use = {"type": "tool_use", "id": "hgid-ZnVuY3Rpb25zLmI6MQ", "name": "b", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "hgid-ZnVuY3Rpb25zLmI6MQ", "content": []}
    request = read(messages=[{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}])
    assert request.messages[0].parts == (ToolCall("functions.b:1", "b", "{}"),)
    assert request.messages[1].parts == (ToolResult("functions.b:1", (), name="b"),)


def test_tools() -> None:
    tool = {
        "name": "f",
        "description": "d",
        "input_schema": {"type": "object"},
        "strict": True,
        "cache_control": CACHED,
    }
    (own, custom, server) = read(
        tools=[tool, {"type": "custom", "name": "g"}, {"type": "web_search_20250305", "name": "web_search"}]
    ).tools
    assert isinstance(own, Tool) and own.parameters is not None
    assert (own.name, own.description, own.strict, own.cache) == ("f", "d", True, "5m")
    assert bytes(own.parameters) == b'{"type": "object"}'
    assert custom == Tool("g")
    assert isinstance(server, Opaque) and server.kind == "web_search_20250305"


@pytest.mark.parametrize(
    ("given", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any"}, ToolChoice("required"), None),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f"), None),
        ({"type": "none"}, ToolChoice("none"), None),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto"), False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), True),
        (None, None, None),
    ],
)
def test_tool_choice(given: Any, choice: ToolChoice | None, parallel: bool | None) -> None:
    request = read(tool_choice=given)
    assert (request.tool_choice, request.parallel_tool_calls) == (choice, parallel)


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Effort("", 2048)),
        ({"thinking": {"type": "adaptive"}}, Effort("", -1)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Effort("", -1, "auto")),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Effort("", -1)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Effort("max", -1)),
        ({"thinking": {"type": "disabled"}}, Effort("none")),
        ({"output_config": {"effort": "low"}}, Effort("low")),
        ({"output_config": {}}, None),
    ],
)
def test_effort(members: dict[str, Any], effort: Effort | None) -> None:
    assert read(**members).effort == effort


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_json_of_a_schema_under_its_new_and_its_old_name(name: str) -> None:
    format_ = {"type": "json_schema", "schema": {"type": "object"}}
    output = read(**{name: {"format": format_} if name == "output_config" else format_}).output
    assert isinstance(output, OutputFormat) and output.schema is not None
    assert bytes(output.schema) == b'{"type": "object"}' and output.strict


@pytest.mark.parametrize(("tier", "neutral"), [("auto", ""), ("standard_only", "default"), (None, "")])
def test_service_tiers(tier: str | None, neutral: str) -> None:
    assert read(service_tier=tier).service_tier == neutral


@pytest.mark.parametrize(
    ("members", "leftovers"),
    [
        ({"container": "c"}, ["container"]),
        ({"mcp_servers": [{"name": "x"}]}, ["mcp_servers"]),
        ({"inference_geo": "eu"}, ["inference_geo"]),
        ({"tomorrow": 1}, ["tomorrow"]),
        ({"cache_control": CACHED, "speed": "fast"}, ["(cache_control)", "(speed)"]),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}, ["(context_management)"]),
        ({"mcp_servers": [], "container": None, "tomorrow": False, "context_management": {}}, []),
        ({"metadata": {"user_id": "u", "run": "7"}}, ["(metadata.run)"]),
        ({"output_config": {"task_budget": {"total": 9}}}, ["output_config.task_budget"]),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, ["(output_config.effort)"]),
        ({"tools": [{"name": "f", "defer_loading": True}]}, ["(tools[0].defer_loading)"]),
        ({"tools": [{"name": "f", "allowed_callers": ["direct"]}]}, []),
        ({"tools": [{"name": "f", "allowed_callers": ["code_execution_20250825"]}]}, ["tools[0].allowed_callers"]),
        ({"tools": [{"name": "f", "input_examples": [{"a": 1}]}]}, ["tools[0].input_examples"]),
        ({"messages": [{"role": "user", "content": "Hi", "x": 1}]}, ["messages[0].x"]),
    ],
)
def test_what_has_no_neutral_word_is_named(members: dict[str, Any], leftovers: list[str]) -> None:
    assert names(read(**members).leftovers) == leftovers


@pytest.mark.parametrize(
    ("block", "leftover"),
    [
        ({"type": "text", "text": "a", "x": 1}, "x"),
        ({"type": "document", "source": {"type": "text", "data": "w"}, "context": "c"}, "context"),
        ({"type": "document", "source": {"type": "text", "data": "w"}, "citations": {"enabled": True}}, "citations"),
        ({"type": "tool_use", "id": "t", "name": "f", "caller": {"type": "code_execution_20250825"}}, "caller"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference"}]}, "content[0]"),
    ],
)
def test_what_a_block_says_beyond_is_named(block: dict[str, Any], leftover: str) -> None:
    assert left_over(block) == [f"messages[0].content[0].{leftover}"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "data": "w"}, "citations": {"enabled": False}},
        {"type": "tool_use", "id": "t", "name": "f", "caller": {"type": "direct"}},
        {"type": "text", "text": "a", "citations": None},
    ],
)
def test_defaults_are_not_left_over(block: dict[str, Any]) -> None:
    assert left_over(block) == []


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
         "messages[0].content[0].source"),
        ({"system": 7}, "system"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"tools": {}}, "tools"),
        ({"tools": [{}]}, "tools[0].name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "perhaps"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(**members)
    assert error.value.param == param
    assert param in error.value.message


def test_results_within_results_without_end() -> None:
    depth = 240
    opening, closing = '[{"type":"tool_result","tool_use_id":"t","content":', "}]"
    body = fields()
    body["messages"] = type(body["messages"])(
        ('[{"role":"user","content":' + opening * depth + '"x"' + closing * depth + "}]").encode()
    )
    with pytest.raises(InvalidRequest):
        read_request(body)


def test_a_request_to_count_tokens_has_no_ceiling() -> None:
    body = fields(system="S")
    del body["max_tokens"]
    request = read_count_request(body)
    assert request.max_output_tokens is None and len(request.messages) == 2
