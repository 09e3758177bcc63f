"""What a caller is told that a provider could not be: in the caller's own words, whatever stands between the two."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.errors import InvalidRequest, Untranslatable
from headgate.types import Call, Route
from headgate.wire.dialects import dialogues
from headgate.wire.neutral import Target
from headgate.wire.translation import Ask

Json = dict[str, Any]
CACHE = {"cache_control": {"type": "ephemeral"}}
HI: Json = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object"}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def dropped(route: Route, kind: str, model: str, *, may_drop: bool = True, api: str = "auto", **body: Any) -> list[str]:
    fields = _fields.decode(json.dumps({"model": "m", **body}))
    call = Call("req_1", route, "m", False, fields, 0)
    return list(dialogues(kind, api)[route].ask(call, Ask(Target(model), None, may_drop, 0)).dropped)


def messages(*turns: Json, kind: str = "openai", model: str = "gpt-5", **body: Any) -> list[str]:
    return dropped(Route.MESSAGES, kind, model, max_tokens=9000, messages=[HI, *turns], **body)


def responses(*items: Json, **body: Any) -> list[str]:
    given = {"input": [HI, *items], **body}
    return dropped(Route.RESPONSES, "anthropic", "claude-opus-4-8", **given)


def chat(*turns: Json, **body: Any) -> list[str]:
    return dropped(Route.CHAT, "anthropic", "claude-opus-4-8", messages=[HI, *turns], **body)


# --- places ---


def test_the_system_prompt_of_messages_shifts_nothing() -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", **CACHE}]}
    system = [{"type": "text", "text": "s"}, {"type": "text", "text": "t", **CACHE}]
    assert messages(turn, system=system) == ["system[1].cache_control", "messages[1].content[1].cache_control"]
    assert messages(turn, system="s") == messages(turn) == ["messages[1].content[1].cache_control"]


def test_a_body_that_is_read_piece_by_piece_has_the_same_names() -> None:
    document = {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}}
    turn = {"role": "user", "content": [{"type": "text", "text": "a"}, document]}
    assert messages(turn, system="s") == ["messages[1].content[1]"]


def test_a_thought_that_is_the_signature_of_a_call_is_counted() -> None:
    signed = {"type": "thinking", "thinking": "", "signature": "gemini:c2ln"}
    said = [
        {"type": "text", "text": "a"}, signed, {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "text", "text": "b", **CACHE},
    ]  # fmt: skip
    told = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x", **CACHE}]}
    answered = [{"role": "assistant", "content": said}, {"role": "user", "content": [told]}]
    assert messages(*answered) == [
        "messages[1].content[2].signature",
        "messages[1].content[3].cache_control",
        "messages[2].content[0].content[0].cache_control",
    ]


def test_items_are_items() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    image = {"type": "input_image", "image_url": "https://a.test/b.png", "detail": "low"}
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}, image]}
    said = {"role": "user", "content": [{"type": "input_text", "text": "Listen."}, audio]}
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    assert responses(thought, call, output, said, instructions="Be brief.") == [
        "input[1]",
        "input[3].output[1].detail",
        "input[4].content[1]",
    ]
    assert responses({"role": "assistant", "content": "Hello"}, {"role": "developer", "content": "s"}, said) == [
        "input[2].role",
        "input[3].content[1]",
    ]
    assert responses({"type": "mcp_call", "id": "x"}, instructions="Be brief.") == ["input[1]"]


def test_results_of_tools_are_messages_to_chat_clients() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "[1]"}}
    thought = {"type": "reasoning.text", "text": "hm", "signature": "gemini:c2ln"}
    answered = {
        "role": "assistant", "content": "x", "reasoning_details": [thought],
        "tool_calls": [{"id": "a", **call}, {"id": "b", **call}],
    }  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}}
    results = [{"role": "tool", "tool_call_id": name, "content": [image]} for name in "ab"]
    assert chat(answered, *results, {**HI, "name": "ann"}) == [
        "messages[1].reasoning_details",
        "messages[1].tool_calls[0].arguments",
        "messages[1].tool_calls[1].arguments",
        "messages[2].content[0].detail",
        "messages[3].content[0].detail",
        "messages[4].name",
    ]


def test_a_late_system_message() -> None:
    late = {"role": "system", "content": "s"}
    results = [{"role": "tool", "tool_call_id": name, "content": "x"} for name in "ab"]
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in "ab"]
    turns = [HI, {"role": "assistant", "content": None, "tool_calls": calls}, *results, late]
    assert dropped(Route.CHAT, "gemini", "gemini-2.5-flash", messages=turns) == ["messages[4].role"]


# --- members ---


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, ["thinking"]),
        ({"thinking": {"type": "adaptive"}}, ["thinking"]),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, ["thinking.display", "thinking"]),
        ({"output_config": {"effort": "high"}}, []),
    ],
)
def test_messages_clients_say_thinking(body: Json, names: list[str]) -> None:
    assert messages(**body) == names


def test_members_of_messages_that_gemini_lacks() -> None:
    body = {
        "output_config": {"effort": "medium", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": "ann"},
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }
    names = messages(kind="gemini", model="gemini-3-pro-preview", **body)
    assert names == ["tool_choice.disable_parallel_tool_use", "metadata.user_id", "output_config.effort"]


def test_members_of_responses() -> None:
    assert responses(
        text={"verbosity": "low", "format": {"type": "json_object"}}, reasoning={"effort": "minimal"}, top_logprobs=3
    ) == ["reasoning.effort", "text.format", "top_logprobs", "text.verbosity"]
    assert responses(include=["message.output_text.logprobs"]) == ["include"]


def test_members_of_chat() -> None:
    assert chat(reasoning_effort="minimal") == ["reasoning_effort"]
    assert chat(reasoning={"effort": "minimal"}) == ["reasoning"]
    assert chat(response_format={"type": "json_object"}, n=2) == ["response_format", "n"]
    assert chat(functions=[{"name": "no good"}]) == ["functions[0].name"]


# --- refusals ---


def test_what_is_refused_is_named_the_same() -> None:
    with pytest.raises(Untranslatable, match=r"'text\.format'") as caught:
        dropped(
            Route.RESPONSES, "anthropic", "claude-opus-4-8", may_drop=False,
            input="Hi", text={"format": {"type": "json_object"}},
        )  # fmt: skip
    assert caught.value.param == "text.format"


def test_what_is_wrong_is_named_the_same() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    with pytest.raises(InvalidRequest) as caught:
        dropped(Route.RESPONSES, "gemini", "gemini-2.5-flash", input=[HI, output], instructions="s")
    assert caught.value.param == "input[1]"
