"""Tools in requests to Gemini: calls, results, declarations and choices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import InvalidRequest
from headgate.wire.gemini.request import write_request
from headgate.wire.neutral import (
    File,
    Image,
    Opaque,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.gemini.asked import HELLO, NEW, OLD, SCHEMA, body, leftovers, model, said, user


def test_parallel_calls_and_their_results() -> None:
    calls = model(ToolCall("1", "f", '{"a":1}', signature="s", origin="gemini"), ToolCall("2", "g", ""))
    results = user(ToolResult("1", (Text('{"b": 2}'),))), user(ToolResult("2", (Text("x"), Text("y"))), Text("go on"))
    assert said(HELLO, calls, *results) == [
        {"role": "user", "parts": [{"text": "hello"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}, "thoughtSignature": "s"},
                {"functionCall": {"name": "g", "args": {}, "id": "2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"b": 2}, "id": "1"}},
                {"functionResponse": {"name": "g", "response": {"result": "x\ny"}, "id": "2"}},
            ],
        },
        {"role": "user", "parts": [{"text": "go on"}]},
    ]


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("", False, {"result": ""}),
        ("sunny", False, {"result": "sunny"}),
        ("[1]", False, {"result": "[1]"}),
        ("3", False, {"result": "3"}),
        ("{broken", False, {"result": "{broken"}),
        ('{"a": {"b": 1}}', False, {"a": {"b": 1}}),
        ("no such city", True, {"error": "no such city"}),
        ('{"code": 7}', True, {"error": {"code": 7}}),
        ('{"a":' * 5000, False, {"result": '{"a":' * 5000}),
    ],
)
def test_a_result_is_an_object(text: str, is_error: bool, response: Any) -> None:
    result = ToolResult("1", (Text(text),), is_error=is_error)
    assert said(model(ToolCall("1", "f", "{}")), user(result))[1]["parts"] == [
        {"functionResponse": {"name": "f", "response": response, "id": "1"}}
    ]


def test_pictures_of_a_result_belong_to_it_where_the_model_knows_that() -> None:
    result = ToolResult("1", (Text("see"), Image(media_type="image/png", data="QQ=="), File(text="words")))
    picture = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
    response = {"name": "f", "response": {"result": "see\nwords"}, "id": "1"}
    messages = (model(ToolCall("1", "f", "{}")), user(result))
    assert said(*messages)[1]["parts"] == [{"functionResponse": response}, picture]
    assert said(*messages, target=NEW)[1]["parts"] == [{"functionResponse": response | {"parts": [picture]}}]


def test_a_result_knows_its_function_by_the_newest_call_of_its_id() -> None:
    turns = [(model(ToolCall("1", name, "{}")), user(ToolResult("1", (Text("x"),)))) for name in ("f", "g")]
    contents = said(*(message for turn in turns for message in turn))
    assert [contents[place]["parts"][0]["functionResponse"]["name"] for place in (1, 3)] == ["f", "g"]
    assert said(user(ToolResult("1", (), name="h")))[0]["parts"][0]["functionResponse"]["name"] == "h"


def test_the_result_of_a_call_that_was_never_made_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="No earlier tool call has the id 'x'") as caught:
        write_request(Request(messages=(HELLO, user(ToolResult("x", (Text("a"),))))), OLD)
    assert caught.value.param == "messages[1].content[0]"


@pytest.mark.parametrize("arguments", ["[1]", "{", "3", "null", '{"a":' * 5000])
def test_arguments_that_are_no_object(arguments: str) -> None:
    request = Request(messages=(HELLO, model(ToolCall("1", "f", arguments))))
    assert leftovers(request) == [("messages[1].content[0].arguments", False)]


def test_calls_that_gemini_has_not_signed_say_so_where_signatures_are_checked() -> None:
    foreign = ToolCall("1", "f", "{}", signature="s", origin="anthropic")
    request = Request(messages=(HELLO, model(Text("a"), foreign, ToolCall("2", "f", "{}"))))
    parts = body(request, NEW)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, "skip_thought_signature_validator", None]
    assert leftovers(request, NEW) == [("messages[1].content[1].signature", True)]
    assert not any("thoughtSignature" in part for part in body(request)["contents"][1]["parts"])


def test_tools() -> None:
    search = Opaque("gemini", "googleSearch", b'{"googleSearch": {}}')
    written = body(Request(messages=(HELLO,), tools=(Tool("f", "does f", SCHEMA), search, Tool("g"))))
    assert written["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": json.loads(bytes(SCHEMA))},
                {"name": "g"},
            ]
        },
        {"googleSearch": {}},
    ]


def test_tools_that_do_not_fit() -> None:
    tools = (Tool("f", strict=True, cache="5m"), Opaque("responses", "web_search", b"{}"))
    assert leftovers(Request(messages=(HELLO,), tools=tools)) == [
        ("tools[0].strict", True),
        ("tools[0].cache_control", True),
        ("tools[1]", False),
    ]
    without = Target("gemini-2.5-flash", tools=False)
    assert leftovers(Request(messages=(HELLO,), tools=tools), without) == [("tools", False)]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, config: Any) -> None:
    request = Request(messages=(HELLO,), tools=(Tool("f"),), tool_choice=choice)
    assert body(request)["toolConfig"] == {"functionCallingConfig": config}


def test_one_call_at_a_time_cannot_be_asked_for() -> None:
    request = Request(messages=(HELLO,), tools=(Tool("f"),), parallel_tool_calls=False)
    assert leftovers(request) == [("parallel_tool_calls", True)]
    assert leftovers(Request(messages=(HELLO,), tools=(Tool("f"),), parallel_tool_calls=True)) == []
