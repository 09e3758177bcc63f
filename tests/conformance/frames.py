"""Cuts recorded and received streams into what they carry: payloads of server-sent events, and AWS's binary frames."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator

from tests.conformance.meaning import Json

DONE = "[DONE]"
_BOUNDARY = re.compile(r"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(r"\r\n|\n|\r")
_STRING = 7  # the type of header values that AWS uses for events


def payloads(stream: str) -> list[str]:
    """The data of each event, in order; comments and events without data are none."""
    found = []
    for frame in _BOUNDARY.split(stream):
        data = [line[5:].removeprefix(" ") for line in _LINE.split(frame) if line.startswith("data:")]
        if any(data):
            found.append("\n".join(data))
    return found


def events(stream: str) -> Iterator[Json]:
    """The JSON of each event, up to [DONE]."""
    for payload in payloads(stream):
        if payload.strip() == DONE:
            return
        value = json.loads(payload)
        if isinstance(value, dict):
            yield value


def aws_frame(kind: str, payload: Json) -> bytes:
    """One event of application/vnd.amazon.eventstream: lengths, checksum, headers, payload, checksum."""
    names = ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in names
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


def aws_events(data: bytes) -> Iterator[tuple[str, Json]]:
    """(event type, payload) of each frame."""
    while data:
        length, headers_length = struct.unpack_from("!II", data)
        headers, place = data[12 : 12 + headers_length], 0
        named: dict[str, str] = {}
        while place < len(headers):
            name_end = place + 1 + headers[place]
            (size,) = struct.unpack_from("!H", headers, name_end + 1)
            named[headers[place + 1 : name_end].decode()] = headers[name_end + 3 : name_end + 3 + size].decode()
            place = name_end + 3 + size
        yield named.get(":event-type", ""), json.loads(data[12 + headers_length : length - 4])
        data = data[length:]
