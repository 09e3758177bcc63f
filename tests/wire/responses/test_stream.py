"""Streams of providers: every legal way to tell an answer, and the illegal ones."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import StreamFailed
from headgate.wire.chunks import (
    Cited,
    Ended,
    Finished,
    LogprobsDelta,
    Metered,
    PartDone,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallStarted,
)
from headgate.wire.folding import fold
from headgate.wire.neutral import Choice, Citation, Finish, Opaque, Refusal, Text, Thinking, ToolCall
from headgate.wire.responses.answer import read_answer
from headgate.wire.responses.stream import StreamListener
from tests.wire.responses.talk import Json, frames, listen

RESPONSE = {"id": "resp_1", "model": "gpt", "created_at": 5.0, "status": "in_progress", "output": []}


def event(kind: str, **members: Any) -> Json:
    return {"type": f"response.{kind}", **members}


def ended(*output: Json, **members: Any) -> Json:
    return event("completed", response={**RESPONSE, "status": "completed", "output": output, **members})


def text(delta: str, *, item: int = 0, part: int = 0, **members: Any) -> Json:
    return event("output_text.delta", delta=delta, output_index=item, content_index=part, **members)


def thought(delta: str, *, item: int = 0, part: int = 0) -> Json:
    return event("reasoning_summary_text.delta", delta=delta, output_index=item, summary_index=part)


def added(item: Json, index: int = 0) -> Json:
    return event("output_item.added", item=item, output_index=index)


def done(item: Json, index: int = 0) -> Json:
    return event("output_item.done", item=item, output_index=index)


def message(*texts: str) -> Json:
    return {"type": "message", "content": [{"type": "output_text", "text": said} for said in texts]}


def reasoning(*texts: str, **members: Any) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"text": said} for said in texts], **members}


def call(name: str = "now", arguments: str = "", call_id: str = "call_1") -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments}


def arguments(delta: str, item: int = 0) -> Json:
    return event("function_call_arguments.delta", delta=delta, output_index=item)


def told(*said: Json) -> list[Any]:
    return listen([frames(*said)])


def choice(*said: Json) -> Choice:
    return fold(told(event("created", response=RESPONSE), *said, ended())).choices[0]


def test_a_stream_from_beginning_to_end() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    assert told(
        event("created", response=RESPONSE),
        event("in_progress", response=RESPONSE),
        added({"type": "message", "content": []}),
        event("content_part.added", part={"type": "output_text", "text": ""}, output_index=0, content_index=0),
        text("Hel", logprobs=[], obfuscation="x"),
        text("lo"),
        event("output_text.done", text="Hello", output_index=0, content_index=0),
        done(message("Hello")),
        ended(message("Hello"), usage=usage),
    ) == [
        Started("resp_1", "gpt", 5),
        TextDelta("Hel"),
        TextDelta("lo"),
        Metered(read_answer(json.dumps({"output": [], "usage": usage}).encode()).usage),
        Finished(Finish.STOP),
        Ended(),
    ]


def test_parts_and_messages_after_another_are_told_apart() -> None:
    parts = choice(text("a"), text("b", part=1), text("c", part=1), text("d", item=1)).parts
    assert parts == (Text("a"), Text("bc"), Text("d"))


def test_refusals() -> None:
    refusal = event("refusal.delta", delta="I can", output_index=0, content_index=0)
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I can't"}]}
    assert choice(refusal, done(item)).parts == (Refusal("I can't"),)


def test_the_parts_of_a_thought_are_one_and_two_items_are_two() -> None:
    assert choice(thought("a"), thought("b"), thought("c", part=1), thought("d", item=1), text("e", item=2)).parts == (
        Thinking("ab\n\nc"),
        Thinking("d"),
        Text("e"),
    )


def test_a_signed_thought() -> None:
    chunks = told(thought("hm"), done(reasoning("hm", encrypted_content="gAAA")), text("x", item=1), ended())
    assert chunks[:3] == [ThinkingDelta("hm"), ThinkingSigned("gAAA", "", "openai", "rs_1"), TextDelta("x")]


def test_a_thought_that_cannot_be_read() -> None:
    assert choice(done(reasoning(encrypted_content="gAAA")), text("x", item=1)).parts == (
        Thinking("", "", "gAAA", "openai", "rs_1"),
        Text("x"),
    )


def test_a_thought_that_only_the_provider_has_kept_says_nothing() -> None:
    assert told(done(reasoning()))[:1] == []


def test_the_thoughts_themselves() -> None:
    delta = event("reasoning_text.delta", delta="raw", output_index=0, content_index=0)
    item = reasoning(content=[{"type": "reasoning_text", "text": "raw"}])
    assert choice(delta, done(item)).parts == (Thinking("raw", "reasoning_text", "", "openai"),)


def test_a_thought_that_ends_after_the_text_has_begun_is_no_new_thought() -> None:
    """OpenRouter ends it last."""
    delta = event("reasoning_text.delta", delta="raw", output_index=0, content_index=0)
    item = reasoning(content=[{"type": "reasoning_text", "text": "raw"}])
    assert choice(delta, text("x", item=1), done(item), done(message("x"), 1)).parts == (Thinking("raw"), Text("x"))


def test_calls_with_interleaved_arguments() -> None:
    chunks = told(
        added(call("a", call_id="1"), 0),
        added(call("b", call_id="2"), 1),
        arguments('{"x"', 0),
        arguments("{", 1),
        arguments(":1}", 0),
        arguments("}", 1),
        done(call("a", '{"x":1}', "1"), 0),
        done(call("b", "{}", "2"), 1),
        ended(),
    )
    assert chunks[:2] == [ToolCallStarted(0, "1", "a"), ToolCallStarted(1, "2", "b")]
    folded = fold(chunks).choices[0]
    assert folded == Choice((ToolCall("1", "a", '{"x":1}'), ToolCall("2", "b", "{}")), Finish.TOOL_CALLS)


def test_citations_are_told_once() -> None:
    cited = {"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 1}
    more = {**cited, "url": "https://b.test"}
    item = {"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": [cited, more]}]}
    note = event("output_text.annotation.added", annotation=cited, output_index=0, content_index=0, annotation_index=0)
    assert [chunk for chunk in told(text("x"), note, done(item), ended()) if isinstance(chunk, Cited)] == [
        Cited(Citation("https://a.test", "A", "", 0, 1)),
        Cited(Citation("https://b.test", "A", "", 0, 1)),
    ]


def test_log_probabilities() -> None:
    token = {"token": "x", "logprob": -0.5, "top_logprobs": []}
    (chunk,) = [chunk for chunk in told(text("x", logprobs=[token])) if isinstance(chunk, LogprobsDelta)]
    assert json.loads(bytes(chunk.logprobs)) == {"content": [token]}


@pytest.mark.parametrize("kind", ["web_search_call", "custom_tool_call", "image_generation_call", "of_tomorrow"])
def test_items_of_this_api_alone_come_whole(kind: str) -> None:
    item = {"type": kind, "id": "x_1"}
    assert told(added(item), done(item))[0] == PartDone(Opaque("responses", kind, json.dumps(item).encode()))


# --- what the deltas did not say ---


def test_what_only_the_item_says() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    assert choice(text("Hel"), done(item)).parts == (Text("Hello"),)
    assert choice(done(item)).parts == (Text("Hello"),)
    assert choice(done(reasoning("a", "b"))).parts == (Thinking("a\n\nb"),)
    assert choice(done(call(arguments="{}"))).parts == (ToolCall("call_1", "now", "{}"),)
    assert choice(added(call()), arguments("{"), done(call(arguments="{}"))).parts == (ToolCall("call_1", "now", "{}"),)
    assert choice(added({"type": "function_call"}), arguments("{}"), done(call(arguments="{}"))).parts == (
        ToolCall("call_1", "now", "{}"),
    )


def test_what_was_told_cannot_be_taken_back() -> None:
    assert choice(text("Hello."), done(message("Hello, world"))).parts == (Text("Hello."),)


def test_what_only_the_end_says() -> None:
    folded = fold(told(ended(reasoning("hm"), message("Hello"), call(arguments="{}"))))
    assert (folded.id, folded.model) == ("resp_1", "gpt")
    assert folded.choices[0] == Choice(
        (Thinking("hm"), Text("Hello"), ToolCall("call_1", "now", "{}")), Finish.TOOL_CALLS
    )


# --- ends ---


def finish_of(kind: str, **members: Any) -> Finish:
    chunks = told(text("x"), event(kind, response={**RESPONSE, **members}))
    return next(chunk.finish for chunk in chunks if isinstance(chunk, Finished))


def test_why_it_stopped() -> None:
    assert finish_of("completed", status="completed") is Finish.STOP
    assert finish_of("completed") is Finish.STOP, "the event counts, whatever the status has been left at"
    for reason, finish in (("max_output_tokens", Finish.LENGTH), ("content_filter", Finish.CONTENT_FILTER)):
        details = {"incomplete_details": {"reason": reason}}
        assert finish_of("incomplete", status="incomplete", **details) is finish
        assert finish_of("incomplete", **details) is finish


@pytest.mark.parametrize(
    "failure",
    [
        event("failed", response={**RESPONSE, "status": "failed", "error": {"code": "x", "message": "it broke"}}),
        event("completed", response={**RESPONSE, "status": "failed", "error": {"code": "x", "message": "it broke"}}),
        {"type": "error", "code": "x", "message": "it broke", "param": None, "sequence_number": 3},
        {"type": "error", "error": {"type": "server_error", "code": "x", "message": "it broke"}},
        {"type": "", "error": {"message": "it broke"}},
    ],
)
def test_errors_inside_the_stream(failure: Json) -> None:
    with pytest.raises(StreamFailed, match="it broke"):
        told(text("x"), failure)


def test_a_stream_is_complete_when_it_says_so() -> None:
    listener = StreamListener()
    listener.read(frames(text("x")))
    assert listener.missing() == "its response.completed"
    listener.read(frames(ended()))
    assert listener.missing() == ""
    assert listener.read(frames(ended())) == () and listener.read(b"data: [DONE]\n\n") == ()


# --- strange frames ---


@pytest.mark.parametrize(
    "frame",
    [
        b": ping\n\n",
        b"data:\n\n",
        b"data: [DONE]\n\n",
        b"event: x\n\n",
        b'data: {"type":"response.of.tomorrow","delta":{"a":1},"item":5}\n\n',
        b'data: {"type":"keepalive","sequence_number":4}\n\n',
        b'data: {"type":"response.custom_tool_call_input.delta","delta":"x","output_index":0}\n\n',
    ],
)
def test_what_means_nothing(frame: bytes) -> None:
    assert list(StreamListener().read(frame)) == []


@pytest.mark.parametrize(
    "frame",
    [
        b"data: {\n\n",
        b"data: <html>\n\n",
        b"data: [1]\n\n",
        b'data: {"type":"response.output_text.delta","delta":5}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"type":"response.completed","response":5}\n\n',
        b'data: {"type":"response.output_item.done","output_index":0}\n\n',
    ],
)
def test_what_is_not_the_dialect(frame: bytes) -> None:
    with pytest.raises(ValueError):
        StreamListener().read(frame)


def test_a_character_cut_in_two_is_put_together() -> None:
    stream = b"".join(
        b'data: {"type":"response.output_text.delta","delta":"%s","output_index":0}\n\n' % half
        for half in (b"a\\ud83d", b"\\ude00b", b"c")
    )
    folded = fold(listen([stream + frames(done(message("a\U0001f600bc")), ended())]))
    assert folded.choices[0].parts == (Text("a\U0001f600bc"),)


WHOLE = (
    event("created", response=RESPONSE),
    thought("größer"),
    done(reasoning("größer", encrypted_content="gAAA")),
    added(call(), 1),
    arguments('{"x":"\u2028"}', 1),
    done(call(arguments='{"x":"\u2028"}'), 1),
    text("😀", item=2),
    done(message("😀"), 2),
    ended(usage={"input_tokens": 1, "output_tokens": 1}),
)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_cut_at_any_byte_it_means_the_same(newline: str) -> None:
    stream = frames(*WHOLE, newline=newline)
    whole = listen([stream])
    assert len(whole) == 9
    for place in range(1, len(stream)):
        assert listen([stream[:place], stream[place:]]) == whole


@given(st.data())
def test_any_event_may_hold_anything(data: st.DataObject) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
    kind = data.draw(st.sampled_from([said["type"] for said in WHOLE]))
    members = data.draw(st.dictionaries(st.sampled_from(["delta", "item", "response", "output_index"]), anything))
    listener = StreamListener()
    for said in WHOLE[:4]:
        listener.read(frames(said))
    with contextlib.suppress(ValueError, StreamFailed):
        listener.read(frames({**members, "type": kind}))
