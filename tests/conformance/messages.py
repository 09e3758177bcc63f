"""Reads Anthropic's messages."""

from __future__ import annotations

import json

from tests.conformance import frames
from tests.conformance.meaning import (
    LENGTH,
    PAUSE,
    REFUSAL,
    STOP,
    STOP_SEQUENCE,
    TOOL_CALLS,
    Call,
    Choice,
    Json,
    Reading,
    Tokens,
    arguments_of,
    count,
)

FINISHES = {
    "end_turn": STOP,
    "stop_sequence": STOP_SEQUENCE,
    "max_tokens": LENGTH,
    "model_context_window_exceeded": LENGTH,
    "tool_use": TOOL_CALLS,
    "pause_turn": PAUSE,
    "refusal": REFUSAL,
}


def read_answer(value: Json) -> Reading:
    """A whole message."""
    if value.get("type") == "error":
        return Reading(failure=value["error"]["message"])
    choice = Choice(finish=FINISHES.get(value["stop_reason"], value["stop_reason"] or ""))
    if choice.finish == REFUSAL:
        choice.refusal = (value.get("stop_details") or {}).get("explanation") or ""
    for block in value["content"]:
        if block["type"] == "text":
            choice.text += block["text"]
            choice.sources |= {cited["url"] for cited in block.get("citations") or [] if cited.get("url")}
        elif block["type"] == "thinking" and block["thinking"]:
            choice.thoughts.append(block["thinking"])
        elif block["type"] == "tool_use":
            choice.calls.append(Call(block["name"], block["input"], block["id"]))
    return Reading([choice], tokens(value.get("usage")), model=value.get("model") or "")


def read_stream(stream: str) -> Reading:
    """A stream of named events."""
    message: Json = {}
    pieces: dict[int, str] = {}
    ended = False
    for event in frames.events(stream):
        match event["type"]:
            case "message_start":
                if message:
                    return Reading(failure="a second message began before the first had ended")
                message = {**event["message"], "content": []}
            case "content_block_start":
                assert event["index"] == len(message["content"]), "blocks are numbered without a gap"
                message["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                _add(message["content"][event["index"]], event["delta"], pieces, event["index"])
            case "message_delta":
                message.update({name: value for name, value in event["delta"].items() if value is not None})
                given = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
                message["usage"] = {**message["usage"], **given}
            case "message_stop":
                ended = True
            case "error":
                return Reading(failure=event["error"]["message"])
    if not ended:
        return Reading(failure="no message_stop")
    for index, text in pieces.items():
        message["content"][index]["input"] = arguments_of(text)
    return read_answer(message)


def tokens(usage: Json | None) -> Tokens | None:
    """What was read from the cache and written to it is not in `input_tokens`."""
    if not usage:
        return None
    cached = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    tokens_in = count(usage.get("input_tokens")) + cached + written
    details = usage.get("output_tokens_details") or {}
    return Tokens(tokens_in, cached, count(usage.get("output_tokens")), details.get("thinking_tokens"), written)


def error_message(body: str) -> str:
    """The sentence in an error's body."""
    value = json.loads(body)
    assert value["type"] == "error" and value["error"]["type"]
    sentence: str = value["error"]["message"]
    return sentence


def _add(block: Json, delta: Json, pieces: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        case "input_json_delta":
            pieces[index] = pieces.get(index, "") + delta["partial_json"]
