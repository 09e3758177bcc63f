"""Messages of AWS's event stream, made for tests."""

from __future__ import annotations

import json
import struct
import zlib

from headgate.wire.chunks import Chunk
from headgate.wire.converse.frames import EventStreamSplitter
from headgate.wire.converse.stream import StreamListener

STRING = 7
PADDING = "abcdefghijklmnopqrstuvwxyzABC"  # Bedrock fills events up, so that their length tells nothing


def string_header(name: str, value: str) -> bytes:
    return (
        bytes([len(name.encode())]) + name.encode() + struct.pack("!BH", STRING, len(value.encode())) + value.encode()
    )


def message(headers: bytes, payload: bytes) -> bytes:
    """A message with right lengths and checksums."""
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def event(kind: str, payload: object) -> bytes:
    """An event as Bedrock sends it; a payload of bytes is sent as it is."""
    headers = string_header(":event-type", kind) + string_header(":content-type", "application/json")
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return message(headers + string_header(":message-type", "event"), body)


def exception(kind: str, payload: object) -> bytes:
    headers = string_header(":exception-type", kind) + string_header(":content-type", "application/json")
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return message(headers + string_header(":message-type", "exception"), body)


def error(code: str, words: str) -> bytes:
    headers = string_header(":error-code", code) + string_header(":error-message", words)
    return message(headers + string_header(":message-type", "error"), b"")


def delta(index: int, **said: object) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said, "p": PADDING})


def stop(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index, "p": PADDING})


def tool_start(index: int, call_id: str, name: str) -> bytes:
    start = {"toolUse": {"toolUseId": call_id, "name": name}}
    return event("contentBlockStart", {"contentBlockIndex": index, "start": start})


START = event("messageStart", {"role": "assistant", "p": PADDING})
METADATA = event(
    "metadata",
    {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 700}, "p": PADDING},
)


def message_stop(reason: str, **members: object) -> bytes:
    return event("messageStop", {"stopReason": reason, **members})


def listen(data: bytes, pieces: list[bytes] | None = None) -> tuple[list[Chunk], StreamListener]:
    """The chunks of a stream that arrives whole, or in these pieces."""
    splitter, listener = EventStreamSplitter(), StreamListener()
    chunks = [chunk for piece in (pieces or [data]) for frame in splitter.feed(piece) for chunk in listener.read(frame)]
    assert splitter.take_rest() == b""
    return chunks, listener
