"""Whole answers of Converse: what each block means, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.converse.answer import read_answer
from headgate.wire.neutral import (
    Audio,
    Choice,
    Citation,
    Finish,
    Image,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
)


def answer(*blocks: object, stop: str = "end_turn", **members: Any) -> bytes:
    body = {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop,
        "metrics": {"latencyMs": 3},
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    }
    return json.dumps(body | members).encode()


def parts(*blocks: object) -> tuple[Part, ...]:
    return read_answer(answer(*blocks)).choices[0].parts


def test_an_answer() -> None:
    read = read_answer(answer({"text": "Hi 🌦"}))
    assert read.choices == (Choice((Text("Hi 🌦"),), Finish.STOP),)
    assert read.usage == Usage(input=10, output=5, counted=Counted.REPORTED)
    assert (read.id, read.model, read.created) == ("", "", 0)


def test_tool_calls_keep_their_arguments_as_they_came() -> None:
    body = answer(stop="tool_use").replace(
        b'"content": []',
        b'"content": [{"toolUse": {"input": {"b": 1e400, "a": "\\u00fc"}, "name": "f", "toolUseId": "t1", '
        b'"type": "tool_use"}}, {"toolUse": {"name": "g", "toolUseId": "t2"}}]',
    )
    [choice] = read_answer(body).choices
    assert choice.parts == (ToolCall("t1", "f", '{"b": 1e400, "a": "\\u00fc"}'), ToolCall("t2", "g", "{}"))
    assert choice.finish is Finish.TOOL_CALLS


def test_thoughts() -> None:
    signed = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "EqkB"}}}
    unsigned = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    redacted = {"reasoningContent": {"redactedContent": "AAAA"}}
    empty: dict[str, object] = {"reasoningContent": {}}
    assert parts(signed, unsigned, redacted, empty) == (
        Thinking("Hm.", signature="EqkB", origin="bedrock"),
        Thinking("Hm."),
        Thinking(redacted="AAAA", origin="bedrock"),
    )


def test_citations() -> None:
    cited = {
        "content": [{"text": "Twenty "}, {"text": "days."}],
        "citations": [{"title": "policy", "source": "https://example.com", "sourceContent": [{"text": "20 days"}]}, {}],
    }
    assert parts({"text": "It says: "}, {"citationsContent": cited}) == (
        Text("It says: "),
        Text("Twenty days.", (Citation("https://example.com", "policy", "20 days"), Citation())),
    )


def test_images_and_sounds() -> None:
    image = {"image": {"format": "webp", "source": {"bytes": "AAAA"}}}
    sound = {"audio": {"format": "mp3", "source": {"bytes": "BBBB"}}}
    assert parts(image, sound) == (Image("image/webp", "AAAA"), Audio("BBBB", "mp3"))


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"somethingNew": {"a": 1}}, "somethingNew"),
        ({"toolUse": {"type": "server_tool_use", "name": "x", "toolUseId": "t", "input": {}}}, "toolUse"),
        ({"toolResult": {"toolUseId": "t", "content": []}}, "toolResult"),
        ({}, ""),
    ],
)
def test_what_has_no_neutral_form_is_kept_as_it_is(block: object, kind: str) -> None:
    [part] = parts(block)
    assert isinstance(part, Opaque)
    assert (part.dialect, part.kind, json.loads(part.raw)) == ("converse", kind, block)


def test_an_answer_that_says_nothing_is_one() -> None:
    assert read_answer(answer(stop="stop_sequence")).choices == (Choice((), Finish.STOP_SEQUENCE),)
    [choice] = read_answer(answer(stop="stop_sequence", additionalModelResponseFields={"stop_sequence": "E"})).choices
    assert choice.stop_sequence == "E"


def test_half_a_character_costs_no_answer() -> None:
    body = answer().replace(b'"content": []', b'"content": [{"text": "Hi \\ud83d"}]')
    assert read_answer(body).choices[0].parts == (Text("Hi \ufffd"),)


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use"])
def test_a_model_that_gave_up_is_a_failure(stop: str) -> None:
    with pytest.raises(StreamFailed, match=stop):
        read_answer(answer({"text": "Hm"}, stop=stop))


def test_an_error_in_a_200_is_a_failure_in_the_providers_words() -> None:
    with pytest.raises(StreamFailed, match="The model is busy"):
        read_answer(b'{"message": "The model is busy."}')


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b"<html>", b'{"output": {}}', b'{"output": {"message": {}}}',
        b'{"x": ' + b"[" * 100_000,
        b'{"output": {"message": {"content": [{"text": 5}]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": ["x"]}}, "stopReason": "end_turn"}',
        b'{"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}',
    ],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_answer(body)
