"""The size in pixels of a picture, from the first bytes of its file: PNG, JPEG, GIF and WebP.

Formats: PNG (W3C, IHDR), JPEG (ITU-T T.81, frame headers), GIF89a (logical screen), WebP (RFC 9649: VP8, VP8L, VP8X).
"""

from __future__ import annotations

import struct

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG and DAC
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_NO_SIZE = (0, 0)


def picture_size(head: bytes) -> tuple[int, int]:
    """(width, height) in pixels by the start of a file; (0, 0) when it is not told there. Never raises."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return _pair(">II", head, 16)
        if head.startswith((b"GIF87a", b"GIF89a")):
            return _pair("<HH", head, 6)
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return _webp(head)
    except (struct.error, IndexError):
        pass  # cut off before the size
    return _NO_SIZE


def _pair(shape: str, head: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(shape, head, offset)
    return first, second


def _jpeg(head: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header; what comes before it may be long (thumbnails, colour profiles)."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE_MARKERS:
            at += 2
        elif marker in _FRAME_HEADERS:
            height, width = _pair(">HH", head, at + 5)
            return width, height
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return _NO_SIZE


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        if len(head) < 30:
            return _NO_SIZE
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _pair("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return _NO_SIZE
