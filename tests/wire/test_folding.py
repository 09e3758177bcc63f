"""Chunks become the answer they tell of."""

from __future__ import annotations

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.chunks import (
    Cited,
    Ended,
    Finished,
    LogprobsDelta,
    Metered,
    PartDone,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.folding import fold
from headgate.wire.neutral import Answer, Choice, Citation, Finish, Image, Refusal, Text, Thinking, ToolCall


def test_every_kind_of_chunk() -> None:
    usage = Usage(input=1, output=2, counted=Counted.REPORTED)
    a, b = Citation(url="https://a"), Citation(url="https://b")
    chunks = [
        Started("id", "model", 7),
        ThinkingDelta("th"),
        ThinkingDelta("ought"),
        ThinkingSigned("s", origin="gemini", id="t"),
        TextDelta("te"),
        TextDelta("xt"),
        Cited(a),
        TextDelta("more", starts_part=True),
        ToolCallStarted(0, "1", "f", "s", "gemini"),
        ToolCallStarted(1, "2", "g"),
        ToolCallDelta(1, '{"x"'),
        ToolCallDelta(0, "{}"),
        ToolCallDelta(1, ":1}"),
        PartDone(Image(url="https://i")),
        ThinkingSigned(redacted="r", origin="anthropic"),
        TextDelta("end"),
        Cited(a),
        Cited(b),
        RefusalDelta("n"),
        RefusalDelta("o"),
        LogprobsDelta(msgspec.Raw(b'{"content":[1]}')),
        LogprobsDelta(msgspec.Raw(b'{"content":[2]}')),
        Finished(Finish.STOP_SEQUENCE, stop_sequence="!"),
        Metered(Usage()),
        Metered(usage),
        Ended(),
    ]
    parts = (
        Thinking("thought", signature="s", origin="gemini", id="t"),
        Text("text", (a,)),
        Text("more"),
        ToolCall("1", "f", "{}", signature="s", origin="gemini"),
        ToolCall("2", "g", '{"x":1}'),
        Image(url="https://i"),
        Thinking(redacted="r", origin="anthropic"),
        Text("end", (a, b)),
        Refusal("no"),
    )
    logprobs = msgspec.Raw(b'{"content":[1,2]}')
    choice = Choice(parts, Finish.STOP_SEQUENCE, stop_sequence="!", logprobs=logprobs)
    assert fold(chunks) == Answer("id", "model", (choice,), usage, 7)


def test_choices_are_told_apart_and_in_order() -> None:
    chunks = [TextDelta("b", 1), TextDelta("a"), TextDelta("B", 1), Finished(Finish.LENGTH, 1), Finished(Finish.STOP)]
    assert fold(chunks).choices == (Choice((Text("a"),), Finish.STOP), Choice((Text("bB"),), Finish.LENGTH, 1))


def test_nothing_is_an_answer_without_choices() -> None:
    assert fold([]) == Answer("", "", ())


def test_a_citation_without_a_text_is_kept() -> None:
    assert fold([Cited(Citation(url="https://a"))]).choices[0].parts == (Text("", (Citation(url="https://a"),)),)
