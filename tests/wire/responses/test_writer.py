"""Streams for clients: events in their order, numbered, and at the end an object that repeats them all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent

from headgate.types import Counted, Usage
from headgate.wire.chunks import (
    Chunk,
    Finished,
    LogprobsDelta,
    PartDone,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.folding import fold
from headgate.wire.neutral import (
    Answer,
    Choice,
    Citation,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from headgate.wire.responses.answer import write_answer
from headgate.wire.responses.writer import StreamWriter
from tests.wire.responses.talk import Json, answer_of, chunks_of, context, events, listen, write

SDK_EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)


def stream(*chunks: Chunk) -> list[Json]:
    """The events, every one of which the SDK's own types must take."""
    told = events(write([Started("msg_01", "claude", 3), *chunks], context()))
    for number, event in enumerate(told):
        SDK_EVENT.validate_python(event)
        assert event["sequence_number"] == number
    return told


def kinds(told: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told]


def of(told: list[Json], kind: str) -> list[Json]:
    return [event for event in told if event["type"] == f"response.{kind}"]


def test_a_text_from_beginning_to_end() -> None:
    told = stream(TextDelta("Hel"), TextDelta("lo"), Finished(Finish.STOP))
    assert kinds(told) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert told[0]["response"] == told[1]["response"]
    assert told[0]["response"]["status"] == "in_progress" and told[0]["response"]["output"] == []
    place = {"item_id": "msg_hg0_msg_01", "output_index": 0, "content_index": 0}
    assert told[4] == {
        "type": "response.output_text.delta",
        **place,
        "delta": "Hel",
        "logprobs": [],
        "sequence_number": 4,
    }
    assert told[6] == {
        "type": "response.output_text.done",
        **place,
        "text": "Hello",
        "logprobs": [],
        "sequence_number": 6,
    }
    assert told[2]["item"] == {
        "type": "message",
        "id": "msg_hg0_msg_01",
        "status": "in_progress",
        "content": [],
        "role": "assistant",
    }
    assert told[-1]["response"]["output"] == [told[-2]["item"]]


def test_the_last_events_are_withheld_until_the_end_is_asked_for() -> None:
    writer = StreamWriter(context())
    before = writer.write([Started("a", "b"), TextDelta("x"), Finished(Finish.STOP)])
    assert b"response.output_item.done" in before and b"response.completed" not in before
    assert kinds(events(writer.end())) == ["completed"]


def test_nothing_to_say_is_a_response_all_the_same() -> None:
    assert kinds(events(write([], context()))) == ["created", "in_progress", "completed"]


def test_parts_of_a_message() -> None:
    told = stream(TextDelta("a"), TextDelta("b", 0, True), *chunks_of(answer_of(Refusal("no"), finish=Finish.STOP))[1:])
    content = told[-1]["response"]["output"][0]["content"]
    assert [part.get("text") or part.get("refusal") for part in content] == ["a", "b", "no"]
    assert [event["content_index"] for event in of(told, "content_part.added")] == [0, 1, 2]
    assert of(told, "refusal.delta")[0]["delta"] == of(told, "refusal.done")[0]["refusal"] == "no"


def test_a_thought_and_its_signature() -> None:
    told = stream(
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        ThinkingSigned("sig", "", "anthropic"),
        TextDelta("x"),
        Finished(Finish.STOP),
    )
    assert kinds(told)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert told[8]["item"] == {
        "type": "reasoning",
        "id": "rs_hg0_msg_01",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "anthropic:sig",
    }
    assert told[-1]["response"]["output"][1]["id"] == "msg_hg1_msg_01"


def test_thoughts_apart_are_items_apart() -> None:
    told = stream(
        ThinkingDelta("a"),
        ThinkingDelta("b", 0, True),
        ThinkingSigned("", "data", "anthropic"),
        ThinkingSigned("sig", "", "anthropic"),
        ThinkingSigned("", "", "", "only a name"),
        Finished(Finish.STOP),
    )
    assert [
        ([part["text"] for part in item["summary"]], item.get("encrypted_content"))
        for item in told[-1]["response"]["output"]
    ] == [(["a"], None), (["b"], None), ([], "anthropic:redacted:data"), ([], "anthropic:sig")]


