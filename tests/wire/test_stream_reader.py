"""Streams: what is forwarded, what is known of them, and that a broken one never counts as complete."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import HeadgateError, StreamFailed, StreamIncomplete, StreamMalformed, UpstreamEmpty
from headgate.wire import openai_stream
from headgate.wire.openai_stream import MAX_FRAME_BYTES, StreamReader
from tests.wire.chunking import cuts
from tests.wire.chunks import ANSWER, DONE, choice, chunk, event, role, stop, text, usage


def read(*pieces: bytes, strip_usage: bool = False, cut: bool = False) -> tuple[StreamReader, bytes]:
    """The reader after a stream, and what it forwarded without the tail. A cut stream has no clean end."""
    reader = StreamReader(strip_usage=strip_usage)
    forwarded = b""
    for piece in pieces:
        if reader.failure is None:
            forwarded += reader.feed(piece)
    if not cut:
        reader.finish()
    return reader, forwarded


def failure(*pieces: bytes) -> HeadgateError | None:
    return read(*pieces)[0].failure


# --- a complete stream ---


def test_a_stream_passes_byte_for_byte_and_done_is_withheld() -> None:
    reader, forwarded = read(ANSWER + DONE)
    assert reader.failure is None
    assert (forwarded, reader.tail) == (ANSWER, DONE)


def test_a_missing_done_is_no_failure() -> None:
    reader, forwarded = read(ANSWER)
    assert (reader.failure, forwarded, reader.tail) == (None, ANSWER, b"")


@pytest.mark.parametrize("last", [stop(), DONE])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_missing_last_blank_line_loses_nothing(last: bytes, end: bytes) -> None:
    reader, forwarded = read(ANSWER + stop() + last.rstrip() + end)
    assert reader.failure is None
    assert forwarded + reader.tail == ANSWER + stop() + last


def test_an_end_that_is_told_twice_is_told_once() -> None:
    reader, _ = read(text("Hello").rstrip())
    reader.finish()
    assert reader.texts == ["Hello"] and reader.content_events == 1


def test_after_done_nothing_more_is_said() -> None:
    reader, forwarded = read(ANSWER + DONE + text("more") + DONE)
    assert (reader.failure, forwarded, reader.tail) == (None, ANSWER, DONE)


def test_comments_and_other_fields_pass() -> None:
    odd = b": OPENROUTER PROCESSING\n\nevent: ping\n\nid: 3\nretry: 100\n\n\n\n"
    reader, forwarded = read(odd + ANSWER + odd)
    assert (reader.failure, forwarded) == (None, odd + ANSWER + odd)


@given(cuts(st.permutations([role(), text("a"), text("\u2028\x85"), stop(), usage(), b": note\r\n\r\n"]).map(b"".join)))
def test_nothing_depends_on_the_chunking(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    for strip_usage in (False, True):
        whole, forwarded = read(data, strip_usage=strip_usage)
        reader, forwarded_in_pieces = read(*pieces, strip_usage=strip_usage)
        assert forwarded_in_pieces + reader.tail == forwarded + whole.tail
        assert (reader.texts, reader.usage, reader.content_events) == (whole.texts, whole.usage, whole.content_events)
        assert type(reader.failure) is type(whole.failure)


# --- the commit point ---


@pytest.mark.parametrize(
    "preamble",
    [
        role(),
        chunk(),
        chunk(prompt_filter_results=[{"prompt_index": 0}]),
        chunk(choice({})),
        chunk(choice({"role": "assistant", "content": None, "tool_calls": None})),
        chunk(choice({"role": "assistant", "tool_calls": []})),
        chunk(choice(None)),
        event({"choices": None, "usage": None}),
        usage(),
        b": waiting\n\n",
        b"event: ping\n\n",
        b"data: \n\n",
    ],
)
def test_preambles_do_not_commit(preamble: bytes) -> None:
    reader, forwarded = read(preamble, cut=True)
    assert not reader.committed and reader.failure is None
    assert forwarded == preamble


@pytest.mark.parametrize(
    "content",
    [
        text("H"),
        text(" "),
        chunk(choice({"reasoning_content": "Hm"})),
        chunk(choice({"reasoning": "Hm"})),
        chunk(choice({"refusal": "No"})),
        chunk(choice({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})),
        chunk(choice({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]})),
        chunk(choice({"audio": {"id": "a"}})),
        chunk(choice({"function_call": {"name": "f"}})),
        chunk({"index": 0, "text": "H", "finish_reason": None}),
        stop(),
        event({"object": "tomorrow.event", "value": 1}),
        event({"choices": "of another shape"}),
        event([1, 2]),
        event(5),
        b'data: {"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}\n\n',
    ],
)
def test_content_commits(content: bytes) -> None:
    reader, forwarded = read(content, cut=True)
    assert reader.committed and reader.failure is None
    assert forwarded == content


# --- what is known of it ---


def test_what_was_generated_is_kept_to_count_tokens_by() -> None:
    parts = [{"type": "text", "text": "d"}]
    call = [{"index": 0, "function": {"arguments": '{"x"'}}]
    reader, _ = read(
        role(), text("a"), chunk(choice({"reasoning_content": "b"})), chunk({"index": 0, "text": "c"}),
        chunk(choice({"content": parts})), chunk(choice({"tool_calls": call})), stop(), DONE,
    )  # fmt: skip
    assert reader.texts[:3] == ["a", "b", "c"]
    assert json.loads(reader.texts[3]) == parts
    assert "arguments" in reader.texts[4]
    assert reader.failure is None


def test_kept_text_is_bounded() -> None:
    reader = StreamReader(strip_usage=False)
    for _ in range(10):
        reader.feed(text("x" * 1_000_000))
    assert sum(map(len, reader.texts)) <= 5_000_000


def test_the_last_usage_counts() -> None:
    running = chunk(choice({"content": "a"}), usage={"prompt_tokens": 7, "completion_tokens": 1})
    found = read(running + running + stop() + usage(7, 2) + DONE)[0].usage
    assert found is not None and found.output == 2


def test_a_usage_that_says_nothing_does_not_undo_one_that_does() -> None:
    found = read(ANSWER + usage(7, 3) + chunk(usage={}) + DONE)[0].usage
    assert found is not None and (found.input, found.output) == (7, 3)


def test_the_usage_chunk_is_taken_out_only_when_headgate_asked_for_it() -> None:
    stream = ANSWER + usage() + DONE
    assert read(stream)[1] == ANSWER + usage()
    reader, forwarded = read(stream, strip_usage=True)
    assert forwarded == ANSWER and reader.usage is not None and reader.failure is None


def test_usage_inside_a_content_chunk_stays() -> None:
    last = chunk(choice({}, "stop"), usage={"prompt_tokens": 7, "completion_tokens": 3})
    reader, forwarded = read(text("a") + last + DONE, strip_usage=True)
    assert forwarded == text("a") + last and reader.usage is not None


# --- completeness ---


def test_every_choice_needs_its_finish_reason() -> None:
    two = role(0) + role(1) + text("a", 0) + text("b", 1) + stop("stop", 1)
    assert isinstance(failure(two + DONE), StreamIncomplete)
    assert failure(two + stop("length", 0) + DONE) is None


def test_choices_of_several_in_one_chunk() -> None:
    both = chunk(choice({"content": "a"}, None, 0), choice({"content": "b"}, "stop", 1))
    assert isinstance(failure(both), StreamIncomplete)
    assert failure(both + stop(index=0)) is None


def test_usage_after_the_finish_reason_does_not_open_the_choice_again() -> None:
    assert failure(ANSWER + chunk(choice({"content": ""}), usage={"prompt_tokens": 1}) + DONE) is None


@pytest.mark.parametrize("stream", [b"", DONE, b": only a comment\n\n", usage() + DONE, chunk(), b"\n\n\n"])
def test_a_stream_of_nothing_is_empty(stream: bytes) -> None:
    assert isinstance(failure(stream), UpstreamEmpty)


@pytest.mark.parametrize("stream", [role(), role() + text("a"), text("a") + DONE, role() + usage() + DONE])
def test_no_finish_reason_is_incomplete_even_with_done(stream: bytes) -> None:
    assert isinstance(failure(stream), StreamIncomplete)


@given(st.integers(0, len(ANSWER) - 1))
def test_a_stream_that_ends_before_its_finish_reason_is_never_complete(length: int) -> None:
    reader, forwarded = read(ANSWER[:length])
    assert (reader.failure is None) == (length >= len(ANSWER.rstrip()))
    assert ANSWER.startswith(forwarded)


# --- failures ---


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_a_finish_reason_of_failure_fails_whatever_follows(reason: str) -> None:
    reader, forwarded = read(text("a") + stop(reason) + stop() + usage() + DONE)
    assert isinstance(reader.failure, StreamFailed) and reason in reader.failure.message
    assert forwarded == text("a")


@pytest.mark.parametrize(
    "event_",
    [
        event({"error": {"message": "Token limit reached", "code": 400}}),
        event({"error": "Token limit reached"}),
        chunk(choice({"content": ""}), error={"message": "Token limit reached"}),
        b'event: error\ndata: {"error": {"message": "Token limit reached"}}\n\n',
    ],
)
def test_an_error_in_the_stream_fails_whatever_follows(event_: bytes) -> None:
    reader, forwarded = read(ANSWER + event_ + ANSWER + DONE)
    assert isinstance(reader.failure, StreamFailed) and "Token limit reached" in reader.failure.message
    assert forwarded == ANSWER


def test_an_error_says_what_it_used() -> None:
    failed = chunk(error={"message": "no"}, usage={"prompt_tokens": 43, "completion_tokens": 10})
    found = read(text("a") + failed)[0].usage
    assert found is not None and (found.input, found.output) == (43, 10)


def test_an_error_of_null_is_none() -> None:
    assert failure(chunk(choice({"content": "a"}, "stop"), error=None)) is None


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {\n\n",
        b'data: {"choices": [}\n\n',
        b"data: hello\n\n",
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b'data: "\xff"\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]} trailing\n\n',
        b"data: [DONE\n\n",
    ],
    ids=lambda bad: bad[:30].decode(errors="replace"),
)
def test_what_is_not_json_is_malformed_and_what_came_before_it_passes(bad: bytes) -> None:
    reader, forwarded = read(ANSWER + bad + DONE)
    assert isinstance(reader.failure, StreamMalformed)
    assert forwarded == ANSWER


def test_an_endless_event_is_malformed() -> None:
    reader = StreamReader(strip_usage=False)
    reader.feed(b"data: " + b"x" * MAX_FRAME_BYTES)
    assert isinstance(reader.failure, StreamMalformed)


events = st.sampled_from([role(), text("a"), stop(), stop("abort"), usage(), DONE, chunk(), event({"error": "x"})])
garbage = st.binary(max_size=30) | st.binary(max_size=20).map(lambda data: b"data: " + data + b"\n\n")


@given(st.lists(events | garbage, max_size=8), st.booleans())
def test_a_reader_never_raises_and_forwards_only_what_came(pieces: list[bytes], strip_usage: bool) -> None:
    reader, forwarded = read(*pieces, strip_usage=strip_usage)
    position = 0
    data = b"".join(pieces)
    for frame in forwarded.replace(b"\n\n", b"\n\n\x00").split(b"\x00") if b"\x00" not in data else []:
        position = data.find(frame, position)
        assert position >= 0, "in order, and nothing invented"
        position += len(frame)
    if reader.failure is None:
        assert b"finish_reason" in data


def test_the_error_event_is_what_an_sdk_raises_as_an_error() -> None:
    last = openai_stream.error_event(StreamIncomplete("It was cut."), "req_1")
    reader, _ = read(ANSWER + last)
    assert isinstance(reader.failure, StreamFailed) and "It was cut." in reader.failure.message
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["request_id"], error["type"]) == ("stream_incomplete", "req_1", "upstream_error")
