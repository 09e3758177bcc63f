"""Anthropic's named events, to build streams from and to take them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from headgate.wire import sse
from headgate.wire.chunks import Chunk
from headgate.wire.messages.stream import StreamListener


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(**members: Any) -> bytes:
    usage = {"input_tokens": 5, "output_tokens": 1}
    return event("message_start", message={"id": "msg_1", "model": "m", "content": [], "usage": usage, **members})


def opens(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **members})


def delta(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **members})


def text(words: str, index: int = 0) -> bytes:
    return delta(index, "text_delta", text=words)


def closes(index: int = 0) -> bytes:
    return event("content_block_stop", index=index)


def stop(reason: str | None = "end_turn", output_tokens: int = 9, **members: Any) -> bytes:
    usage = {"output_tokens": output_tokens}
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None, **members}, usage=usage)


END = event("message_stop")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def read(*frames: bytes) -> list[Chunk]:
    """The chunks of whole frames, of a stream that need not be complete."""
    listener = StreamListener()
    return [chunk for frame in frames for chunk in listener.read(frame)]


def block(*frames: bytes) -> list[Chunk]:
    """The chunks of the events between the start of a message and its end."""
    return read(start(), *frames)[2:]


def taken_apart(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of a written stream's events."""
    splitter = sse.FrameSplitter(1_000_000)
    frames = splitter.feed(stream)
    assert not splitter.take_rest()
    return [_apart(frame) for frame in frames]


def _apart(frame: bytes) -> tuple[str, dict[str, Any]]:
    name, data, *rest = frame.decode().split("\n")
    assert name.startswith("event: ") and data.startswith("data: ") and rest == ["", ""]
    value: dict[str, Any] = json.loads(data[6:])
    assert value.pop("type") == name[7:]
    return name[7:], value


def blocks(stream: bytes) -> list[dict[str, Any]]:
    """The blocks of a written stream, put together by the rules: one after the other, numbered from 0."""
    found: list[dict[str, Any]] = []
    is_open = False
    for name, value in taken_apart(stream):
        if name == "content_block_start":
            assert not is_open and value["index"] == len(found)
            is_open = True
            found.append(value["content_block"])
        elif name == "content_block_delta":
            assert is_open and value["index"] == len(found) - 1
            _add(found[-1], value["delta"])
        elif name == "content_block_stop":
            assert is_open and value["index"] == len(found) - 1
            is_open = False
    assert not is_open
    return found


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("text", "thinking", "signature", "partial_json"):
        if name in delta:
            block[name] = block.get(name, "") + delta[name]
    if "citation" in delta:
        block["citations"] = [*block.get("citations", []), delta["citation"]]


def named(stream: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in stream]
