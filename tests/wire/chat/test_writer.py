"""What a client's SDK makes of the streams that are written for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from headgate.types import Counted, Usage
from headgate.wire import sse
from headgate.wire.chat.dialect import CLIENT, PROVIDER
from headgate.wire.chunks import (
    Chunk,
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
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Citation, Finish, Image, Opaque, Text, Thinking
from tests.wire.chat.bodies import Json, context
from tests.wire.chunks import DONE

STARTED = Started("c1", "m1", 7)
STOPPED = Finished(Finish.STOP)
COUNTED = Metered(Usage(9, 4, 3, 2, Counted.REPORTED))


def write(*chunks: Chunk, to: ReplyContext | None = None) -> list[Json]:
    """The events of a complete stream that begins with STARTED."""
    writer = CLIENT.writer(to or context())
    stream = b"".join(writer.write([chunk]) for chunk in (STARTED, *chunks)) + writer.end()
    assert stream.endswith(DONE)
    payloads = [sse.payload(frame) for frame in sse.FrameSplitter(1_000_000).feed(stream)]
    return [json.loads(payload) for payload in payloads[:-1] if payload]


def deltas(*chunks: Chunk, **members: Any) -> list[Json]:
    """The deltas that are written for one choice."""
    return [event["choices"][0]["delta"] for event in write(*chunks, to=context(**members))]


def accumulated(events: list[Json]) -> ChatCompletion:
    """What OpenAI's SDK puts together."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for event in events:
        state.handle_chunk(ChatCompletionChunk.model_validate(event))
    return state.get_final_completion()


def test_a_stream() -> None:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m1"}
    quiet = {"index": 0, "logprobs": None}
    assert write(TextDelta("Hi"), TextDelta("!"), STOPPED, COUNTED, Ended()) == [
        {**head, "choices": [{**quiet, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]},
        {**head, "choices": [{**quiet, "delta": {"content": "!"}, "finish_reason": None}]},
        {**head, "choices": [{**quiet, "delta": {}, "finish_reason": "stop"}]},
    ]


def test_usage_comes_last_and_only_if_it_was_asked_for() -> None:
    events = write(TextDelta("Hi"), STOPPED, COUNTED, Ended(), to=context(wants_usage=True))
    assert [event["usage"] for event in events[:-1]] == [None, None]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_usage_that_nobody_counted_is_not_made_up() -> None:
    assert all(event["choices"] for event in write(TextDelta("Hi"), STOPPED, to=context(wants_usage=True)))


def test_the_end_of_a_stream_is_withheld() -> None:
    writer = CLIENT.writer(context(wants_usage=True))
    assert DONE not in writer.write([STARTED, TextDelta("Hi"), STOPPED, COUNTED, Ended()])
    assert writer.end().endswith(DONE)


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    assert CLIENT.writer(context()).write([STARTED, COUNTED]) == b""


def test_what_a_provider_does_not_say_is_filled_in() -> None:
    writer = CLIENT.writer(context())
    payload = sse.payload(writer.write([Started("", ""), TextDelta("Hi")]))
    assert payload is not None
    event = json.loads(payload)
    assert (event["id"], event["model"], event["created"]) == ("chatcmpl-req_1", "m", 5)


def test_calls() -> None:
    started = ToolCallStarted(0, "a", "f", "s", "gemini")
    assert deltas(started, ToolCallDelta(0, '{"x"'), ToolCallStarted(1, "b", "g"), Finished(Finish.TOOL_CALLS)) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "index": 0,
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                    "extra_content": {"google": {"thought_signature": "gemini:s"}},
                }
            ],
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {},
    ]


