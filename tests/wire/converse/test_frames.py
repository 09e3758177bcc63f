"""AWS's event stream in any chunking: what comes whole is taken apart, what is damaged is refused."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.converse.frames import (
    MAX_FRAME_BYTES,
    BrokenFraming,
    EventStreamSplitter,
    FrameTooLong,
    read_message,
)
from tests.wire.chunking import cuts
from tests.wire.converse import events

texts = st.dictionaries(st.text(min_size=2, max_size=20), st.text(max_size=40), max_size=3)
string_headers = texts.map(lambda named: b"".join(events.string_header(*header) for header in named.items()))
# Every type of header there is, with a value of its width.
OTHER_HEADERS = [
    b"\x01a\x00", b"\x01b\x01", b"\x01c\x02\x07", b"\x01d\x03\x00\x07", b"\x01e\x04\x00\x00\x00\x07",
    b"\x01f\x05" + bytes(8), b"\x01g\x06\x00\x02ab", b"\x01h\x08" + bytes(8), b"\x01i\x09" + bytes(16),
]  # fmt: skip
other_headers = st.lists(st.sampled_from(OTHER_HEADERS), unique=True, max_size=4).map(b"".join)
messages = st.builds(
    events.message,
    st.tuples(string_headers, other_headers).map(b"".join),
    st.binary(max_size=200),
)
streams = st.lists(messages, max_size=6).map(b"".join)


def split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventStreamSplitter()
    return [frame for piece in pieces for frame in splitter.feed(piece)], splitter.take_rest()


@given(cuts(streams))
def test_messages_do_not_depend_on_the_chunking_and_join_to_the_stream(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    frames, rest = split(pieces)
    assert b"".join(frames) == data and rest == b""
    assert frames == split([data])[0] == split([data[place : place + 1] for place in range(len(data))])[0]


@given(streams)
def test_the_vendors_own_library_reads_the_same(data: bytes) -> None:
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    for frame, expected in zip(split([data])[0], theirs, strict=True):
        ours = read_message(frame)
        assert ours.payload == expected.payload
        strings = {name: value for name, value in expected.headers.items() if isinstance(value, str)}
        assert ours.headers == strings


@given(messages, st.data())
def test_no_damaged_byte_goes_unnoticed(frame: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(frame) - 1))
    damaged = bytearray(frame)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):
        EventStreamSplitter().feed(bytes(damaged))


@given(streams, messages, st.data())
def test_a_cut_message_is_never_read(before: bytes, last: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(last) - 1))
    splitter = EventStreamSplitter()
    assert b"".join(splitter.feed(before + last[:place])) == before
    with pytest.raises(BrokenFraming, match="middle") if place else contextlib.nullcontext():
        splitter.take_rest()
    with pytest.raises(BrokenFraming):
        read_message(last[:place])


def test_what_was_good_before_a_break_is_not_lost() -> None:
    good = events.event("messageStart", {"role": "assistant"})
    broken = good[:-1] + bytes([good[-1] ^ 1])
    splitter = EventStreamSplitter()
    assert splitter.feed(good + broken) == [good]
    with pytest.raises(BrokenFraming, match="checksum"):
        splitter.feed(b"")


@pytest.mark.parametrize(
    "body", [b"<html><body>502 Bad Gateway</body></html>", b'{"message":"no"}', b"data: {}\n\n" * 2]
)
def test_what_is_no_event_stream_is_refused_at_once(body: bytes) -> None:
    with pytest.raises(BrokenFraming, match="no AWS event stream"):
        EventStreamSplitter().feed(body)


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack("!II", total, headers)
    return lengths + struct.pack("!I", zlib.crc32(lengths))


def test_a_message_that_is_too_long_is_refused_before_it_comes() -> None:
    splitter = EventStreamSplitter(max_frame_bytes=100)
    whole = events.message(b"", bytes(84))
    assert splitter.feed(whole) == [whole]
    with pytest.raises(FrameTooLong, match="100 bytes"):
        splitter.feed(prelude(101, 0))
    with pytest.raises(FrameTooLong):
        EventStreamSplitter().feed(prelude(MAX_FRAME_BYTES + 1, 0))


@pytest.mark.parametrize(("total", "headers"), [(0, 0), (15, 0), (16, 1), (40, 25), (40, 2**32 - 1)])
def test_lengths_that_cannot_be_are_refused(total: int, headers: int) -> None:
    with pytest.raises(BrokenFraming):
        EventStreamSplitter().feed(prelude(total, headers) + bytes(30))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05a", b"\x01", b"\x01a", b"\x01a\x07", b"\x01a\x07\x00", b"\x01a\x07\x00\x05abc", b"\x01a\x0a",
        b"\x01a\x05\x00", b"\x01a\x07\x00\x01\xff",
    ],
)  # fmt: skip
def test_headers_that_cannot_be_read_are_refused(headers: bytes) -> None:
    [frame], _ = split([events.message(headers, b"{}")])
    with pytest.raises(BrokenFraming, match="headers"):
        read_message(frame)


def test_a_large_message_in_small_pieces_is_put_together() -> None:
    whole = events.event("contentBlockDelta", b"x" * 1_000_000)
    frames, rest = split([whole[place : place + 1000] for place in range(0, len(whole), 1000)])
    assert frames == [whole] and rest == b""
