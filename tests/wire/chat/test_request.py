"""What a caller's request means beside its messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headgate.errors import InvalidRequest
from headgate.wire.chat.dialect import CLIENT
from headgate.wire.neutral import Effort, Opaque, OutputFormat, Tool, ToolChoice
from tests.wire.chat.bodies import USER, fields, leftovers, read

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
TIME = {"type": "function", "function": {"name": "time"}}


@pytest.mark.parametrize(
    ("member", "value", "attribute", "means"),
    [
        ("max_tokens", 100, "max_output_tokens", 100),
        ("max_completion_tokens", 100, "max_output_tokens", 100),
        ("n", 3, "choices", 3),
        ("stop", "END", "stop", ("END",)),
        ("stop", ["a", "b"], "stop", ("a", "b")),
        ("temperature", 1, "temperature", 1.0),
        ("top_p", 0.5, "top_p", 0.5),
        ("top_k", 40, "top_k", 40),
        ("seed", -7, "seed", -7),
        ("frequency_penalty", 0.5, "frequency_penalty", 0.5),
        ("presence_penalty", -1, "presence_penalty", -1.0),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("verbosity", "low", "verbosity", "low"),
        ("user", "ann", "user", "ann"),
        ("service_tier", "flex", "service_tier", "flex"),
        ("stream", True, "stream", True),
        ("reasoning_effort", "high", "effort", Effort("high")),
        ("reasoning", {"effort": "low", "summary": "auto"}, "effort", Effort("low", summary="auto")),
        ("reasoning", {"max_tokens": 2000}, "effort", Effort(budget_tokens=2000)),
        ("reasoning", {"enabled": True}, "effort", Effort(budget_tokens=-1)),
        ("reasoning", {"enabled": False}, "effort", Effort("none")),
        ("response_format", {"type": "json_object"}, "output", OutputFormat()),
        ("tool_choice", "auto", "tool_choice", ToolChoice("auto")),
        ("tool_choice", "none", "tool_choice", ToolChoice("none")),
        ("tool_choice", "required", "tool_choice", ToolChoice("required")),
        ("tool_choice", "any", "tool_choice", ToolChoice("required")),
        ("tool_choice", TIME, "tool_choice", ToolChoice("named", "time")),
        ("function_call", {"name": "time"}, "tool_choice", ToolChoice("named", "time")),
        ("function_call", "none", "tool_choice", ToolChoice("none")),
    ],
)
def test_members(member: str, value: object, attribute: str, means: object) -> None:
    request = read(**{member: value})
    assert getattr(request, attribute) == means
    assert request.leftovers == ()


def test_the_larger_of_two_ceilings_counts() -> None:
    assert read(max_tokens=100, max_completion_tokens=50).max_output_tokens == 100


@pytest.mark.parametrize(
    ("members", "means"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 5}, 5),
    ],
)
def test_logprobs(members: dict[str, Any], means: int | None) -> None:
    assert read(**members).logprobs == means


@pytest.mark.parametrize(
    "members",
    [
        {"n": 1},
        {"logprobs": False},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"store": False},
        {"service_tier": "auto"},
        {"verbosity": "medium"},
        {"logit_bias": {}},
        {"metadata": {}},
        {"modalities": ["text"]},
        {"min_p": 0},
        {"tools": [], "stop": [], "functions": []},
        {"response_format": {"type": "text"}},
        {"stream": False, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        dict.fromkeys(("max_tokens", "n", "stop", "tools", "tool_choice", "response_format", "user", "tomorrow")),
    ],
)
def test_a_default_is_as_good_as_nothing(members: dict[str, Any]) -> None:
    assert read(**members) == read()


def test_tools() -> None:
    request = read(
        tools=[{**WEATHER, "cache_control": {"type": "ephemeral"}}, {"function": {"name": "time", "strict": True}}]
    )
    weather, time = request.tools
    assert isinstance(weather, Tool) and weather.parameters is not None
    assert (weather.name, weather.cache, msgspec.json.decode(weather.parameters)) == ("weather", "5m", SCHEMA)
    assert time == Tool("time", strict=True)
    assert request.leftovers == ()


def test_functions_of_old_are_tools() -> None:
    assert read(functions=[{"name": "add", "description": "Adds."}]).tools == (Tool("add", "Adds."),)


def test_a_tool_of_another_kind_is_kept_as_it_came() -> None:
    custom = {"type": "custom", "custom": {"name": "sql"}}
    (tool,) = read(tools=[custom]).tools
    assert isinstance(tool, Opaque) and (tool.dialect, tool.kind) == ("chat", "custom")
    assert msgspec.json.decode(tool.raw) == custom


def test_allowed_tools_are_all_there_are() -> None:
    allowed = {"mode": "required", "tools": [TIME]}
    request = read(tools=[WEATHER, TIME], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert request.tools == (Tool("time"),)
    assert request.tool_choice == ToolChoice("required")


def test_a_schema() -> None:
    described = {"name": "place", "schema": SCHEMA, "strict": True, "description": "Where."}
    output = read(response_format={"type": "json_schema", "json_schema": described}).output
    assert output is not None and output.schema is not None
    assert (output.name, output.description, output.strict) == ("place", "Where.", True)
    assert msgspec.json.decode(output.schema) == SCHEMA


def test_what_only_some_servers_know_is_left_over() -> None:
    request = read(
        min_p=0.1,
        repetition_penalty=1.2,
        modalities=["text", "audio"],
        audio={"voice": "alloy"},
        web_search_options={"search_context_size": "low"},
        response_format={"type": "grammar", "grammar": "..."},
        tool_choice={"type": "custom", "custom": {"name": "sql"}},
        reasoning={"effort": "low", "exclude": True},
        tools=[{**WEATHER, "eager": True}],
    )
    assert sorted(leftovers(request)) == [
        "audio", "min_p", "modalities", "reasoning.exclude", "repetition_penalty", "response_format",
        "response_format.grammar", "tool_choice", "tools[0].eager", "web_search_options",
    ]  # fmt: skip


def test_hints_change_no_answer() -> None:
    request = read(
        metadata={"a": "b"}, store=True, prompt_cache_key="k", safety_identifier="s", prediction={"type": "content"},
        prompt_cache_retention="24h", usage={"include": True},
    )  # fmt: skip
    assert all(leftover.is_hint for leftover in request.leftovers)
    assert len(request.leftovers) == 7


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": [1]}, "stop[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"description": "x"}}]}, "tools[0].function.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": "json"}, "response_format"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    assert caught.value.param == place
    assert place in caught.value.message


def test_messages_are_needed() -> None:
    with pytest.raises(InvalidRequest, match="'messages' is missing"):
        CLIENT.read_request(fields({"model": "m"}))


@pytest.mark.parametrize("member", ["messages", "tools", "response_format", "tool_choice", "metadata", "tomorrow"])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"zzz":1,"content":['])
def test_what_is_nested_too_deeply_is_refused(member: str, opening: str) -> None:
    deep = msgspec.Raw((opening * 100_000).encode())
    try:
        request = CLIENT.read_request({**fields({"messages": [USER]}), member: deep})
    except InvalidRequest as error:
        assert error.param is None or error.param.startswith(member)
    else:
        assert leftovers(request) in (["tomorrow"], ["metadata?"])