def test_calls_stay_open_while_their_arguments_come_by_turns() -> None:
    told = stream(
        TextDelta("x"),
        ToolCallStarted(0, "1", "a"),
        ToolCallStarted(1, "2", "b", "gsig", "gemini"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(1, '{"x"'),
        TextDelta("y"),
        ToolCallDelta(1, ":1}"),
        ToolCallDelta(0, "}"),
        ToolCallDelta(7, "of nobody"),
        Finished(Finish.TOOL_CALLS),
    )
    output = told[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "reasoning", "function_call", "message"]
    assert [(item["call_id"], item["arguments"]) for item in output if "call_id" in item] == [
        ("1", "{}"),
        ("2", '{"x":1}'),
    ]
    assert output[2]["encrypted_content"] == "gemini:call:gsig"
    assert [event["output_index"] for event in of(told, "function_call_arguments.delta")] == [1, 3, 3, 1]
    assert of(told, "function_call_arguments.done")[0]["name"] == "a"


def test_a_call_without_arguments_says_so_in_json() -> None:
    told = stream(ToolCallStarted(0, "1", "a"), Finished(Finish.TOOL_CALLS))
    assert of(told, "function_call_arguments.delta")[0]["delta"] == "{}"
    assert told[-1]["response"]["output"][0]["arguments"] == "{}"


def test_citations() -> None:
    cited = Citation("https://a.test", "A")
    told = stream(*chunks_of(answer_of(Text("hello", (cited, cited)), finish=Finish.STOP))[1:])
    assert [event["annotation_index"] for event in of(told, "output_text.annotation.added")] == [0, 1]
    assert (
        told[-1]["response"]["output"][0]["content"][0]["annotations"]
        == [{"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 5}] * 2
    )


def test_log_probabilities_come_with_their_text() -> None:
    def logprobs(token: str) -> LogprobsDelta:
        entry = {"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []}
        return LogprobsDelta(msgspec.Raw(json.dumps({"content": [entry]}).encode()))

    chunks = [Started("a", "b"), TextDelta("x"), logprobs("x"), TextDelta("y"), Finished(Finish.STOP)]
    writer = StreamWriter(context())
    told = events(writer.write(chunks) + writer.write([logprobs("y")]) + writer.end())
    assert [[entry["token"] for entry in event["logprobs"]] for event in of(told, "output_text.delta")] == [["x"], []]


def test_whole_parts() -> None:
    own = Opaque("responses", "web_search_call", b'{"type":"web_search_call","id":"ws_1","status":"completed"}')
    told = events(
        write(
            [PartDone(Image("image/jpeg", "AAAA")), PartDone(own), PartDone(Opaque("messages", "x", b"{}"))], context()
        )
    )
    image, search = told[-1]["response"]["output"]
    assert (image["type"], image["result"], image["output_format"]) == ("image_generation_call", "AAAA", "jpeg")
    assert search["id"] == "ws_1"
    assert [event["item"]["type"] for event in of(told, "output_item.added")] == [image["type"], search["type"]]


def test_other_choices_are_not_told() -> None:
    told = stream(TextDelta("a"), TextDelta("b", 1), Finished(Finish.STOP), Finished(Finish.LENGTH, 1))
    assert told[-1]["type"] == "response.completed"
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "a"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.LENGTH, "max_output_tokens"),
        (Finish.PAUSE, "max_output_tokens"),
        (Finish.CONTENT_FILTER, "content_filter"),
        (Finish.REFUSAL, "content_filter"),
    ],
)
def test_an_answer_that_is_not_complete(finish: Finish, reason: str) -> None:
    told = stream(TextDelta("x"), Finished(finish))
    assert told[-1]["type"] == "response.incomplete"
    assert told[-1]["response"]["status"] == "incomplete"
    assert told[-1]["response"]["incomplete_details"] == {"reason": reason}


# --- what a stream ends with is what a whole answer would have been, and means the same to a listener ---

words = st.text(min_size=1, max_size=20)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, words, st.lists(st.builds(Citation, words, words, words), max_size=2).map(tuple)),
    st.builds(Thinking, words),
    st.builds(Thinking, words, words, st.just(""), st.sampled_from(["anthropic", "gemini"])),
    st.builds(Thinking, st.just(""), st.just(""), words, st.just("anthropic")),
    st.builds(ToolCall, words, words, st.just('{"a": [1, 2]}'), st.sampled_from(["", "sig"]), st.just("gemini")),
    st.builds(Image, st.just("image/png"), st.just("AAAA")),
)
answers = st.builds(
    Answer,
    id=words,
    model=words,
    choices=st.builds(
        Choice, st.lists(parts, max_size=6).map(tuple), st.sampled_from([Finish.STOP, Finish.TOOL_CALLS, Finish.PAUSE])
    ).map(lambda choice: (choice,)),
    usage=st.none()
    | st.builds(Usage, st.integers(0, 9), st.just(0), st.integers(0, 9), counted=st.just(Counted.REPORTED)),
    created=st.integers(1, 2_000_000_000),
)


@given(answers, st.integers(1, 9))
def test_a_stream_ends_with_the_whole_answer(answer: Answer, piece: int) -> None:
    told = events(write(chunks_of(answer, piece=piece), context()))
    assert told[-1]["response"] == json.loads(write_answer(answer, context()))


@given(answers.filter(lambda answer: answer.choices[0].finish is not Finish.PAUSE))
def test_our_own_stream_means_what_was_told(answer: Answer) -> None:
    heard = fold(listen([write(chunks_of(answer), context())]))

    def said(value: Answer) -> list[tuple[str, str]]:
        return [
            (type(part).__name__, part.text if isinstance(part, Text | Thinking) else part.id + part.arguments)
            for part in value.choices[0].parts
            if isinstance(part, ToolCall | Text) or (isinstance(part, Thinking) and part.text)
        ]

    assert sorted(said(heard)) == sorted(said(answer))
    assert heard.usage == answer.usage and heard.model == answer.model
