"""Lines of files that come in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.lines import Line, LineReader


def lines(pieces: list[bytes], most_bytes: int = 1000) -> list[Line]:
    reader = LineReader(most_bytes)
    found = [line for piece in pieces for line in reader.feed(piece)]
    return found + list(reader.end())


def test_blank_lines_are_counted_and_left_out() -> None:
    assert lines([b"\xef\xbb\xbfone\r\n\n", b"  \nfo", b"ur \n"]) == [Line(1, b"one"), Line(4, b"four")]
    assert lines([]) == lines([b"\n\n"]) == lines([b"\xef\xbb\xbf"]) == []
    assert lines([b"no newline"]) == [Line(1, b"no newline")]


def test_a_line_that_is_too_long_is_only_named() -> None:
    assert lines([b"a\n" + b"x" * 11, b"x" * 200, b"x\nb"], 10) == [Line(1, b"a"), Line(2, None), Line(3, b"b")]
    assert lines([b"x" * 11 + b"\nb"], 10) == [Line(1, None), Line(2, b"b")]
    assert lines([b"x" * 11], 10) == [Line(1, None)]


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\xef", b"\n")), st.integers(1, 7))
def test_it_does_not_matter_where_pieces_end(data: bytes, size: int) -> None:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    found = lines(pieces, 5)
    assert found == lines([data], 5)
    assert [line.number for line in found] == [
        number for number, line in enumerate(data.split(b"\n"), 1) if line.strip() or len(line) > 5
    ]
