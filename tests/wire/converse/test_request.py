"""Requests for Converse: each part in its place, and what a family of models cannot take is named."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from headgate.wire.converse.request import write_request
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
from tests.wire.converse.referee import complaints

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEWEST_CLAUDE = "anthropic.claude-opus-5"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-2-1b-instruct-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"town":{"type":"string"}}}')
HI = (Message(Role.USER, (Text("Hi"),)),)


def written(request: Request, model: str = CLAUDE, **target: Any) -> tuple[dict[str, Any], list[Leftover]]:
    """The body, which the vendor's own description has to accept, and what is left over."""
    result = write_request(request, Target(model, **target))
    assert complaints(result.body) == ""
    return json.loads(result.body), list(result.leftovers)


def content(*parts: Part, model: str = CLAUDE) -> tuple[list[Any], list[Leftover]]:
    """The blocks that a message's parts become."""
    body, leftovers = written(Request(messages=(Message(Role.USER, parts),)), model)
    messages = body["messages"]
    return (messages[0]["content"] if messages else []), leftovers


def test_a_plain_request_has_no_more_than_its_messages() -> None:
    assert written(Request(messages=HI)) == ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, [])


def test_what_converse_has_words_for() -> None:
    request = Request(
        messages=(Message(Role.SYSTEM, (Text("Be brief."),)), *HI),
        stop=("END",),
        temperature=0.2,
        service_tier="flex",
        output=OutputFormat(SCHEMA, "place", "A place"),
        stream=True,
    )
    body, leftovers = written(request, max_output_tokens=100)
    assert leftovers == []
    assert body == {
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 100, "stopSequences": ["END"], "temperature": 0.2},
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {
                    "jsonSchema": {"schema": bytes(SCHEMA).decode(), "name": "place", "description": "A place"}
                },
            }
        },
        "additionalModelResponseFieldPaths": ["/stop_sequence", "/delta/stop_sequence"],
        "serviceTier": {"type": "flex"},
    }


TOOL_LOOP = Request(
    messages=(
        *HI,
        Message(
            Role.ASSISTANT,
            (
                Thinking("Hm.", signature="EqkB", origin="bedrock"),
                Thinking(redacted="c2VjcmV0", origin="anthropic"),
                Text("Let me look."),
                ToolCall("call_1", "weather", '{"town": "Paris"}'),
                ToolCall("call_2", "now", ""),
            ),
        ),
        Message(Role.USER, (ToolResult("call_1", (Text("18 °C"), Image("image/png", "iVBO"))),)),
        Message(Role.USER, (ToolResult("call_2", (Text("no clock"),), is_error=True), Text("Well?"))),
    ),
    tools=(Tool("weather", "Tells it", SCHEMA, strict=True), Tool("now")),
    tool_choice=ToolChoice("named", "weather"),
)


def test_a_tool_loop() -> None:
    body, leftovers = written(TOOL_LOOP)
    assert leftovers == []
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "EqkB"}}},
                {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"town": "Paris"}}},
                {"toolUse": {"toolUseId": "call_2", "name": "now", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "call_1",
                        "content": [{"text": "18 °C"}, {"image": {"format": "png", "source": {"bytes": "iVBO"}}}],
                    }
                },
                {"toolResult": {"toolUseId": "call_2", "content": [{"text": "no clock"}], "status": "error"}},
                {"text": "Well?"},
            ],
        },
    ]
    assert body["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "weather",
                    "description": "Tells it",
                    "inputSchema": {"json": json.loads(bytes(SCHEMA))},
                    "strict": True,
                }
            },
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        ],
        "toolChoice": {"tool": {"name": "weather"}},
    }


def test_roles_alternate_and_messages_that_say_nothing_are_left_out() -> None:
    request = Request(
        messages=(
            *HI,
            Message(Role.ASSISTANT, (Text(" \n"),)),
            Message(Role.USER, (Text("there"),)),
            Message(Role.ASSISTANT, (Refusal("No."),)),
            Message(Role.ASSISTANT, (Text("Sorry."),)),
        )
    )
    assert written(request)[0]["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]},
        {"role": "assistant", "content": [{"text": "No."}, {"text": "Sorry."}]},
    ]


