"""Requests to a provider of the Responses API, from whatever dialect they came."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.neutral import (
    Audio,
    Citation,
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
from headgate.wire.responses.request import read_request, write_request

MODEL = Target(model="gpt")
SCHEMA = msgspec.Raw(b'{"type":"object"}')


def request(*parts: Part, role: Role = Role.USER, **members: Any) -> Request:
    return Request(messages=(Message(role, parts or (Text("hi"),)),), **members)


def body(asked: Request, target: Target = MODEL) -> dict[str, Any]:
    return dict(json.loads(write_request(asked, target).body))


def items(*parts: Part, role: Role = Role.USER) -> Any:
    return body(request(*parts, role=role))["input"]


def leftovers(asked: Request, target: Target = MODEL) -> tuple[Leftover, ...]:
    return write_request(asked, target).leftovers


# --- the prompt ---


def test_the_least_there_is() -> None:
    assert body(request()) == {"model": "gpt", "input": [{"role": "user", "content": "hi"}], "store": False}


def test_system_messages_stay_where_they_are() -> None:
    """Some servers refuse `instructions`; a system message is understood everywhere."""
    messages = tuple(Message(role, (Text("x"),)) for role in (Role.SYSTEM, Role.USER, Role.SYSTEM))
    assert [item["role"] for item in body(Request(messages=messages))["input"]] == ["system", "user", "system"]


def test_what_a_user_shows() -> None:
    assert items(
        Text("look"),
        Image("image/jpeg", "AAAA", detail="high"),
        Image(url="https://a.test/b.png"),
        File("application/pdf", "JVBE", name="a.pdf"),
        File("application/pdf", "JVBE"),
        File(url="https://a.test/b.pdf"),
        File(file_id="file-1"),
        File(text="hé", name="notes.txt"),
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/jpeg;base64,AAAA", "detail": "high"},
                {"type": "input_image", "image_url": "https://a.test/b.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                {"type": "input_file", "file_url": "https://a.test/b.pdf"},
                {"type": "input_file", "file_id": "file-1"},
                {"type": "input_file", "filename": "notes.txt", "file_data": "data:text/plain;base64,aMOp"},
            ],
        }
    ]


def test_a_turn_of_the_model_becomes_items_in_its_order() -> None:
    assert items(
        Thinking("hm", "gAAA", "", "openai", "rs_1"),
        Thinking("", "", "gBBB", "openai"),
        Text("so"),
        Refusal("no"),
        ToolCall("a", "now", ""),
        ToolCall("b", "now", '{"x":1}'),
        role=Role.ASSISTANT,
    ) == [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAA",
            "id": "rs_1",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "so"}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call", "call_id": "a", "name": "now", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "now", "arguments": '{"x":1}'},
    ]


def test_a_thought_that_was_readable_goes_back_readable() -> None:
    assert items(Thinking("raw", "reasoning_text", "", "openai"), role=Role.ASSISTANT) == [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}
    ]


def test_results_of_tools() -> None:
    assert items(
        ToolResult("a", (Text("1"),)),
        ToolResult("b", ()),
        ToolResult("c", (Text("1"), Image("image/png", "AAAA"))),
        Text("and?"),
    ) == [
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": ""},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "1"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ],
        },
        {"role": "user", "content": "and?"},
    ]


def test_own_items_pass_as_they_are() -> None:
    raw = b'{"type":"web_search_call","id":"ws_1"}'
    assert items(Opaque("responses", "web_search_call", raw), role=Role.ASSISTANT) == [json.loads(raw)]


@pytest.mark.parametrize(
    ("part", "field", "is_hint"),
    [
        (Audio("AAAA", "wav"), "", False),
        (Opaque("messages", "server_tool_use", b"{}"), "", False),
        (Thinking("hm", "sig", "", "anthropic"), "", True),
        (Thinking("hm"), "", True),
        (Text("x", cache="5m"), ".cache_control", True),
        (ToolResult("a", (Text("x"),), is_error=True), ".is_error", True),
        (ToolCall("a", "b", "{}", "sig", "gemini"), ".signature", True),
    ],
)
def test_parts_without_a_place_are_left_over(part: Part, field: str, is_hint: bool) -> None:
    role = Role.ASSISTANT if isinstance(part, Thinking | ToolCall) else Role.USER
    assert leftovers(request(part, role=role)) == (Leftover(f"messages[0].content[0]{field}", is_hint),)


# --- the other members ---


def test_how_to_answer() -> None:
    weather = Tool("weather", "The weather.", SCHEMA, True)
    asked = request(
        stream=True,
        parallel_tool_calls=True,
        tools=(Tool("now"), weather, Opaque("responses", "mcp", b'{"type":"mcp"}')),
        tool_choice=ToolChoice("named", "now"),
        output=OutputFormat(SCHEMA, "", "An answer.", True),
        effort=Effort("high", None, "auto"),
        verbosity="low",
        temperature=0.0,
        top_p=0.5,
        logprobs=2,
        user="u",
        service_tier="flex",
    )
    assert leftovers(asked) == ()
    wanted = body(asked, Target("gpt", max_output_tokens=9))
    assert {name: value for name, value in wanted.items() if name not in ("model", "input", "store")} == {
        "stream": True,
        "tools": [
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {
                "type": "function",
                "name": "weather",
                "parameters": {"type": "object"},
                "strict": True,
                "description": "The weather.",
            },
            {"type": "mcp"},
        ],
        "tool_choice": {"type": "function", "name": "now"},
        "parallel_tool_calls": True,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "description": "An answer.",
                "schema": {"type": "object"},
                "strict": True,
            },
            "verbosity": "low",
        },
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_logprobs": 2,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "user": "u",
        "service_tier": "flex",
    }


def test_functions_are_not_strict_unless_the_caller_says_so() -> None:
    """The API's own default is strict, which changes schemas: no other API's is."""
    assert body(request(tools=(Tool("now"),)))["tools"][0]["strict"] is False


def test_a_budget_is_the_nearest_effort() -> None:
    assert body(request(effort=Effort(budget_tokens=20_000)))["reasoning"] == {"effort": "high"}
    assert body(request(effort=Effort(budget_tokens=0)))["reasoning"] == {"effort": "none"}
    assert "reasoning" not in body(request(effort=Effort(budget_tokens=-1)))
    assert body(request(effort=Effort("low", -1)))["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(("budget", "is_exact"), [(20_000, False), (-1, False), (0, True)])
def test_a_budget_that_is_met_only_nearly_is_listed(budget: int, is_exact: bool) -> None:
    leftovers = write_request(request(effort=Effort(budget_tokens=budget)), Target("gpt")).leftovers
    assert leftovers == (() if is_exact else (Leftover("reasoning_effort", is_hint=True),))


def test_thoughts_are_asked_for_where_a_model_thinks() -> None:
    """A model that does not think refuses a request that wants its encrypted thoughts."""
    assert "include" not in body(request())
    assert "include" not in body(request(effort=Effort("none")))
    assert "include" not in body(request(effort=Effort("high")), Target("gpt", reasoning=False))
    assert body(request(), Target("gpt", reasoning=True))["include"] == ["reasoning.encrypted_content"]
    history = request(Thinking("", "", "gAAA", "openai"), role=Role.ASSISTANT)
    assert body(history)["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"choices": 2}, "n"),
        ({"stop": ("x",)}, "stop"),
        ({"top_k": 1}, "top_k"),
        ({"seed": 0}, "seed"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"logit_bias": msgspec.Raw(b'{"1":1}')}, "logit_bias"),
        ({"tools": (Opaque("messages", "bash", b"{}"),)}, "tools[0]"),
    ],
)
def test_members_without_a_place_are_left_over(members: dict[str, Any], field: str) -> None:
    assert leftovers(request(**members)) == (Leftover(field),)


def test_harmless_values_are_not() -> None:
    assert leftovers(request(frequency_penalty=0.0, presence_penalty=0.0, choices=1, service_tier="auto")) == ()
    assert leftovers(request(service_tier="standard_only")) == (Leftover("service_tier", is_hint=True),)


def test_what_a_model_cannot_do_is_left_over() -> None:
    cannot = Target("gpt", tools=False, images=False, json_schema=False, reasoning=False)
    asked = request(
        Text("x"), Image(url="https://a.test/b.png"), tools=(Tool("now"),), output=OutputFormat(), effort=Effort("low")
    )
    assert set(leftovers(asked, cannot)) == {
        Leftover("messages[0].content[1]"),
        Leftover("tools"),
        Leftover("response_format"),
        Leftover("reasoning_effort", is_hint=True),
    }
    assert body(asked, cannot).keys() == {"model", "input", "store"}


# --- and back ---

words = st.text(min_size=1, max_size=20)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
citations = st.builds(Citation, st.just("https://a.test"), words, st.just(""), st.integers(0, 5), st.integers(5, 9))
shown = st.one_of(
    st.builds(Text, words),
    st.builds(Image, st.just("image/png"), st.just("AAAA"), st.just(""), st.sampled_from(["low", "high", "auto"])),
    st.builds(Image, st.just(""), st.just(""), st.just("https://a.test/b"), st.just("auto")),
    st.builds(File, st.just("application/pdf"), st.just("JVBE"), name=words),
    st.builds(File, file_id=words),
)
said = st.one_of(
    st.builds(Text, words, st.lists(citations, max_size=2).map(tuple)),
    st.builds(Refusal, words),
)
thoughts = st.one_of(
    st.builds(Thinking, words, words.filter(lambda text: ":" not in text), st.just(""), st.just("openai")),
    st.builds(Thinking, st.just(""), st.just(""), words.filter(lambda text: ":" not in text), st.just("openai"), words),
)


@st.composite
def prompts(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as this dialect tells them apart."""
    turns = [Message(Role.SYSTEM, tuple(draw(st.lists(st.builds(Text, words), min_size=1, max_size=2))))]
    for number in range(draw(st.integers(0, 3))):
        turns.append(Message(Role.USER, tuple(draw(st.lists(shown, min_size=1, max_size=3)))))
        called = [f"call_{number}_{index}" for index in range(draw(st.integers(0, 3)))]
        calls = [ToolCall(call_id, draw(names), '{"a":1}') for call_id in called]
        spoken = draw(st.lists(said, min_size=0 if calls else 1, max_size=2))
        turns.append(Message(Role.ASSISTANT, (*draw(st.lists(thoughts, max_size=2)), *spoken, *calls)))
        results = [
            ToolResult(call.id, tuple(draw(st.lists(shown, min_size=1, max_size=2))), name=call.name) for call in calls
        ]
        if results:
            turns.append(Message(Role.USER, tuple(results)))
    return tuple(turns)


requests = st.builds(
    Request,
    messages=prompts(),
    tools=st.lists(
        st.builds(Tool, names, words, st.just(SCHEMA), st.booleans()), max_size=3, unique_by=lambda tool: tool.name
    ).map(tuple),
    output=st.none() | st.builds(OutputFormat, st.just(SCHEMA), names, words, st.none() | st.booleans()),
    effort=st.none() | st.builds(Effort, st.sampled_from(["low", "high"]), st.none(), st.sampled_from(["", "auto"])),
    verbosity=st.sampled_from(["", "low", "high"]),
    max_output_tokens=st.none() | st.integers(1, 10_000),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    logprobs=st.none() | st.integers(0, 20),
    user=st.just("") | words,
    service_tier=st.sampled_from(["", "flex", "priority"]),
    stream=st.booleans(),
)


@given(requests)
def test_what_is_written_reads_the_same(asked: Request) -> None:
    target = Target("gpt", max_output_tokens=asked.max_output_tokens)
    written = write_request(asked, target)
    again = read_request(msgspec.json.decode(written.body, type=dict[str, msgspec.Raw]))
    assert written.leftovers == again.leftovers == ()
    assert msgspec.json.encode(msgspec.structs.replace(again, places=())) == msgspec.json.encode(asked)
