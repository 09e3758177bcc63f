"""Whole answers: every kind of part, every way to end, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import StreamFailed
from headgate.wire.gemini.answer import read_answer
from headgate.wire.gemini.finish import FAILURES, FINISHES
from headgate.wire.neutral import Audio, Choice, Citation, File, Finish, Image, Opaque, Part, Text, Thinking, ToolCall


def body(*parts: Any, reason: Any = "STOP", **members: Any) -> bytes:
    content = {"role": "model", "parts": list(parts)}
    candidate = {"content": content, "finishReason": reason, "index": 0, **members}
    return json.dumps({"candidates": [candidate], "responseId": "r1", "modelVersion": "gemini-9"}).encode()


def choice(data: bytes) -> Choice:
    (only,) = read_answer(data).choices
    return only


CALL = {"functionCall": {"name": "f", "args": {"a": [1, "x"]}}}
PARTS: list[tuple[str, Any, tuple[Part, ...]]] = [
    ("text", {"text": "a"}, (Text("a"),)),
    ("empty text", {"text": ""}, ()),
    ("thought", {"text": "a", "thought": True}, (Thinking("a"),)),
    (
        "signed thought",
        {"text": "a", "thought": True, "thoughtSignature": "s"},
        (Thinking("a", signature="s", origin="gemini"),),
    ),
    (
        "signed text",
        {"text": "a", "thoughtSignature": "s"},
        (Text("a"), Thinking(signature="s", origin="gemini")),
    ),
    ("signature alone", {"text": "", "thoughtSignature": "s"}, (Thinking(signature="s", origin="gemini"),)),
    ("call", CALL, (ToolCall("call_r1_0", "f", '{"a":[1,"x"]}'),)),
    (
        "signed call",
        CALL | {"thoughtSignature": "s"},
        (ToolCall("call_r1_0", "f", '{"a":[1,"x"]}', signature="s", origin="gemini"),),
    ),
    ("call with an id", {"functionCall": {"id": "i", "name": "f"}}, (ToolCall("i", "f", "{}"),)),
    ("call without arguments", {"functionCall": {"name": "f", "args": None}}, (ToolCall("call_r1_0", "f", "{}"),)),
    (
        "picture",
        {"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "thoughtSignature": "s"},
        (Image(media_type="image/png", data="QQ=="), Thinking(signature="s", origin="gemini")),
    ),
    (
        "sound",
        {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "QQ=="}},
        (Audio(data="QQ==", format="pcm"),),
    ),
    (
        "document",
        {"inlineData": {"mimeType": "text/csv", "data": "QQ=="}},
        (File(media_type="text/csv", data="QQ=="),),
    ),
    (
        "linked picture",
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://a/b"}},
        (Image(media_type="image/png", url="gs://a/b"),),
    ),
    (
        "linked document",
        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}},
        (File(media_type="video/mp4", url="gs://a/b"),),
    ),
    ("nothing", {}, ()),
]


@pytest.mark.parametrize(("part", "parts"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_each_kind_of_part(part: Any, parts: tuple[Part, ...]) -> None:
    assert choice(body(part)).parts == parts


def test_a_part_headgate_has_no_name_for_is_kept_as_it_came() -> None:
    raw = {"thoughtSignature": "s", "hologram": {"depth": 3}}
    (before, opaque) = choice(body({"text": "a"}, raw)).parts
    assert before == Text("a")
    assert isinstance(opaque, Opaque)
    assert (opaque.dialect, opaque.kind, json.loads(opaque.raw)) == ("gemini", "hologram", raw)


@pytest.mark.parametrize(("reason", "finish"), FINISHES.items())
def test_each_finish_reason(reason: str, finish: Finish) -> None:
    assert choice(body({"text": "a"}, reason=reason)).finish is finish


def test_stop_after_a_call_waits_for_its_result_and_nothing_else_does() -> None:
    assert choice(body(CALL)).finish is Finish.TOOL_CALLS
    assert choice(body(CALL, reason="MAX_TOKENS")).finish is Finish.LENGTH
    assert choice(body(CALL, reason="SAFETY")).finish is Finish.CONTENT_FILTER


def test_a_reason_as_a_number() -> None:
    assert choice(body({"text": "a"}, reason=1)).finish is Finish.STOP
    assert choice(body({"text": "a"}, reason=2)).finish is Finish.LENGTH
    assert choice(body({"text": "a"}, reason=99)).finish is Finish.CONTENT_FILTER


@pytest.mark.parametrize("reason", ["SOLAR_FLARE", "BLOCKED_FOR_FUN"])
def test_a_reason_of_tomorrow_is_never_success(reason: str) -> None:
    assert choice(body({"text": "a"}, reason=reason)).finish is Finish.CONTENT_FILTER


@pytest.mark.parametrize("reason", [*sorted(FAILURES), 9, "INTERNAL_ERROR", "MALFORMED_SOMETHING"])
def test_a_model_that_gave_up_is_a_failure(reason: Any) -> None:
    with pytest.raises(StreamFailed, match=r"finishReason is '[A-Z_]+' \(print\(1\)\)"):
        read_answer(body({"text": "a"}, reason=reason, finishMessage="print(1)"))


@pytest.mark.parametrize("reason", [None, "FINISH_REASON_UNSPECIFIED", 0])
def test_an_answer_without_a_finish_reason_is_not_complete(reason: Any) -> None:
    with pytest.raises(ValueError, match="lacks a finish reason"):
        read_answer(body({"text": "a"}, reason=reason))


def test_several_candidates() -> None:
    candidates = [
        {"content": {"parts": [{"text": "b"}, CALL]}, "finishReason": "STOP", "index": 1},
        {"content": {"parts": [{"text": "a"}, CALL]}, "finishReason": "STOP"},
    ]
    answer = read_answer(json.dumps({"candidates": candidates, "responseId": "r1"}).encode())
    assert [(one.index, one.parts[0]) for one in answer.choices] == [(0, Text("a")), (1, Text("b"))]
    ids = [part.id for one in answer.choices for part in one.parts if isinstance(part, ToolCall)]
    assert ids == ["call_r1_1", "call_r1_0"]


def test_recitations_are_cited() -> None:
    for name in ("citationSources", "citations"):
        sources = {name: [{"startIndex": 2, "endIndex": 4, "uri": "https://a", "title": "A"}, {"uri": "https://b"}]}
        (text,) = choice(body({"text": "ä23"}, citationMetadata=sources)).parts
        assert text == Text("ä23", (Citation(url="https://a", title="A", start=1, end=3), Citation(url="https://b")))


def test_sources_without_segments_are_cited_without_places() -> None:
    metadata = {"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"maps": {"uri": "https://m"}}, {}]}
    (text,) = choice(body({"text": "x"}, groundingMetadata=metadata)).parts
    assert isinstance(text, Text)
    assert text.citations == (Citation(url="https://a", title="A"), Citation(url="https://m"), Citation())


def test_a_segment_outside_of_the_text_has_no_place() -> None:
    supports = [{"segment": {"startIndex": 3, "endIndex": 30}, "groundingChunkIndices": [0, 7, -1]}]
    metadata = {"groundingChunks": [{"web": {"uri": "https://a"}}], "groundingSupports": supports}
    (text,) = choice(body({"text": "short"}, groundingMetadata=metadata)).parts
    assert isinstance(text, Text)
    assert text.citations == (Citation(url="https://a"),)


def test_half_a_character_does_not_lose_the_answer() -> None:
    assert choice(body({"text": "a"}).replace(b'"a"', rb'"\ud83d\ude00 \ud83d"')).parts == (Text("😀 \ufffd"),)


@pytest.mark.parametrize("wrap", ["{}", "[{}]"])
def test_an_error_inside_a_200_is_told_in_the_providers_words(wrap: str) -> None:
    error = '{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}'
    with pytest.raises(StreamFailed) as caught:
        read_answer(wrap.replace("{}", error).encode())
    assert caught.value.message == "The model is overloaded."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b'{"candidates": 3}',
        b'{"candidates": [{"content": {"parts": [{"text": 3}]}}]}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[3]",
    ],
    ids=["empty", "html", "wrong type", "wrong text", "bytes", "deep list", "deep object", "number"],
)
def test_what_is_no_answer_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_answer(data)


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"candidates": []}', b'{"promptFeedback": {}}'])
def test_an_answer_of_nothing_has_no_choices(data: bytes) -> None:
    assert read_answer(data).choices == ()
