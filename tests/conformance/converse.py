"""Reads Bedrock's converse, and takes its whole answers apart into streams."""

from __future__ import annotations

import json

from tests.conformance import frames
from tests.conformance.meaning import (
    CONTENT_FILTER,
    LENGTH,
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
    "guardrail_intervened": CONTENT_FILTER,
    "content_filtered": CONTENT_FILTER,
}


def read_answer(value: Json) -> Reading:
    """A whole answer."""
    choice = Choice(finish=FINISHES.get(value["stopReason"], value["stopReason"]))
    for block in value["output"]["message"]["content"]:
        if "text" in block:
            choice.text += block["text"]
        elif "toolUse" in block:
            choice.calls.append(Call(block["toolUse"]["name"], block["toolUse"]["input"]))
        elif "reasoningContent" in block:
            text = (block["reasoningContent"].get("reasoningText") or {}).get("text")
            choice.thoughts += [text] if text else []
        elif "citationsContent" in block:
            choice.text += "".join(part["text"] for part in block["citationsContent"]["content"])
    return Reading([choice], tokens(value.get("usage")))


def read_stream(stream: bytes) -> Reading:
    """A stream of binary events. It may come without its beginning."""
    blocks: dict[int, Json] = {}
    answer: Json = {"output": {"message": {"content": []}}}
    for kind, event in frames.aws_events(stream):
        if kind == "contentBlockStart":
            if "toolUse" in event["start"]:
                blocks[event["contentBlockIndex"]] = {"toolUse": {**event["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            _add(blocks.setdefault(event["contentBlockIndex"], {}), event["delta"])
        elif kind in ("messageStop", "metadata"):
            answer.update(event)
        elif kind.endswith("Exception"):
            return Reading(failure=event.get("message") or kind)
    if "stopReason" not in answer:
        return Reading(failure="no messageStop")
    for index in sorted(blocks):
        if "toolUse" in blocks[index]:
            blocks[index]["toolUse"]["input"] = arguments_of(blocks[index]["toolUse"]["input"])
        answer["output"]["message"]["content"].append(blocks[index])
    return read_answer(answer)


def tokens(usage: Json | None) -> Tokens | None:
    """What was read from the cache and written to it is not in `inputTokens`; thoughts are not counted apart."""
    if not usage:
        return None
    cached = count(usage.get("cacheReadInputTokens"))
    written = count(usage.get("cacheWriteInputTokens"))
    tokens_in = count(usage["inputTokens"]) + cached + written
    return Tokens(tokens_in, cached, count(usage["outputTokens"]), None, written)


def stream_of(value: Json) -> bytes:
    """The event stream that converse-stream sends for an answer, two pieces for each text."""
    parts = [frames.aws_frame("messageStart", {"role": "assistant"})]
    for index, block in enumerate(value["output"]["message"]["content"]):
        if "toolUse" in block:
            named = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            start = {"contentBlockIndex": index, "start": {"toolUse": named}}
            parts.append(frames.aws_frame("contentBlockStart", start))
        deltas = [{"contentBlockIndex": index, "delta": delta} for delta in _deltas(block)]
        parts += [frames.aws_frame("contentBlockDelta", delta) for delta in deltas]
        parts.append(frames.aws_frame("contentBlockStop", {"contentBlockIndex": index}))
    parts.append(frames.aws_frame("messageStop", {"stopReason": value["stopReason"]}))
    parts.append(frames.aws_frame("metadata", {"usage": value["usage"], "metrics": {"latencyMs": 1}}))
    return b"".join(parts)


def _add(block: Json, delta: Json) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "text" in delta.get("reasoningContent", {}):
        thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        thought["text"] += delta["reasoningContent"]["text"]


def _deltas(block: Json) -> list[Json]:
    if "text" in block:
        return [{"text": piece} for piece in _halves(block["text"])]
    if "toolUse" in block:
        return [{"toolUse": {"input": piece}} for piece in _halves(json.dumps(block["toolUse"]["input"]))]
    if "citationsContent" in block:
        texts = [{"text": part["text"]} for part in block["citationsContent"]["content"]]
        return texts + [{"citation": citation} for citation in block["citationsContent"].get("citations") or []]
    thought = block["reasoningContent"].get("reasoningText") or {}
    deltas = [{"reasoningContent": {"text": piece}} for piece in _halves(thought.get("text") or "")]
    return deltas + ([{"reasoningContent": {"signature": thought["signature"]}}] if thought.get("signature") else [])


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]
