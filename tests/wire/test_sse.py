"""Server-sent events: frames in any chunking, and nothing lost between them."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire import sse
from headgate.wire.sse import FrameSplitter, FrameTooLong
from tests.wire.chunking import cut, cuts

BOUND = 1_000_000
odd_streams = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"data: x", b"data", b": note", b"\xe2\x80\xa8"]
    )
    | st.binary(max_size=4),
    max_size=20,
).map(b"".join)


def split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """The frames, and what is left."""
    splitter = FrameSplitter(BOUND)
    return [frame for piece in pieces for frame in splitter.feed(piece)], splitter.take_rest()


def lines_of(data: bytes) -> list[bytes]:
    """Whole lines as the WHATWG HTML standard (9.2.6) ends them: CRLF, LF or CR."""
    return re.split(rb"\r\n|\n|\r", data)


@given(cuts(odd_streams))
def test_joined_frames_are_the_stream(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    frames, rest = split(pieces)
    assert b"".join(frames) + rest == data


@given(cuts(odd_streams))
def test_frames_do_not_depend_on_the_chunking(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    whole, one_byte_each = split([data]), split([data[place : place + 1] for place in range(len(data))])
    assert split(pieces) == whole == one_byte_each


@given(odd_streams)
def test_every_frame_ends_with_an_empty_line(data: bytes) -> None:
    for frame in split([data])[0]:
        assert re.search(rb"(\r\n|\n|\r)(\r\n|\n|\r)\Z", frame), frame


@given(odd_streams)
def test_no_frame_goes_on_after_an_empty_line_and_none_waits(data: bytes) -> None:
    frames, rest = split([data])
    for frame in frames:
        first_text = next((place for place, line in enumerate(lines_of(frame)) if line), None)
        if first_text is not None:
            assert all(line == b"" for line in lines_of(frame)[first_text:][lines_of(frame)[first_text:].index(b"") :])
    # What waits has no empty line after text yet; a last CR could still become a CRLF.
    texts = lines_of(rest.removesuffix(b"\r"))
    while texts and not texts[0]:
        texts.pop(0)
    assert b"" not in texts[:-1]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_every_way_to_end_a_frame(end: bytes) -> None:
    data = b"data: 1" + end + b"data: 2" + end
    for seed in range(20):
        frames, rest = split(cut(data, random.Random(seed), pieces=5))
        assert frames == [b"data: 1" + end, b"data: 2" + end] and rest == b""
        assert [sse.payload(frame) for frame in frames] == [b"1", b"2"]


def test_a_lone_cr_after_lf_is_an_empty_line_once_it_is_no_crlf() -> None:
    assert split([b"data: 1\n\r", b"data: 2\n\n"]) == ([b"data: 1\n\r", b"data: 2\n\n"], b"")
    assert split([b"data: 1\n\r", b"\ndata: 2\n\n"]) == ([b"data: 1\n\r\n", b"data: 2\n\n"], b"")


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_what_python_calls_a_line_end_is_an_ordinary_character(character: str) -> None:
    frame = f"data: a{character}b\n\n".encode()
    assert split([frame + frame]) == ([frame, frame], b"")
    assert sse.payload(frame) == f"a{character}b".encode()
    assert sse.payload(frame.replace(b"\n", b"\r\n")) == f"a{character}b".encode()


def test_a_frame_beyond_the_bound_is_refused_and_those_before_it_are_not_lost_to_memory() -> None:
    splitter = FrameSplitter(100)
    assert splitter.feed(b"data: " + b"x" * 90) == []
    with pytest.raises(FrameTooLong, match="100"):
        splitter.feed(b"x" * 10)


def test_a_long_frame_is_fine_when_it_is_whole() -> None:
    frame = b"data: " + b"x" * 500 + b"\n\n"
    assert FrameSplitter(100).feed(frame) == [frame]


@pytest.mark.parametrize(
    ("frame", "payload"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: \n\n", b""),
        (b"data:\n\n", b""),
        (b"data\n\n", b""),
        (b"event: ping\ndata: x\nid: 3\n\n", b"x"),
        (b"event: ping\ndata: x\n\n", b"x"),
        (b"event: ping\r\ndata: x\r\n\r\n", b"x"),
        (b"event: ping\ndata: x\ndata: y\n\n", b"x\ny"),
        (b"event: \ndata: \n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b"data: a:b: c\n\n", b"a:b: c"),
        (b"database: x\n\n", None),
        (b": OPENROUTER PROCESSING\n\n", None),
        (b"event: ping\n\n", None),
        (b"\n\n", None),
        (b"Data: x\n\n", None),
    ],
)
def test_payloads(frame: bytes, payload: bytes | None) -> None:
    assert sse.payload(frame) == payload


@given(st.binary().filter(lambda data: b"\n" not in data and b"\r" not in data))
def test_a_frame_reads_back(data: bytes) -> None:
    assert split([sse.frame(data)]) == ([sse.frame(data)], b"")
    assert sse.payload(sse.frame(data)) == sse.payload(b"event: x\n" + sse.frame(data)) == data


def test_a_comment_is_a_frame_without_a_payload() -> None:
    assert split([sse.comment("x-headgate-cost-usd=0.1")]) == ([b": x-headgate-cost-usd=0.1\n\n"], b"")
    assert sse.payload(sse.comment("data: x")) is None
