"""Server-sent events, sans I/O: pieces of a byte stream in, whole raw frames out.

Frames keep their bytes exactly as they came, terminator included, so that joining them gives the stream back. Line ends
may be LF, CRLF or CR (WHATWG HTML, section 9.2.6); U+2028 and NEL inside data are ordinary characters.
"""

from __future__ import annotations

import re

_FRAME_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n|\n\r(?=[^\n])")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_END = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # before the first frame, if at all


class FrameTooLong(ValueError):
    """A frame grew beyond the splitter's bound."""


class FrameSplitter:
    """Cuts an SSE byte stream into frames. Holds at most `max_frame_bytes` of an unfinished frame.

    However small the pieces of a long frame, the time it takes grows with its length alone.
    """

    __slots__ = ("_max_frame_bytes", "_rest")

    def __init__(self, max_frame_bytes: int) -> None:
        self._rest = bytearray()
        self._max_frame_bytes = max_frame_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is held."""
        return not self._rest

    def take_rest(self) -> bytes:
        """What came after the last whole frame, once."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completes. Raises FrameTooLong."""
        rest, searched = self._rest, 0
        if not rest and b"\r" not in data and data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2:
            return [data]  # the usual case: one read, one frame
        if rest:
            searched = max(0, len(rest) - _LONGEST_END)
            rest += data
            if _FRAME_END.search(rest, searched) is None:
                self._check_length()
                return []
            data = bytes(rest)
        frames: list[bytes] = []
        start = 0
        while found := _FRAME_END.search(data, max(start, searched)):
            frames.append(data[start : found.end()])
            start = found.end()
        rest[:] = data[start:]
        self._check_length()
        return frames

    def _check_length(self) -> None:
        if len(self._rest) > self._max_frame_bytes:
            raise FrameTooLong(f"an event is longer than {self._max_frame_bytes} bytes")


def payload(frame: bytes) -> bytes | None:
    """The data of a frame (several `data:` lines joined by LF), or None if it carries none, as a comment does."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2 and b"\r" not in frame:
        return frame[6:-2]
    if frame.startswith(b"data: ") and frame.find(b"\r") == len(frame) - 4 and frame.find(b"\n") == len(frame) - 3:
        return frame[6:-4]  # the same with CRLF, as Google writes it
    if frame.startswith(b"event: "):
        start = frame.find(b"\n") + 1  # a name and one line of data, as OpenAI and Anthropic write most of theirs
        if frame.startswith(b"data: ", start) and frame.find(b"\n", start) == len(frame) - 2 and b"\r" not in frame:
            return frame[start + 6 : -2]
    bare = frame.removeprefix(_BYTE_ORDER_MARK)
    lines = [line for line in _LINE_END.split(bare) if line.startswith(b"data")]
    values = [
        value.removeprefix(b" ") for name, colon, value in (line.partition(b":") for line in lines) if name == b"data"
    ]
    return b"\n".join(values) if values else None


def is_text(frame: bytes) -> bool:
    """Whether a client can read the frame: an event stream is UTF-8, its comments too."""
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


def frame(data: bytes) -> bytes:
    """A frame that carries one line of data."""
    return b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """A frame that clients ignore."""
    return f": {text}\n\n".encode()