def test_a_later_system_message_is_named_and_moved_unless_the_model_knows_such() -> None:
    request = Request(messages=(*HI, Message(Role.SYSTEM, (Text("Be brief."),)), Message(Role.USER, (Text("?"),))))
    body, leftovers = written(request)
    assert leftovers == [Leftover("messages[1].role")]
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hi"}, {"text": "?"}]}]
    body, leftovers = written(request, NEWEST_CLAUDE)
    assert leftovers == [] and "system" not in body
    assert [message["role"] for message in body["messages"]] == ["user", "system", "user"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Image("image/jpeg", "AAAA"), {"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}),
        (
            Image(url="s3://bucket/a.JPG"),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.JPG"}}}},
        ),
        (
            File("application/pdf", "AAAA", name="2024_report (final).pdf"),
            {"document": {"format": "pdf", "name": "2024 report (final) pdf", "source": {"bytes": "AAAA"}}},
        ),
        (
            File(text="Grüße", name="../../a\n\nb"),
            {"document": {"format": "txt", "name": "a b", "source": {"bytes": b64encode("Grüße".encode()).decode()}}},
        ),
        (
            File("text/plain; charset=utf-8", "AAAA"),
            {"document": {"format": "txt", "name": "document", "source": {"bytes": "AAAA"}}},
        ),
        (
            File("application/octet-stream", "AAAA", name="table.xlsx"),
            {"document": {"format": "xlsx", "name": "table xlsx", "source": {"bytes": "AAAA"}}},
        ),
        (Audio("AAAA", "wav"), {"audio": {"format": "wav", "source": {"bytes": "AAAA"}}}),
    ],
)
def test_media(part: Part, block: object) -> None:
    assert content(part) == ([block], [])


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.com/a.png"),
        Image("image/tiff", "AAAA"),
        File("application/zip", "AAAA"),
        File("application/pdf", url="https://example.com/a.pdf"),
        File(file_id="file-1"),
        Audio("AAAA", "midi"),
        Opaque("messages", "server_tool_use", b"{}"),
    ],
)
def test_media_that_converse_cannot_take_are_named(part: Part) -> None:
    blocks, leftovers = content(Text("Look:"), part)
    assert blocks == [{"text": "Look:"}]
    assert leftovers == [Leftover("messages[0].content[1]")]


def test_documents_have_names_of_their_own() -> None:
    files = [File(text="a"), File(text="b"), File(text="c", name="document 2"), File(text="d", name="x" * 300)]
    names = [block["document"]["name"] for block in content(*files)[0]]
    assert names[:3] == ["document", "document 2", "document 2 2"] and len(names[3]) <= 200


def test_ids_that_converse_does_not_allow_are_replaced_alike() -> None:
    odd = "call/" + "x" * 100
    call, result = Message(Role.ASSISTANT, (ToolCall(odd, "f", "{}"),)), Message(Role.USER, (ToolResult(odd, ()),))
    body, leftovers = written(Request(messages=(*HI, call, result), tools=(Tool("f"),)))
    used = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert used == body["messages"][2]["content"][0]["toolResult"]["toolUseId"] and len(used) <= 64
    assert leftovers == []


@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '"x"', '{"a":', "[" * 100_000])
def test_arguments_that_are_no_object_are_named(arguments: str) -> None:
    blocks, leftovers = content(ToolCall("a", "f", arguments))
    assert blocks[0]["toolUse"]["input"] == {}
    assert leftovers == [Leftover("messages[0].content[0].arguments")]


@pytest.mark.parametrize(
    ("thought", "model"),
    [
        (Thinking("Hm."), CLAUDE),  # no proof
        (Thinking("Hm.", signature="s", origin="gemini"), CLAUDE),
        (Thinking("Hm.", signature="s", origin="bedrock"), LLAMA),
        (Thinking(redacted="AAAA", origin="openai"), NOVA),
    ],
)
def test_thoughts_that_the_model_cannot_verify_are_left_out_as_hints(thought: Thinking, model: str) -> None:
    assert content(Text("Hi"), thought, model=model) == (
        [{"text": "Hi"}],
        [Leftover("messages[0].content[1]", is_hint=True)],
    )


def test_a_signature_that_only_gemini_reads_and_citations_are_hints() -> None:
    call = ToolCall("a", "f", "{}", signature="s", origin="gemini")
    _, leftovers = content(Text("Hi", citations=(Citation(url="https://example.com"),)), call)
    assert leftovers == [
        Leftover("messages[0].content[0].citations", is_hint=True),
        Leftover("messages[0].content[1].signature", is_hint=True),
    ]


CACHED = Request(
    messages=(
        Message(Role.SYSTEM, (Text("Rules", cache="1h"),)),
        Message(Role.USER, (Text("Hi", cache="5m"), ToolResult("a", (Text("x", cache="5m"),)))),
    ),
    tools=(Tool("f", cache="5m"),),
)
POINT = {"cachePoint": {"type": "default"}}
POINT_1H = {"cachePoint": {"type": "default", "ttl": "1h"}}


