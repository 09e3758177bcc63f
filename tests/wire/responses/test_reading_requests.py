"""What callers of the Responses API ask for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.errors import InvalidRequest, Untranslatable
from headgate.wire.neutral import (
    Audio,
    Citation,
    Effort,
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from headgate.wire.responses.request import read_request
from tests.wire.responses.talk import fields


def prompt(*items: Any, **members: Any) -> list[tuple[Role, tuple[Part, ...]]]:
    request = read_request(fields(input=list(items), **members))
    return [(message.role, message.parts) for message in request.messages]


def leftovers(**members: Any) -> list[Leftover]:
    return list(read_request(fields(**{"input": "hi", **members})).leftovers)


# --- the prompt ---


def test_a_string_is_a_user_message_after_the_instructions() -> None:
    request = read_request(fields(input="hi", instructions="Be brief."))
    assert request.messages == (Message(Role.SYSTEM, (Text("Be brief."),)), Message(Role.USER, (Text("hi"),)))


@pytest.mark.parametrize("kind", [{}, {"type": "message"}])
@pytest.mark.parametrize("content", ["hi", [{"type": "input_text", "text": "hi"}]])
@pytest.mark.parametrize(
    ("role", "expected"),
    [("user", Role.USER), ("system", Role.SYSTEM), ("developer", Role.SYSTEM), ("assistant", Role.ASSISTANT)],
)
def test_messages_easy_and_typed(kind: dict[str, str], content: Any, role: str, expected: Role) -> None:
    assert prompt({**kind, "role": role, "content": content}) == [(expected, (Text("hi"),))]


def test_parts_of_a_message() -> None:
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "low"},
        {"type": "input_image", "image_url": "https://pictures.test/a.png"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        {"type": "input_file", "file_url": "https://files.test/a.pdf"},
        {"type": "input_file", "file_id": "file-2"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "input_text", "text": "cached", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "tomorrow", "of": "ours"},
    ]
    ((_, parts),) = prompt({"role": "user", "content": content})
    assert parts == (
        Image("image/png", "iVBO", "", "low"),
        Image(url="https://pictures.test/a.png"),
        Opaque("responses", "input_image", b'{"type": "input_image", "file_id": "file-1"}'),
        File("application/pdf", "JVBE", name="a.pdf"),
        File(url="https://files.test/a.pdf"),
        File(file_id="file-2"),
        Audio("UklG", "wav"),
        Text("cached", cache="5m"),
        Opaque("responses", "tomorrow", b'{"type": "tomorrow", "of": "ours"}'),
    )


def test_what_a_model_said_before_keeps_citations_and_refusals() -> None:
    cited = {"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 1, "end_index": 3}
    item = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "yes", "annotations": [cited], "logprobs": []},
            {"type": "refusal", "refusal": "no"},
        ],
    }
    assert prompt(item) == [
        (Role.ASSISTANT, (Text("yes", (Citation("https://a.test", "A", "", 1, 3),)), Refusal("no")))
    ]


def test_one_go_of_a_model_is_one_turn_and_so_are_the_results_it_waits_for() -> None:
    call = {"type": "function_call", "call_id": "a", "name": "now", "arguments": "{}"}
    calls = ToolCall("a", "now", "{}"), ToolCall("b", "now", "{}")
    assert prompt(
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"role": "assistant", "content": "wait"},
        call,
        {**call, "call_id": "b"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "one"},
        {"role": "assistant", "content": "two"},
    ) == [
        (Role.USER, (Text("hi"),)),
        (Role.ASSISTANT, (Thinking("hm", id="rs_1"), Text("wait"), *calls)),
        (Role.USER, (ToolResult("a", (Text("1"),), name="now"), ToolResult("b", (Text("2"),), name="now"))),
        (Role.USER, (Text("and?"),)),
        (Role.ASSISTANT, (Text("one"),)),
        (Role.ASSISTANT, (Text("two"),)),
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"summary": [{"text": "a"}, {"text": "b"}]}, Thinking("a\n\nb")),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}, Thinking("raw")),
        ({"summary": [{"text": "a"}], "encrypted_content": "gAAA"}, Thinking("a", "gAAA", "", "openai")),
        ({"summary": [], "encrypted_content": "gAAA"}, Thinking("", "", "gAAA", "openai")),
        ({"summary": [{"text": "a"}], "encrypted_content": "anthropic:sig"}, Thinking("a", "sig", "", "anthropic")),
        ({"summary": [], "encrypted_content": "anthropic:sig"}, Thinking("", "sig", "", "anthropic")),
        ({"summary": [], "encrypted_content": "anthropic:redacted:x"}, Thinking("", "", "x", "anthropic")),
    ],
)
def test_thoughts(item: Any, expected: Thinking) -> None:
    assert prompt({"type": "reasoning", **item}) == [(Role.ASSISTANT, (expected,))]


def test_the_signature_of_a_call_comes_before_it() -> None:
    assert prompt(
        {"type": "reasoning", "summary": [], "encrypted_content": "gemini:call:sig"},
        {"type": "function_call", "call_id": "a", "name": "now", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "now", "arguments": "{}"},
    ) == [(Role.ASSISTANT, (ToolCall("a", "now", "{}", "sig", "gemini"), ToolCall("b", "now", "{}")))]


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("custom_tool_call", Role.ASSISTANT),
        ("custom_tool_call_output", Role.USER),
        ("local_shell_call", Role.ASSISTANT),
        ("local_shell_call_output", Role.USER),
        ("web_search_call", Role.ASSISTANT),
        ("mcp_approval_request", Role.ASSISTANT),
        ("mcp_approval_response", Role.USER),
        ("item_reference", Role.USER),
    ],
)
def test_items_that_only_this_api_has_are_kept_as_they_are(kind: str, role: Role) -> None:
    item = {"type": kind, "id": "x_1"}
    assert prompt(item) == [(role, (Opaque("responses", kind, json.dumps(item).encode()),))]


def test_what_a_tool_returned_may_hold_images_and_files_and_nothing_else() -> None:
    output = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBO"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_image", "file_id": "file-2"},
    ]
    request = read_request(fields(input=[{"type": "function_call_output", "call_id": "a", "output": output}]))
    assert request.messages[0].parts == (ToolResult("a", (Image("image/png", "iVBO"), File(file_id="file-1"))),)
    assert request.leftovers == (Leftover("input[0].output[2]"),)


def test_a_thought_that_is_only_a_name_is_a_hint() -> None:
    request = read_request(fields(input=[{"type": "reasoning", "id": "rs_1", "summary": []}]))
    assert request.messages == () and request.leftovers == (Leftover("input[0]", is_hint=True),)


# --- the other members ---


def test_how_to_answer() -> None:
    schema = {"type": "object", "properties": {}}
    request = read_request(
        fields(
            input="hi",
            stream=True,
            parallel_tool_calls=False,
            max_output_tokens=5,
            temperature=0.5,
            top_p=1,
            user="u",
            service_tier="flex",
            reasoning={"effort": "high", "generate_summary": "concise"},
            text={
                "verbosity": "low",
                "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True, "description": "d"},
            },
            include=["message.output_text.logprobs"],
            top_logprobs=3,
        )
    )
    assert request.stream and request.parallel_tool_calls is False
    assert (request.max_output_tokens, request.temperature, request.top_p) == (5, 0.5, 1.0)
    assert (request.user, request.service_tier, request.verbosity, request.logprobs) == ("u", "flex", "low", 3)
    assert request.effort == Effort("high", None, "concise")
    assert request.output is not None and request.output.schema is not None
    assert json.loads(bytes(request.output.schema)) == schema
    assert (request.output.name, request.output.description, request.output.strict) == ("n", "d", True)
    assert request.leftovers == ()


def test_logprobs_of_the_chosen_tokens_alone() -> None:
    assert read_request(fields(input="hi", include=["message.output_text.logprobs"])).logprobs == 0
    assert read_request(fields(input="hi", top_logprobs=0)).logprobs is None


def test_any_json() -> None:
    output = read_request(fields(input="hi", text={"format": {"type": "json_object"}})).output
    assert output is not None and output.schema is None


WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
CLOCK = {"type": "function", "name": "clock"}
SEARCH = {"type": "web_search", "search_context_size": "low"}


@pytest.mark.parametrize(
    ("wanted", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "weather"}, ToolChoice("named", "weather")),
        (None, None),
    ],
)
def test_tool_choices(wanted: Any, choice: ToolChoice | None) -> None:
    request = read_request(fields(input="hi", tools=[WEATHER, CLOCK, SEARCH], tool_choice=wanted))
    assert request.tool_choice == choice and request.leftovers == ()
    weather, clock, search = request.tools
    assert (weather.name, weather.strict, clock.name, clock.parameters) == ("weather", True, "clock", None)
    assert search == Opaque("responses", "web_search", json.dumps(SEARCH).encode())


def test_allowed_tools_are_the_only_ones_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "clock"}]}
    request = read_request(fields(input="hi", tools=[WEATHER, CLOCK, SEARCH], tool_choice=choice))
    assert [tool.name for tool in request.tools] == ["clock"]
    assert request.tool_choice == ToolChoice("required")


@pytest.mark.parametrize("choice", [{"type": "web_search"}, {"type": "mcp", "server_label": "wiki"}])
def test_a_choice_of_the_providers_own_tool_is_left_over(choice: Any) -> None:
    assert leftovers(tools=[SEARCH], tool_choice=choice) == [Leftover("tool_choice")]


@pytest.mark.parametrize("name", ["context_management", "max_tool_calls", "of_tomorrow"])
def test_what_other_apis_cannot_do_is_left_over(name: str) -> None:
    assert leftovers(**{name: "x"}) == [Leftover(name)]


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_only_openai_can_look_up_is_never_dropped(name: str) -> None:
    for members in ({}, {"input": "hi"}):
        with pytest.raises(Untranslatable) as caught:
            read_request(fields(**members, **{name: "x"}))
        assert caught.value.param == name
    assert not read_request(fields(input="hi", **{name: None})).leftovers


@pytest.mark.parametrize(
    "name", ["metadata", "safety_identifier", "prompt_cache_key", "store", "prompt_cache_retention", "stream_options"]
)
def test_hints_are_left_over_as_such(name: str) -> None:
    assert leftovers(**{name: {"a": "b"}}) == [Leftover(name, is_hint=True)]


def test_what_is_unknown_inside_a_member() -> None:
    assert leftovers(reasoning={"effort": "low", "context": "all_turns"}) == [
        Leftover("reasoning.context", is_hint=True)
    ]
    assert leftovers(text={"of_tomorrow": 1}) == [Leftover("text.of_tomorrow")]
    assert leftovers(include=["reasoning.encrypted_content", "web_search_call.results"]) == [
        Leftover("include[1]", is_hint=True)
    ]


def test_defaults_lose_nothing() -> None:
    assert not leftovers(
        truncation="disabled",
        store=False,
        background=False,
        service_tier="auto",
        metadata={},
        previous_response_id=None,
        max_tool_calls=None,
        text={"format": {"type": "text"}, "verbosity": "medium"},
        top_logprobs=0,
    )
    assert leftovers(truncation="auto") == [Leftover("truncation")]


# --- what is wrong is named ---


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "b"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "b"}]}, "input[0].call_id"),
        ({"input": "hi", "instructions": []}, "instructions"),
        ({"input": "hi", "temperature": "hot"}, "temperature"),
        ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "hi", "tools": {}}, "tools"),
        ({"input": "hi", "tool_choice": "maybe"}, "tool_choice"),
        ({"input": "hi", "tool_choice": {"type": "allowed_tools", "tools": [CLOCK]}}, "tool_choice.tools"),
        ({"input": "hi", "text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"input": "hi", "text": {"format": {"type": "xml"}}}, "text.format"),
        ({"input": "hi", "reasoning": "hard"}, "reasoning"),
        ({"input": "hi", "include": "all"}, "include"),
    ],
)
def test_a_wrong_member_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_request(fields(**members))
    assert raised.value.param == param


def test_deep_nesting_is_refused() -> None:
    deep = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        read_request({**fields(input="hi"), "input": deep})
