"""Requests, answers and streams of usual shapes, in every dialect, for `translation.py`."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

from benchmarks.load import PROMPT, SYSTEM
from headgate.types import Api, Route

Json = dict[str, object]

_SAID = "The gate lets the stream through when the mill wants it, and holds it back when the wheel has to rest."
_PIECE = " stream"
_ARGUMENTS = {"path": "src/mill.py", "line": 12}
_RESULT = "def grind(corn: Corn) -> Flour:\n    return Flour(corn)\n" * 12
_SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Where."}, "line": {"type": "integer"}},
    "required": ["path"],
    "additionalProperties": False,
}
_TOOLS = [(f"tool_{number}", "Does what its name says, and nothing else. " * 5) for number in range(10)]


def _bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- requests --------------------------------------------------------------------------------------------------------

CHATS: Mapping[Route, bytes] = {
    Route.CHAT: _bytes(
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            "max_tokens": 1024,
        }
    ),
    Route.MESSAGES: _bytes(
        {
            "model": "gpt-4o-mini",
            "max_tokens": 1024,
            "system": SYSTEM,
            "messages": [{"role": "user", "content": PROMPT}],
        }
    ),
    Route.RESPONSES: _bytes(
        {"model": "gpt-4o-mini", "instructions": SYSTEM, "input": PROMPT, "max_output_tokens": 1024}
    ),
}


def _chat_agent() -> Json:
    function: Json = {"name": "tool_0", "arguments": json.dumps(_ARGUMENTS)}
    call: Json = {"id": "call_1", "type": "function", "function": function}
    return {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": SYSTEM * 50},
            {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
            {"role": "assistant", "content": "I shall look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": _RESULT},
            {"role": "user", "content": [{"type": "text", "text": "Go on."}]},
        ],
        "tools": [
            {"type": "function", "function": {"name": name, "description": told, "parameters": _SCHEMA}}
            for name, told in _TOOLS
        ],
        "stream": True,
        "max_tokens": 1024,
        "temperature": 0.2,
    }


def _messages_agent() -> Json:
    return {
        "model": "gpt-4o-mini",
        "max_tokens": 1024,
        "system": [{"type": "text", "text": SYSTEM * 50, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I shall look."},
                    {"type": "tool_use", "id": "call_1", "name": "tool_0", "input": _ARGUMENTS},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": _RESULT},
                    {"type": "text", "text": "Go on."},
                ],
            },
        ],
        "tools": [{"name": name, "description": told, "input_schema": _SCHEMA} for name, told in _TOOLS],
        "stream": True,
        "temperature": 0.2,
        "metadata": {"user_id": "user_1"},
    }


def _responses_agent() -> Json:
    return {
        "model": "gpt-4o-mini",
        "instructions": SYSTEM * 50,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I shall look."}]},
            {"type": "function_call", "call_id": "call_1", "name": "tool_0", "arguments": json.dumps(_ARGUMENTS)},
            {"type": "function_call_output", "call_id": "call_1", "output": _RESULT},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
        ],
        "tools": [
            {"type": "function", "name": name, "description": told, "parameters": _SCHEMA, "strict": False}
            for name, told in _TOOLS
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "store": False,
        "stream": True,
        "max_output_tokens": 1024,
    }


AGENTS: Mapping[Route, bytes] = {
    Route.CHAT: _bytes(_chat_agent()),
    Route.MESSAGES: _bytes(_messages_agent()),
    Route.RESPONSES: _bytes(_responses_agent()),
}


# --- answers ---------------------------------------------------------------------------------------------------------

_HEAD: Json = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_750_000_000, "model": "gpt-4o-mini"}
_CHAT_USAGE: Json = {
    "prompt_tokens": 437,
    "completion_tokens": 24,
    "total_tokens": 461,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_MESSAGES_USAGE: Json = {
    "input_tokens": 437,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 24,
    "service_tier": "standard",
}
_MESSAGE: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5"}
_OUTPUT: Json = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": _SAID}],
}
_RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_750_000_000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-4o-mini",
    "output": [_OUTPUT],
    "usage": {
        "input_tokens": 437,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 24,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 461,
    },
}
_GEMINI_USAGE: Json = {"promptTokenCount": 437, "candidatesTokenCount": 24, "totalTokenCount": 461}


def _gemini(text: str, **members: object) -> Json:
    candidate: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **members}
    return {
        "candidates": [candidate],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "gemini-3-flash",
        "responseId": "abc",
    }


ANSWERS: Mapping[Api, bytes] = {
    Api.CHAT: _bytes(
        {
            **_HEAD,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _SAID, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _CHAT_USAGE,
        }
    ),
    Api.MESSAGES: _bytes(
        {
            **_MESSAGE,
            "content": [{"type": "text", "text": _SAID}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": _MESSAGES_USAGE,
        }
    ),
    Api.RESPONSES: _bytes(_RESPONSE),
    Api.GENERATE_CONTENT: _bytes(_gemini(_SAID, finishReason="STOP")),
    Api.CONVERSE: _bytes(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": _SAID}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 437, "outputTokens": 24, "totalTokens": 461},
            "metrics": {"latencyMs": 700},
        }
    ),
}


# --- streams: how one begins, and an event with a piece of text ------------------------------------------------------


def _data(value: object) -> bytes:
    return b"data: " + _bytes(value) + b"\n\n"


def _named(value: Json) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\n" + _data(value)


def _chunk(delta: Json) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return _data({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def _message(event_type: str, payload: object) -> bytes:
    """As Bedrock frames it: see `headgate/wire/converse/frames.py`."""
    headers = b""
    for name, value in ((":event-type", event_type), (":content-type", "application/json"), (":message-type", "event")):
        headers += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    body = _bytes(payload)
    prelude = struct.pack("!II", len(headers) + len(body) + 16, len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


_PLACE: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
STREAMS: Mapping[Api, tuple[bytes, bytes]] = {
    Api.CHAT: (_chunk({"role": "assistant", "content": ""}), _chunk({"content": _PIECE})),
    Api.MESSAGES: (
        _named({"type": "message_start", "message": {**_MESSAGE, "content": [], "usage": _MESSAGES_USAGE}})
        + _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        _named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": _PIECE}}),
    ),
    Api.RESPONSES: (
        _named({"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}})
        + _named({"type": "response.output_item.added", "output_index": 0, "item": {**_OUTPUT, "content": []}}),
        _named({"type": "response.output_text.delta", **_PLACE, "sequence_number": 4, "delta": _PIECE, "logprobs": []}),
    ),
    Api.GENERATE_CONTENT: (_data(_gemini("The")), _data(_gemini(_PIECE))),
    Api.CONVERSE: (
        _message("messageStart", {"role": "assistant"}),
        _message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": _PIECE}, "p": "abcdefghij"}),
    ),
}