def test_cache_points_stand_behind_what_is_cached() -> None:
    body, leftovers = written(CACHED)
    assert body["system"] == [{"text": "Rules"}, POINT_1H]
    assert [block for block in body["messages"][0]["content"] if "toolResult" not in block] == [
        {"text": "Hi"},
        POINT,
        POINT,
    ]
    assert body["toolConfig"]["tools"][1] == POINT
    assert leftovers == []


def test_cache_points_a_model_does_not_take_are_hints() -> None:
    places = ["messages[0].content[0]", "messages[1].content[0]", "messages[1].content[1]", "tools[0]"]
    body, leftovers = written(CACHED, LLAMA)
    assert leftovers == [Leftover(f"{place}.cache_control", is_hint=True) for place in places]
    assert "cachePoint" not in json.dumps(body)
    body, leftovers = written(CACHED, NOVA)  # no hour, and no points between tools
    assert leftovers == [Leftover(f"{place}.cache_control", is_hint=True) for place in (places[0], places[3])]
    assert body["system"] == [{"text": "Rules"}, POINT]


def test_tool_choices() -> None:
    request = Request(messages=HI, tools=(Tool("f"),))
    for mode, choice in {"auto": {"auto": {}}, "required": {"any": {}}}.items():
        body, leftovers = written(msgspec.structs.replace(request, tool_choice=ToolChoice(mode)))
        assert body["toolConfig"]["toolChoice"] == choice and leftovers == []


def test_no_tool_may_be_called() -> None:
    request = Request(messages=HI, tools=(Tool("f"),), tool_choice=ToolChoice("none"))
    body, leftovers = written(request)
    assert "toolConfig" not in body and leftovers == []
    call, result = Message(Role.ASSISTANT, (ToolCall("a", "f", "{}"),)), Message(Role.USER, (ToolResult("a", ()),))
    body, leftovers = written(msgspec.structs.replace(request, messages=(*HI, call, result)))
    assert body["toolConfig"] == {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": EMPTY}}}]}
    assert leftovers == [Leftover("tool_choice")]


EMPTY = {"type": "object", "properties": {}}


def test_tools_that_cannot_be_carried_over() -> None:
    search = Opaque("messages", "web_search_20250305", b"{}")
    body, leftovers = written(Request(messages=HI, tools=(search,), parallel_tool_calls=False))
    assert "toolConfig" not in body
    assert leftovers == [Leftover("parallel_tool_calls", is_hint=True), Leftover("tools[0]")]
    body, leftovers = written(Request(messages=HI, tools=(Tool("f"),)), tools=False)
    assert "toolConfig" not in body and leftovers == [Leftover("tools")]
    _, leftovers = written(Request(messages=HI, tools=(Tool("f", strict=True),)), NOVA)
    assert leftovers == [Leftover("tools[0].strict", is_hint=True)]
    assert written(Request(messages=HI, parallel_tool_calls=False))[1] == []


def test_what_is_known_of_a_deployment_counts() -> None:
    image = Message(Role.USER, (Image("image/png", "AAAA"),))
    request = Request(messages=(*HI, image), output=OutputFormat(SCHEMA), effort=Effort("high"))
    body, leftovers = written(request, images=False, json_schema=False, reasoning=False)
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    assert leftovers == [
        Leftover("messages[1].content[0]"),
        Leftover("reasoning_effort", is_hint=True),
        Leftover("response_format"),
    ]


def test_what_converse_has_no_words_for_is_named() -> None:
    request = Request(
        messages=(Message(Role.USER, (Text("Hi"),), name="ann"),),
        choices=2,
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        logit_bias=msgspec.Raw(b'{"1":2}'),
        logprobs=0,
        output=OutputFormat(),
        top_k=4,
        user="u",
        verbosity="low",
        service_tier="scale",
    )
    body, leftovers = written(request, LLAMA)
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    refused = {leftover.field for leftover in leftovers if not leftover.is_hint}
    assert refused == {
        "n", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "response_format", "top_k",
    }  # fmt: skip
    hints = {leftover.field for leftover in leftovers if leftover.is_hint}
    assert hints == {"user", "verbosity", "service_tier", "messages[0].name"}


def test_what_is_at_its_default_is_not_missed() -> None:
    request = Request(messages=HI, choices=1, frequency_penalty=0.0, presence_penalty=0, service_tier="auto")
    assert written(request) == ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, [])
