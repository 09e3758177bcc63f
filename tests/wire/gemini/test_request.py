"""Requests: what each neutral value is in Gemini's words, and what is left over."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.wire.gemini.request import write_request
from headgate.wire.neutral import (
    Audio,
    Citation,
    Effort,
    File,
    Image,
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
)
from tests.wire.gemini.asked import HELLO, OLD, SCHEMA, body, leftovers, model, said, user

# --- who says what ---


def test_the_simplest_request() -> None:
    assert body(Request(messages=(HELLO,))) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def test_a_conversation_with_a_system_prompt() -> None:
    system = Message(Role.SYSTEM, (Text("a"), Text("b")))
    written = body(Request(messages=(system, HELLO, model(Text("hi"), Refusal("no")), HELLO)))
    assert written == {
        "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hello"}]},
            {"role": "model", "parts": [{"text": "hi"}, {"text": "no"}]},
            {"role": "user", "parts": [{"text": "hello"}]},
        ],
    }


def test_a_later_system_message_moves_to_the_top_and_says_so() -> None:
    late = Request(messages=(HELLO, Message(Role.SYSTEM, (Text("be brief"),))))
    written = write_request(late, OLD)
    assert json.loads(written.body)["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert leftovers(late) == [("messages[1].role", False)]


def test_system_messages_alone_are_said_by_the_user() -> None:
    request = Request(messages=(Message(Role.SYSTEM, (Text("a"),)),))
    assert json.loads(write_request(request, OLD).body) == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    assert leftovers(request) == [("messages[0].role", False)]


def test_a_system_message_shows_nothing() -> None:
    request = Request(messages=(Message(Role.SYSTEM, (Text("a"), Image(url="https://a/b.png"))), HELLO))
    assert leftovers(request) == [("messages[0].content[1]", False)]


def test_what_says_nothing_is_left_out() -> None:
    assert said(user(Text("")), HELLO, model(), model(Text(""))) == [{"role": "user", "parts": [{"text": "hello"}]}]


def test_names_of_speakers_are_hints() -> None:
    assert leftovers(Request(messages=(Message(Role.USER, (Text("a"),), name="ann"),))) == [("messages[0].name", True)]


# --- pictures, files, sound ---

MEDIA: list[tuple[Part, Any]] = [
    (Image(media_type="image/webp", data="QQ=="), {"inlineData": {"mimeType": "image/webp", "data": "QQ=="}}),
    (Image(data="QQ=="), {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}),
    (
        Image(url="https://a/b.JPG?c=d.png"),
        {"fileData": {"fileUri": "https://a/b.JPG?c=d.png", "mimeType": "image/jpeg"}},
    ),
    (Image(url="https://a/b", detail="auto"), {"fileData": {"fileUri": "https://a/b"}}),
    (File(data="QQ=="), {"inlineData": {"mimeType": "application/pdf", "data": "QQ=="}}),
    (File(url="gs://a/b.csv"), {"fileData": {"fileUri": "gs://a/b.csv", "mimeType": "text/csv"}}),
    (File(media_type="text/plain", text="words"), {"text": "words"}),
    (Audio(data="QQ==", format="wav"), {"inlineData": {"mimeType": "audio/wav", "data": "QQ=="}}),
]


@pytest.mark.parametrize(("part", "written"), MEDIA)
def test_media(part: Part, written: Any) -> None:
    assert said(user(part)) == [{"role": "user", "parts": [written]}]


def test_a_files_name_tells_its_type_and_is_a_hint() -> None:
    request = Request(messages=(user(File(data="QQ==", name="table.csv")),))
    assert body(request)["contents"][0]["parts"] == [{"inlineData": {"mimeType": "text/csv", "data": "QQ=="}}]
    assert leftovers(request) == [("messages[0].content[0].filename", True)]


@pytest.mark.parametrize("part", [File(file_id="file-1"), Image(), Opaque("messages", "x", b"{}")])
def test_a_part_that_gemini_cannot_be_given(part: Part) -> None:
    assert leftovers(Request(messages=(user(Text("a"), part),))) == [("messages[0].content[1]", False)]


def test_its_own_opaque_parts_go_back_as_they_came() -> None:
    raw = b'{"executableCode": {"language": "PYTHON", "code": "1"}}'
    assert said(HELLO, model(Opaque("gemini", "executableCode", raw)))[1]["parts"] == [json.loads(raw)]


def test_hints_about_parts() -> None:
    parts = (Text("a", (Citation(),), cache="5m"), Image(url="https://a/b.png", detail="high", cache="1h"))
    assert leftovers(Request(messages=(user(*parts),))) == [
        ("messages[0].content[0].citations", True),
        ("messages[0].content[0].cache_control", True),
        ("messages[0].content[1].detail", True),
        ("messages[0].content[1].cache_control", True),
    ]


# --- thoughts and their signatures ---


def test_its_own_thoughts_go_back_and_those_nobody_signed() -> None:
    own, unsigned = Thinking("a", signature="s", origin="gemini"), Thinking("b")
    assert said(model(own, unsigned, Text("c"))) == [
        {
            "role": "model",
            "parts": [
                {"text": "a", "thought": True, "thoughtSignature": "s"},
                {"text": "b", "thought": True},
                {"text": "c"},
            ],
        }
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("a", signature="s", origin="anthropic"),
        Thinking("a", origin="chat"),
        Thinking("a", signature="s"),
        Thinking(redacted="r", origin="anthropic"),
    ],
)
def test_thoughts_of_others_are_left_out(thought: Thinking) -> None:
    request = Request(messages=(HELLO, model(thought, Text("b"))))
    assert body(request)["contents"][1]["parts"] == [{"text": "b"}]
    assert leftovers(request) == [("messages[1].content[0]", True)]


def test_a_signature_alone_belongs_to_what_stands_before_it() -> None:
    signature = Thinking(signature="s", origin="gemini")
    picture = Image(media_type="image/png", data="QQ==")
    assert said(model(Text("a"), signature, picture, signature, signature)) == [
        {
            "role": "model",
            "parts": [
                {"text": "a", "thoughtSignature": "s"},
                {"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "thoughtSignature": "s"},
                {"text": "", "thoughtSignature": "s"},
            ],
        }
    ]


def test_a_signature_alone_belongs_to_the_text_behind_it_if_nothing_is_before_it() -> None:
    assert said(model(Thinking(signature="s", origin="gemini"), Text("a"), Text("b"))) == [
        {"role": "model", "parts": [{"text": "a", "thoughtSignature": "s"}, {"text": "b"}]}
    ]


# --- how it is to answer ---


def test_sampling() -> None:
    request = Request(
        messages=(HELLO,),
        choices=2,
        stop=("a", "b"),
        temperature=0.0,
        top_p=0.5,
        top_k=4,
        seed=0,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        logprobs=3,
        max_output_tokens=9,  # of the caller: the target's is what counts
    )
    assert body(request, Target("gemini-2.5-flash", max_output_tokens=7))["generationConfig"] == {
        "maxOutputTokens": 7,
        "candidateCount": 2,
        "stopSequences": ["a", "b"],
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 4,
        "seed": 0,
        "frequencyPenalty": 0.1,
        "presencePenalty": -0.1,
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_logprobs_of_the_chosen_tokens_alone() -> None:
    assert body(Request(messages=(HELLO,), logprobs=0))["generationConfig"] == {"responseLogprobs": True}


@pytest.mark.parametrize(
    ("output", "config"),
    [
        (OutputFormat(), {"responseMimeType": "application/json"}),
        (
            OutputFormat(SCHEMA, name="x", strict=True),
            {"responseMimeType": "application/json", "responseJsonSchema": json.loads(bytes(SCHEMA))},
        ),
    ],
)
def test_output_format(output: OutputFormat, config: Any) -> None:
    assert body(Request(messages=(HELLO,), output=output))["generationConfig"] == config


def test_what_has_no_words_there() -> None:
    request = Request(
        messages=(HELLO,),
        logit_bias=msgspec.Raw(b'{"1":2}'),
        user="u",
        verbosity="low",
        service_tier="flex",
        output=OutputFormat(SCHEMA),
        effort=Effort("low"),
    )
    target = Target("gemini-2.5-flash", json_schema=False, reasoning=False)
    assert leftovers(request, target) == [
        ("response_format", False),
        ("logit_bias", False),
        ("verbosity", True),
        ("user", True),
        ("service_tier", True),
        ("reasoning_effort", True),
    ]
    assert leftovers(Request(messages=(HELLO,), service_tier="auto", effort=Effort("none"))) == []


@pytest.mark.parametrize(
    ("name", "effort", "config", "fits"),
    [
        ("gemini-2.5-flash", Effort("low"), {"includeThoughts": True, "thinkingBudget": 1024}, True),
        ("gemini-2.5-flash", Effort("max"), {"includeThoughts": True, "thinkingBudget": 24_576}, False),
        ("gemini-2.5-flash", Effort("none"), {"thinkingBudget": 0}, True),
        ("gemini-2.5-flash", Effort(budget_tokens=-1), {"includeThoughts": True, "thinkingBudget": -1}, True),
        ("gemini-2.5-flash", Effort("high", summary="omitted"), {"thinkingBudget": 16_384}, True),
        ("gemini-2.5-flash-lite", Effort(budget_tokens=5), {"includeThoughts": True, "thinkingBudget": 512}, False),
        ("gemini-2.5-pro", Effort("max"), {"includeThoughts": True, "thinkingBudget": 32_768}, False),
        ("gemini-2.5-pro", Effort("none"), {"thinkingBudget": 128}, False),
        ("gemini-2.0-flash", Effort("low"), None, False),
        ("gemini-2.0-flash", Effort("none"), None, True),
        ("gemini-3-pro-preview", Effort("medium"), {"includeThoughts": True, "thinkingLevel": "low"}, False),
        ("gemini-3.1-pro-preview", Effort("medium"), {"includeThoughts": True, "thinkingLevel": "medium"}, True),
        ("gemini-3-flash-preview", Effort("max"), {"includeThoughts": True, "thinkingLevel": "high"}, False),
        (
            "gemini-3-flash-preview",
            Effort(budget_tokens=5000),
            {"includeThoughts": True, "thinkingLevel": "medium"},
            False,
        ),
        ("gemini-3-flash-preview", Effort(budget_tokens=-1), {"includeThoughts": True}, True),
        ("gemini-3-flash-preview", Effort("none"), {"thinkingLevel": "minimal"}, False),
        ("gemini-3-pro-preview", Effort("minimal"), {"includeThoughts": True, "thinkingLevel": "low"}, False),
        ("gemini-2.5-pro", Effort("xhigh"), {"includeThoughts": True, "thinkingBudget": 32_768}, True),
        ("gemini-2.5-flash", Effort(budget_tokens=8000), {"includeThoughts": True, "thinkingBudget": 8000}, True),
        ("gemini-flash-latest", Effort("minimal"), {"includeThoughts": True, "thinkingLevel": "minimal"}, True),
        ("tuned", Effort("low"), {"includeThoughts": True, "thinkingBudget": 1024}, True),
    ],
)
def test_effort(name: str, effort: Effort, config: Any, fits: bool) -> None:
    request = Request(messages=(HELLO,), effort=effort)
    assert body(request, Target(name)).get("generationConfig", {}).get("thinkingConfig") == config
    assert leftovers(request, Target(name)) == ([] if fits else [("reasoning_effort", True)])
