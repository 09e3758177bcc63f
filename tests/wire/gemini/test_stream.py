"""Streams, event by event: what each adds, when one is complete, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import StreamFailed
from headgate.wire.chunks import (
    Chunk,
    Cited,
    Finished,
    LogprobsDelta,
    Metered,
    PartDone,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.gemini.dialect import PROVIDER
from headgate.wire.gemini.stream import StreamListener
from headgate.wire.neutral import Citation, Finish, Image

CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


def event(*parts: Any, **members: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, **members}
    return frame({"candidates": [candidate], "responseId": "r1", "modelVersion": "gemini-9"})


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def told(*events: bytes) -> list[Chunk]:
    listener = StreamListener()
    return [chunk for one in events for chunk in listener.read(one)][1:]


def test_a_stream_begins_once_and_has_no_end_of_its_own() -> None:
    listener = StreamListener()
    assert list(listener.read(event({"text": "a"}))) == [Started("r1", "gemini-9"), TextDelta("a")]
    assert list(listener.read(event({"text": "b"}))) == [TextDelta("b")]
    assert listener.missing() == "a finish reason"
    assert list(listener.read(event({"text": ""}, finishReason="STOP"))) == [Finished(Finish.STOP)]
    assert listener.missing() == ""


def test_a_stream_that_says_nothing_is_not_complete() -> None:
    assert StreamListener().missing() == "a finish reason"


def test_events_say_only_what_is_new() -> None:
    assert told(event({"text": "t", "thought": True}), event({"text": "a"}, {"text": "", "thoughtSignature": "s"})) == [
        ThinkingDelta("t"),
        TextDelta("a"),
        ThinkingSigned("s", origin="gemini"),
    ]


def test_calls_are_counted_over_the_events() -> None:
    assert told(event(CALL | {"thoughtSignature": "s"}), event(CALL), event({"text": ""}, finishReason="STOP")) == [
        ToolCallStarted(0, "call_r1_0", "f", "s", "gemini"),
        ToolCallDelta(0, '{"a":1}'),
        ToolCallStarted(1, "call_r1_1", "f"),
        ToolCallDelta(1, '{"a":1}'),
        Finished(Finish.TOOL_CALLS),
    ]


def test_a_call_that_is_cut_by_the_ceiling_keeps_what_came() -> None:
    began = {"functionCall": {"name": "f", "willContinue": True}}
    more = {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}], "willContinue": True}
    assert told(event(began), event({"functionCall": more}), event(finishReason="MAX_TOKENS")) == [
        ToolCallStarted(0, "call_r1_0", "f"),
        ToolCallDelta(0, '{"a":"x"}'),
        Finished(Finish.LENGTH),
    ]


def test_the_rest_of_a_call_that_never_began_is_nothing() -> None:
    assert told(event({"functionCall": {}})) == []


def test_several_choices_are_interleaved() -> None:
    def both(first: Any, second: Any) -> bytes:
        return frame({"candidates": [{"index": 1, **second}, first], "responseId": "r1"})

    say_a, say_b = {"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}
    listener = StreamListener()
    assert list(listener.read(both(say_a, say_b)))[1:] == [TextDelta("b", 1), TextDelta("a", 0)]
    listener.read(both({"finishReason": "STOP"}, {}))
    assert listener.missing() == "a finish reason"
    assert list(listener.read(both({}, {"finishReason": "MAX_TOKENS"}))) == [Finished(Finish.LENGTH, 1)]
    assert listener.missing() == ""


def test_a_finish_reason_twice_finishes_once() -> None:
    assert told(event({"text": "a"}, finishReason="STOP"), event(finishReason="STOP")) == [
        TextDelta("a"),
        Finished(Finish.STOP),
    ]


def test_a_picture_comes_whole() -> None:
    blob = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
    assert told(event(blob)) == [PartDone(Image(media_type="image/png", data="QQ=="))]


def test_a_citation_counts_from_the_text_part_that_is_being_written() -> None:
    def cites(start: int, end: int) -> Any:
        supports = [{"segment": {"startIndex": start, "endIndex": end}, "groundingChunkIndices": [0]}]
        return {"groundingChunks": [{"web": {"uri": "https://a"}}], "groundingSupports": supports}

    first = event({"text": "äbc"}, groundingMetadata=cites(2, 3))
    again = event(CALL, {"text": "def"}, groundingMetadata=cites(2, 3))
    later = event(groundingMetadata=cites(5, 6))
    assert [chunk.citation for chunk in told(first, again, later) if isinstance(chunk, Cited)] == [
        Citation(url="https://a", start=1, end=2),
        Citation(url="https://a", start=1, end=2),
    ]
    earlier = event(groundingMetadata=cites(0, 2))
    (cited,) = [chunk for chunk in told(event({"text": "äbc"}), again, earlier) if isinstance(chunk, Cited)][1:]
    assert cited.citation == Citation(url="https://a", start=-1, end=-1)


def test_log_probabilities_come_with_their_tokens() -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": -0.5, "tokenId": 7}]}
    (_, logprobs) = told(event({"text": "a"}, logprobsResult=result))
    assert isinstance(logprobs, LogprobsDelta)
    assert json.loads(bytes(logprobs.logprobs)) == {
        "content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]
    }
    assert told(event({"text": "a"}, logprobsResult={})) == [TextDelta("a")]


def test_usage_is_told_when_it_changes_and_says_something() -> None:
    def usage(**counts: Any) -> bytes:
        return frame({"responseId": "r1", "usageMetadata": counts})

    chunks = told(
        usage(trafficType="ON_DEMAND"),
        usage(promptTokenCount=3),
        usage(promptTokenCount=3),
        usage(promptTokenCount=3, thoughtsTokenCount=2),
        usage(promptTokenCount=3, thoughtsTokenCount=2, candidatesTokenCount=4, cachedContentTokenCount=9),
    )
    values = [chunk.usage for chunk in chunks if isinstance(chunk, Metered)]
    assert [(value.input, value.cached_input, value.output, value.reasoning) for value in values] == [
        (3, 0, 0, 0),
        (3, 0, 2, 2),
        (3, 3, 6, 2),
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"trafficType": "ON_DEMAND_FLEX"},
        {"serviceTier": "priority"},
        {"toolUsePromptTokenCount": 1},
        {"promptTokensDetails": [{"modality": "TEXT"}, {"modality": "IMAGE"}]},
        {"candidatesTokensDetails": [{"modality": "AUDIO"}]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_usage_that_may_have_another_price_is_kept_raw(more: Any) -> None:
    counts = {"promptTokenCount": 3, **more}
    (metered,) = told(frame({"responseId": "r1", "usageMetadata": counts}))
    assert isinstance(metered, Metered)
    assert json.loads(metered.usage.raw) == counts


@pytest.mark.parametrize("frame", [b": ping\r\n\r\n", b"event: x\n\n", b"data:\n\n", b"\r\n\r\n"])
def test_what_carries_no_data_means_nothing(frame: bytes) -> None:
    assert list(StreamListener().read(frame)) == []


def test_members_of_tomorrow_are_ignored() -> None:
    data = frame({"responseId": "r1", "weather": {"sunny": True}, "candidates": [{"mood": 3, "content": {"x": 1}}]})
    assert told(data) == []


def test_a_prompt_that_is_blocked_while_it_is_answered_finishes_every_choice() -> None:
    blocked = frame({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    listener = StreamListener()
    listener.read(event({"text": "a"}))
    assert list(listener.read(blocked)) == [Finished(Finish.CONTENT_FILTER)]
    assert listener.missing() == ""
    assert list(listener.read(blocked)) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}, "Overloaded."),
        ({"code": 500, "status": "INTERNAL"}, "INTERNAL"),
        ({"strange": 1}, '{"error": {"strange": 1}}'),
        ("words", '{"error": "words"}'),
    ],
)
def test_an_error_in_the_stream_is_told_in_the_providers_words(error: Any, words: str) -> None:
    listener = StreamListener()
    listener.read(event({"text": "a"}))
    with pytest.raises(StreamFailed) as caught:
        listener.read(frame({"error": error}))
    assert caught.value.message == f"The provider reported an error in the stream: {words}"


@pytest.mark.parametrize(
    "data", [b"{", b"<html>", b"3", b'{"candidates": [3]}', b"\xff", b'{"a":' * 100_000, b"[DONE]"]
)
def test_what_is_not_the_dialect_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        StreamListener().read(b"data: " + data + b"\n\n")


@pytest.mark.parametrize("path", ["$[3]", "$.a[1]", "$.a..b", "a.b", "$.b.c", "$" + ".a" * 100, "$.a[0"])
def test_an_argument_with_no_place_is_a_value_error(path: str) -> None:
    pieces = [{"jsonPath": "$.b", "stringValue": "x"}, {"jsonPath": path, "numberValue": 1}]
    with pytest.raises(ValueError, match="argument"):
        told(event({"functionCall": {"name": "f", "partialArgs": pieces, "willContinue": True}}))


def test_arguments_of_every_kind_find_their_places() -> None:
    pieces = [
        {"jsonPath": "$.n", "numberValue": 3},
        {"jsonPath": "$.b", "boolValue": False},
        {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
        {"jsonPath": "$.list[0]['a b']", "stringValue": "x", "willContinue": True},
        {"jsonPath": "$.list[0]['a b']", "stringValue": "y"},
        {"jsonPath": '$.list[1]["it\\"s"]', "numberValue": 1.5},
        {"jsonPath": "$"},
    ]
    chunks = told(event({"functionCall": {"name": "f", "partialArgs": pieces}}))
    (delta,) = [chunk for chunk in chunks if isinstance(chunk, ToolCallDelta)]
    assert json.loads(delta.arguments) == {"n": 3, "b": False, "none": None, "list": [{"a b": "xy"}, {'it"s': 1.5}]}


def test_a_character_cut_between_events_is_put_together() -> None:
    halves = [
        rb'{"candidates": [{"content": {"parts": [{"text": "%s"}]}}]}' % half for half in (rb"a\ud83d", rb"\ude00b")
    ]
    assert told(*(b"data: " + half + b"\n\n" for half in halves)) == [TextDelta("a"), TextDelta("😀b")]


def test_an_event_may_be_long_but_not_endless() -> None:
    splitter = PROVIDER.splitter()
    assert splitter.feed(b"data: " + b"x" * 20_000_000) == []
    with pytest.raises(ValueError):
        splitter.feed(b"x" * 20_000_000)
