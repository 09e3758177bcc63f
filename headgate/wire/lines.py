"""Lines of a file that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

_MARK = b"\xef\xbb\xbf"  # some editors begin UTF-8 with it


class Line(msgspec.Struct, frozen=True):
    """A line that is not blank. `body` is None if it was longer than it may be."""

    number: int  # from 1, blank ones counted
    body: bytes | None


class LineReader:
    """Splits pieces into lines, and keeps no more than the line that is not complete."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._number = 0
        self._rest = b""
        self._is_long = False  # the rest of a line is skipped

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that are complete with this piece. Take them all before the next one."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            yield from self._line(part)
        self._rest += rest
        if len(self._rest) > self._most_bytes:
            self._rest, self._is_long = b"", True

    def end(self) -> Iterator[Line]:
        """The last line, if no newline ended it."""
        yield from self._line(b"")

    def _line(self, part: bytes) -> Iterator[Line]:
        body = self._rest + part
        self._rest = b""
        self._number += 1
        if self._number == 1:
            body = body.removeprefix(_MARK)
        if self._is_long or len(body) > self._most_bytes:
            self._is_long = False
            yield Line(self._number, None)
        elif body := body.strip():
            yield Line(self._number, body)
