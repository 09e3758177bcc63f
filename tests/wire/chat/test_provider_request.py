"""What a server of chat completions is asked."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.chat.dialect import CLIENT, PROVIDER
from headgate.wire.neutral import (
    Audio,
    Effort,
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Refusal,
    Request,
    Role,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.chat.bodies import TARGET, Json, decoded, leftovers, written

ASKED = Message(Role.USER, (Text("Hello"),))
SCHEMA = msgspec.Raw(b'{"type":"object"}')
PICTURE = Image(media_type="image/png", data="QUJD")


def request(*messages: Message, **members: Any) -> Request:
    return Request(messages=messages or (ASKED,), **members)


def user(*parts: Part) -> Request:
    return request(Message(Role.USER, parts))


def assistant(*parts: Part) -> Request:
    return request(ASKED, Message(Role.ASSISTANT, parts))


def only(body: Json) -> Json:
    """What the body says beside what every body does."""
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


def dropped(asked: Request, target: Target = TARGET) -> list[str]:
    return leftovers(PROVIDER.write_request(asked, target))


# --- members ---


@pytest.mark.parametrize(
    ("members", "means"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"choices": 2}, {"n": 2}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"temperature": 0.0, "top_p": 1.0, "top_k": 5}, {"temperature": 0.0, "top_p": 1.0, "top_k": 5}),
        ({"seed": 1, "frequency_penalty": 0.5}, {"seed": 1, "frequency_penalty": 0.5}),
        ({"presence_penalty": -1.0}, {"presence_penalty": -1.0}),
        ({"logit_bias": msgspec.Raw(b'{"5":1}')}, {"logit_bias": {"5": 1}}),
        ({"logprobs": 0}, {"logprobs": True}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"user": "ann", "verbosity": "low"}, {"user": "ann", "verbosity": "low"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"effort": Effort("low")}, {"reasoning_effort": "low"}),
        ({"effort": Effort(budget_tokens=0)}, {"reasoning_effort": "none"}),
        ({"output": OutputFormat()}, {"response_format": {"type": "json_object"}}),
        (
            {"output": OutputFormat(SCHEMA, strict=True)},
            {"response_format": {
                "type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
            }},
        ),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": True}, {}),
        (
            {"tools": (Tool("f"),), "tool_choice": ToolChoice("named", "f"), "parallel_tool_calls": False},
            {
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
                "parallel_tool_calls": False,
            },
        ),
        (
            {"tools": (Tool("f", "Does f.", SCHEMA, strict=True),), "tool_choice": ToolChoice("required")},
            {
                "tools": [{"type": "function", "function": {
                    "name": "f", "description": "Does f.", "parameters": {"type": "object"}, "strict": True,
                }}],
                "tool_choice": "required",
            },
        ),
    ],
)  # fmt: skip
def test_members(members: Json, means: Json) -> None:
    assert only(written(request(**members))) == means


@pytest.mark.parametrize(
    ("effort", "reasoning", "sent", "is_missed"),
    [
        (Effort("low"), None, "low", False),
        (Effort(budget_tokens=5000), None, "medium", True),
        (Effort(budget_tokens=-1), None, None, True),  # the model is to decide: there is no word for that
        (Effort("high", -1), None, "high", False),
        (Effort("high", 5000), None, "high", True),
        (Effort(budget_tokens=0), None, "none", False),
        (Effort("low"), False, None, True),
        (Effort(budget_tokens=-1), False, None, True),
        (Effort("none"), False, None, False),
    ],
)
def test_an_effort_that_is_met_only_nearly_is_listed(
    effort: Effort, reasoning: bool | None, sent: str | None, is_missed: bool
) -> None:
    result = PROVIDER.write_request(request(effort=effort), Target("m", reasoning=reasoning))
    assert json.loads(result.body).get("reasoning_effort") == sent
    assert result.leftovers == ((Leftover("reasoning_effort", is_hint=True),) if is_missed else ())


def test_the_deployments_model_is_named() -> None:
    assert written(request())["model"] == "small"


@pytest.mark.parametrize(
    ("reasoning", "name"), [(True, "max_completion_tokens"), (False, "max_tokens"), (None, "max_tokens")]
)
def test_the_ceiling_has_the_name_that_the_server_takes(reasoning: bool | None, name: str) -> None:
    assert only(written(request(), Target("m", max_output_tokens=9, reasoning=reasoning))) == {name: 9}


def test_a_server_may_not_take_stream_options() -> None:
    assert only(written(request(stream=True), Target("m", stream_usage=False))) == {"stream": True}


def test_what_a_model_cannot_is_left_over() -> None:
    asked = request(
        Message(Role.USER, (Text("See"), PICTURE)),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=True,
        output=OutputFormat(SCHEMA),
        effort=Effort("high", summary="auto"),
    )
    target = Target("m", tools=False, images=False, json_schema=False, reasoning=False)
    result = PROVIDER.write_request(asked, target)
    assert leftovers(result) == [
        "messages[0].content[1]", "tools", "response_format", "reasoning.summary?", "reasoning_effort?",
    ]  # fmt: skip
    assert decoded(result.body) == {"model": "m", "messages": [{"role": "user", "content": "See"}]}


def test_other_dialects_tools_and_tiers_are_left_over() -> None:
    foreign = Opaque("messages", "web_search_20250305", b'{"type":"web_search_20250305"}')
    assert dropped(request(tools=(foreign, Tool("f", cache="5m")), service_tier="standard_only")) == [
        "tools[0]", "tools[1].cache_control?", "service_tier?",
    ]  # fmt: skip


# --- messages ---


def test_text_alone_is_a_string() -> None:
    asked = request(
        Message(Role.SYSTEM, (Text("Be terse."), Text("Be kind."))),
        Message(Role.USER, (Text("a"), Text("b")), name="ann"),
        Message(Role.ASSISTANT, (Text("It is "), Text("sunny."))),
        Message(Role.USER, ()),
    )
    assert written(asked)["messages"] == [
        {"role": "system", "content": "Be terse.\nBe kind."},
        {"role": "user", "content": "a\nb", "name": "ann"},
        {"role": "assistant", "content": "It is sunny."},
        {"role": "user", "content": ""},
    ]


def test_parts() -> None:
    parts = (
        Text("See"),
        PICTURE,
        Image(url="https://a/b.png", detail="low"),
        File(media_type="application/pdf", data="QUJD", name="a.pdf"),
        File(media_type="application/pdf", data="QUJD"),
        File(file_id="file-1"),
        File(media_type="text/plain", text="Notes"),
        Audio("QUJD", "wav"),
        Opaque("chat", "video_url", b'{"type":"video_url"}'),
    )
    pdf = "data:application/pdf;base64,QUJD"
    assert written(user(*parts))["messages"][0]["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
        {"type": "file", "file": {"filename": "document", "file_data": pdf}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "Notes"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "video_url"},
    ]


def test_what_has_no_place_in_a_message_is_left_over() -> None:
    parts = (Text("a", cache="1h"), File(url="https://a/b.pdf"), Opaque("gemini", "x", b"{}"))
    assert dropped(user(*parts)) == [
        "messages[0].content[0].cache_control?",
        "messages[0].content[1]",
        "messages[0].content[2]",
    ]


def test_results_of_tools_come_before_what_else_the_user_says() -> None:
    results = Message(
        Role.USER,
        (
            Text("Well?"),
            ToolResult("c1", (Text("sunny"), File(text="warm")), name="weather"),
            ToolResult("c2", (Text("no"), PICTURE), is_error=True, cache="5m"),
        ),
    )
    asked = request(
        ASKED, Message(Role.ASSISTANT, (ToolCall("c1", "weather", ""), ToolCall("c2", "time", "{}"))), results
    )
    result = PROVIDER.write_request(asked, TARGET)
    assert decoded(result.body)["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny\nwarm"},
        {"role": "tool", "tool_call_id": "c2", "content": "no"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the tool call c2 returned:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "text", "text": "Well?"},
            ],
        },
    ]
    assert leftovers(result) == [
        "messages[2].content[2].cache_control?",
        "messages[2].content[2].is_error?",
        "messages[2].content[2].content[1]?",
    ]


def test_a_refusal_is_a_member() -> None:
    assert written(assistant(Refusal("No.")))["messages"][1] == {"role": "assistant", "content": "", "refusal": "No."}


# --- thoughts ---


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_a_servers_thought_goes_back_where_it_came_from(member: str) -> None:
    asked = assistant(Thinking("Hm.", signature=member, origin="chat"), Text("Yes."))
    assert written(asked)["messages"][1] == {"role": "assistant", "content": "Yes.", member: "Hm."}


def test_mistrals_thought_goes_back_into_the_content() -> None:
    asked = assistant(Thinking("Hm.", signature="thinking", origin="chat"), Text("Yes."))
    assert written(asked)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Yes."},
    ]


def test_openrouters_details_go_back() -> None:
    proof = json.dumps({"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0})
    summary = json.dumps({"type": "reasoning.summary", "index": 1})
    hidden = json.dumps({"type": "reasoning.encrypted", "data": "d", "index": 2})
    thoughts = (
        Thinking("Hm.", signature=proof, origin="chat"),
        Thinking("Briefly.", signature=summary, origin="chat"),
        Thinking(redacted=hidden, origin="chat"),
    )
    assert written(assistant(*thoughts, Text("Yes.")))["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "Briefly.", "index": 1},
        {"type": "reasoning.encrypted", "data": "d", "index": 2},
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("Hm."),
        Thinking("Hm.", signature="s", origin="anthropic"),
        Thinking(redacted="r", origin="anthropic"),
        Thinking("Hm.", signature="made up", origin="chat"),
        Thinking("Hm.", signature="{" * 100_000, origin="chat"),
    ],
)
def test_thoughts_of_others_are_left_out(thought: Thinking) -> None:
    result = PROVIDER.write_request(assistant(thought, Text("Yes.")), TARGET)
    assert leftovers(result) == ["messages[1].content[0]?"]
    assert decoded(result.body)["messages"][1] == {"role": "assistant", "content": "Yes."}


def test_a_calls_signature_goes_back_to_the_server_that_gave_it() -> None:
    own, foreign = ToolCall("c1", "f", "{}", "s", "chat"), ToolCall("c2", "f", "{}", "s", "gemini")
    result = PROVIDER.write_request(assistant(own, foreign), TARGET)
    calls = decoded(result.body)["messages"][1]["tool_calls"]
    assert [call.get("extra_content") for call in calls] == [{"google": {"thought_signature": "s"}}, None]
    assert leftovers(result) == ["messages[1].content[1].signature?"]


# --- round trip ---

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
texts = st.builds(Text, words)
pictures = st.builds(Image, media_type=st.just("image/png"), data=st.just("QUJD"), detail=st.sampled_from(["", "low"]))
files = st.builds(File, media_type=st.just("application/pdf"), data=st.just("QUJD"), name=words)
sounds = st.builds(Audio, st.just("QUJD"), st.just("wav"))
rich = st.lists(st.one_of(texts, files, sounds), max_size=3).flatmap(
    lambda parts: st.tuples(pictures, *map(st.just, parts))
)
asked_messages = st.builds(
    Message, st.just(Role.USER), st.one_of(st.tuples(texts), rich), st.one_of(st.just(""), words)
)
system_messages = st.builds(Message, st.just(Role.SYSTEM), st.tuples(texts))
thoughts = st.builds(Thinking, words)


@st.composite
def tool_turns(draw: st.DrawFn) -> list[Message]:
    """A turn of the assistant with calls, and one with their results."""
    calls = [
        ToolCall(f"c{index}", name, '{"a":1}')
        for index, name in enumerate(draw(st.lists(words, min_size=1, max_size=3)))
    ]
    results = [ToolResult(call.id, (draw(texts),), name=call.name) for call in calls]
    said = [draw(texts)] if draw(st.booleans()) else []
    return [Message(Role.ASSISTANT, (*said, *calls)), Message(Role.USER, tuple(results))]


turns_of_one = st.one_of(asked_messages, system_messages, st.builds(Message, st.just(Role.ASSISTANT), st.tuples(texts)))
conversations = st.lists(st.one_of(turns_of_one.map(lambda turn: [turn]), tool_turns()), min_size=1, max_size=4)
tools = st.builds(Tool, words, st.one_of(st.just(""), words), st.none(), st.sampled_from([None, True, False]))
maybe = st.one_of(st.none(), st.floats(0.25, 1))
requests = st.builds(
    Request,
    messages=conversations.map(lambda groups: tuple(message for group in groups for message in group)),
    tools=st.lists(tools, min_size=1, max_size=2).map(tuple),
    tool_choice=st.sampled_from([None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", "f")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    output=st.sampled_from([None, OutputFormat(), OutputFormat(SCHEMA, "n", "d", strict=True)]),
    effort=st.sampled_from([None, Effort("low"), Effort("max")]),
    choices=st.integers(1, 3),
    stop=st.lists(words, max_size=2).map(tuple),
    temperature=maybe, top_p=maybe, frequency_penalty=maybe, presence_penalty=maybe,
    top_k=st.sampled_from([None, 1, 40]),
    seed=st.sampled_from([None, 0, 7]),
    logit_bias=st.sampled_from([None, msgspec.Raw(b'{"5":1}')]),
    logprobs=st.sampled_from([None, 0, 5]),
    verbosity=st.sampled_from(["", "low", "high"]),
    user=st.sampled_from(["", "ann"]),
    service_tier=st.sampled_from(["", "flex"]),
    stream=st.booleans(),
)  # fmt: skip


@given(requests)
def test_what_is_written_is_read_as_it_was_meant(asked: Request) -> None:
    result = PROVIDER.write_request(asked, TARGET)
    assert result.leftovers == ()
    read = CLIENT.read_request(msgspec.json.decode(result.body, type=dict[str, msgspec.Raw]))
    assert msgspec.structs.replace(read, places=()) == asked
