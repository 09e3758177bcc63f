"""The framing of `application/vnd.amazon.eventstream`, sans I/O: pieces of a byte stream in, whole messages out.

A message is, in network byte order: its length and its headers' length (4 bytes each), the CRC-32 of these eight bytes,
the headers, the payload, and the CRC-32 of all before it. What the events say is not this module's business.
Source: "Event stream encoding" in the reference of Amazon Transcribe, which Bedrock shares.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from headgate.types import Frozen

# AWS bounds a payload by 24 MiB and the headers by 128 KiB; the rest of a message has 16 bytes.
MAX_FRAME_BYTES = 24 * 1024 * 1024 + 128 * 1024 + 16

_PRELUDE = struct.Struct("!III")
_CHECKSUM = struct.Struct("!I")
_LENGTH = struct.Struct("!H")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size
_TRUE, _FALSE, _BYTES, _STRING = 0, 1, 6, 7
_FIXED_BYTES = {_TRUE: 0, _FALSE: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # by header type: integers, time, UUID


class BrokenFraming(ValueError):
    """The bytes are no event stream, or have been damaged on their way."""


class FrameTooLong(ValueError):
    """A message is longer than the splitter's bound."""


class Message(Frozen, frozen=True):
    """One message taken apart. Headers that are no strings say nothing in Bedrock's events, and are left out."""

    headers: dict[str, str]
    payload: bytes


class EventStreamSplitter:
    """Cuts an event stream into messages, checksums included, and vouches for them.

    Holds at most `max_frame_bytes` of an unfinished message: a longer one is refused when its length is read.
    """

    __slots__ = ("_max_frame_bytes", "_rest")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._rest = bytearray()
        self._max_frame_bytes = max_frame_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no part of a message is held."""
        return not self._rest

    def take_rest(self) -> bytes:
        """Nothing. Raises BrokenFraming if something came after the last whole message."""
        if self._rest:
            raise BrokenFraming("it ends in the middle of a message")
        return b""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises BrokenFraming or FrameTooLong.

        What is good before a break is returned first; the break is told when it is looked at again.
        """
        self._rest += data
        frames: list[bytes] = []
        start = 0
        try:
            while (frame := self._message_at(start)) is not None:
                frames.append(frame)
                start += len(frame)
        except ValueError:
            if not frames:
                raise
        del self._rest[:start]
        return frames

    def _message_at(self, start: int) -> bytes | None:
        """The message that begins there, None while it is not whole."""
        buffer = self._rest
        if len(buffer) - start < _PRELUDE.size:
            return None
        total, headers, checksum = _PRELUDE.unpack_from(buffer, start)
        if zlib.crc32(buffer[start : start + 8]) != checksum:
            raise BrokenFraming("the checksum of a message's first bytes is wrong: this is no AWS event stream")
        if total < _OVERHEAD + headers:
            raise BrokenFraming(f"a message of {total} bytes cannot have {headers} bytes of headers")
        if total > self._max_frame_bytes:
            raise FrameTooLong(f"a message is longer than {self._max_frame_bytes} bytes")
        if len(buffer) - start < total:
            return None
        frame = bytes(buffer[start : start + total])
        (checksum,) = _CHECKSUM.unpack_from(frame, total - _CHECKSUM.size)
        if zlib.crc32(memoryview(frame)[: -_CHECKSUM.size]) != checksum:
            raise BrokenFraming("the checksum of a message is wrong")
        return frame


def read_message(frame: bytes) -> Message:
    """Take a whole message apart. Raises BrokenFraming."""
    if len(frame) < _OVERHEAD:
        raise BrokenFraming("a message is cut off")
    total, headers_bytes, _ = _PRELUDE.unpack_from(frame)
    headers_end = _PRELUDE.size + headers_bytes
    if total != len(frame) or headers_end + _CHECKSUM.size > total:
        raise BrokenFraming("a message is cut off")
    try:
        headers = dict(_string_headers(frame, headers_end))
    except (struct.error, IndexError, KeyError, UnicodeDecodeError):
        raise BrokenFraming("the headers of a message cannot be read") from None
    return Message(headers, frame[headers_end : -_CHECKSUM.size])


def _string_headers(frame: bytes, end: int) -> Iterator[tuple[str, str]]:
    """Each header is a name with its length in one byte, a type, and a value with or without a length."""
    place = _PRELUDE.size
    while place < end:
        name_end = place + 1 + frame[place]
        name, kind = frame[place + 1 : name_end], frame[name_end]
        place = name_end + 1
        if kind in (_STRING, _BYTES):
            (size,) = _LENGTH.unpack_from(frame, place)
            place += _LENGTH.size
        else:
            size = _FIXED_BYTES[kind]
        if kind == _STRING:
            yield name.decode(), frame[place : place + size].decode()
        place += size
    if place != end:
        raise IndexError(place)