def test_callers_of_functions_get_a_function_call() -> None:
    chunks = (ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{}"), Finished(Finish.TOOL_CALLS))
    events = write(*chunks, to=context(functions=[{"name": "f"}]))
    assert [event["choices"][0]["delta"] for event in events] == [
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert events[-1]["choices"][0]["finish_reason"] == "function_call"


def test_thoughts_are_shown_and_can_be_sent_back() -> None:
    chunks = [
        ThinkingDelta("H"),
        ThinkingDelta("m."),
        ThinkingSigned("s", origin="anthropic"),
        ThinkingSigned(redacted="r", origin="anthropic"),
        ThinkingDelta("Oh."),
        ThinkingSigned("t", origin="anthropic"),
        TextDelta("Yes."),
        STOPPED,
    ]
    written = deltas(*chunks)
    assert "".join(delta.get("reasoning_content", "") for delta in written) == "Hm.\n\nOh."
    details = [detail for delta in written for detail in delta.get("reasoning_details", [])]
    message = {"role": "assistant", "content": "Yes.", "reasoning_details": details}
    sent_back = CLIENT.read_request({"messages": msgspec.Raw(msgspec.json.encode([message]))})
    assert sent_back.messages[0].parts == (
        Thinking("Hm.", "s", origin="anthropic"),
        Thinking(redacted="r", origin="anthropic"),
        Thinking("Oh.", "t", origin="anthropic"),
        Text("Yes."),
    )


def test_thoughts_without_a_proof_are_only_shown() -> None:
    assert deltas(ThinkingDelta("Hm."), TextDelta("Yes."), ThinkingDelta("Oh."), STOPPED) == [
        {"role": "assistant", "content": None, "reasoning_content": "Hm."},
        {"content": "Yes."},
        {"reasoning_content": "\n\nOh."},
        {},
    ]


def test_citations_count_from_the_beginning_of_all_text() -> None:
    written = deltas(
        TextDelta("Well. "),
        TextDelta("So it ", starts_part=True),
        TextDelta("is."),
        Cited(Citation("https://a", "A", start=3, end=5)),
        Cited(Citation("https://b", "B", "quoted")),
        STOPPED,
    )
    assert [delta["annotations"][0]["url_citation"] for delta in written[3:5]] == [
        {"url": "https://a", "title": "A", "start_index": 9, "end_index": 11},
        {"url": "https://b", "title": "B", "start_index": 6, "end_index": 15, "content": "quoted"},
    ]


def test_whole_parts() -> None:
    written = deltas(
        PartDone(Image(media_type="image/png", data="QUJD")),
        PartDone(Image(url="https://a/b.png")),
        PartDone(Opaque("chat", "audio", b'{"id":"a1"}')),
        PartDone(Opaque("messages", "server_tool_use", b"{}")),
        STOPPED,
    )
    assert [delta.get("images") for delta in written[:2]] == [
        [{"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,QUJD"}}],
        [{"type": "image_url", "index": 1, "image_url": {"url": "https://a/b.png"}}],
    ]
    assert written[2:] == [{"audio": {"id": "a1"}}, {}]


def test_logprobs() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
    events = write(TextDelta("a"), LogprobsDelta(msgspec.Raw(json.dumps(logprobs).encode())), STOPPED)
    assert [event["choices"][0]["logprobs"] for event in events] == [None, logprobs, None]


@pytest.mark.parametrize(
    ("chunks", "word"),
    [
        ([Finished(Finish.STOP_SEQUENCE, stop_sequence="END")], "stop"),
        ([Finished(Finish.LENGTH)], "length"),
        ([Finished(Finish.CONTENT_FILTER)], "content_filter"),
        ([Finished(Finish.REFUSAL)], "content_filter"),
        ([RefusalDelta("No."), Finished(Finish.REFUSAL)], "stop"),
        ([Finished(Finish.PAUSE)], "stop"),
    ],
)
def test_finish_words(chunks: list[Chunk], word: str) -> None:
    assert write(TextDelta("a"), *chunks)[-1]["choices"][0]["finish_reason"] == word


# --- as SDKs put it together ---


def test_openais_sdk_puts_it_together() -> None:
    events = write(
        ThinkingDelta("Hm."),
        ThinkingSigned("s", origin="anthropic"),
        ThinkingSigned(redacted="r", origin="anthropic"),
        TextDelta("Let me "),
        TextDelta("look."),
        ToolCallStarted(0, "a", "f"),
        ToolCallDelta(0, '{"x"'),
        ToolCallStarted(1, "b", "g"),
        ToolCallDelta(0, ":1}"),
        ToolCallDelta(1, "{}"),
        Finished(Finish.TOOL_CALLS),
        TextDelta("Other", choice=1),
        Finished(Finish.LENGTH, choice=1),
        COUNTED,
        to=context(wants_usage=True),
    )
    # The SDK takes an answer that was cut for an error of its own: of the second choice only its text matters here.
    events = [event for event in events if not any(choice["finish_reason"] == "length" for choice in event["choices"])]
    completion = accumulated(events)
    first, second = completion.choices
    assert (first.message.role, first.message.content, first.finish_reason) == (
        "assistant",
        "Let me look.",
        "tool_calls",
    )
    calls = [(call.id, call.function.name, call.function.arguments) for call in first.message.tool_calls or ()]
    assert calls == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
    assert second.message.content == "Other"
    assert completion.usage is not None and completion.usage.total_tokens == 12
    extra = first.message.model_extra or {}
    assert extra["reasoning_content"] == "Hm."
    assert [detail["type"] for detail in extra["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]


def test_langchain_puts_it_together() -> None:
    chat = ChatOpenAI(model="m", api_key="k", base_url="http://127.0.0.1:9")
    events = write(
        TextDelta("Let me "), TextDelta("look."), ToolCallStarted(0, "a", "f"), ToolCallDelta(0, '{"x":1}'),
        Finished(Finish.TOOL_CALLS), COUNTED, to=context(wants_usage=True),
    )  # fmt: skip
    message: Any = None
    for event in events:
        generated = chat._convert_chunk_to_generation_chunk(event, AIMessageChunk, {})
        assert generated is not None
        message = generated.message if message is None else message + generated.message
    assert message.content == "Let me look."
    assert message.tool_calls == [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}]
    assert message.usage_metadata["total_tokens"] == 12


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
pieces = st.one_of(
    st.builds(TextDelta, words),
    st.builds(ThinkingDelta, words),
    st.builds(RefusalDelta, words),
    st.builds(PartDone, st.just(Image(url="https://a/b.png"))),
)


def joined(chunks: list[Chunk], kind: type[TextDelta | ThinkingDelta | RefusalDelta]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, kind))


@given(st.lists(pieces, max_size=8), st.booleans())
def test_what_is_written_is_heard_as_it_was_meant(said: list[Chunk], wants_usage: bool) -> None:
    writer, listener = CLIENT.writer(context(wants_usage=wants_usage)), PROVIDER.listener()
    chunks = [STARTED, *said, Finished(Finish.LENGTH), COUNTED]
    stream = writer.write(chunks) + writer.end()
    heard = [chunk for frame in PROVIDER.splitter().feed(stream) for chunk in listener.read(frame)]
    assert listener.missing() == ""
    assert joined(heard, TextDelta) == joined(chunks, TextDelta)
    assert joined(heard, RefusalDelta) == joined(chunks, RefusalDelta)
    assert "".join(joined(heard, ThinkingDelta).split()) == "".join(joined(chunks, ThinkingDelta).split())
    assert [chunk for chunk in heard if isinstance(chunk, PartDone)] == [
        chunk for chunk in said if isinstance(chunk, PartDone)
    ]
    assert (COUNTED in heard) is wants_usage
    assert Finished(Finish.LENGTH) in heard and heard[-1] == Ended()
