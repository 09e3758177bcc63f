"""Anthropic's messages and their token counts."""

from __future__ import annotations

import json

from tests.e2e.vendors.mind import Heard, Json, Said, texts_of

USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 8,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 10,
    "service_tier": "standard",
}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSB2ZW5kb3I="


def hear(body: Json) -> Heard:
    """What a request says. One that continues a thread may hold no prompt."""
    messages = body["messages"]
    assert messages[0]["role"] == "user", "the first message is the user's"
    assert "max_tokens" in body
    prompts = [at for at, message in enumerate(messages) if message["role"] == "user" and _prompt(message)]
    since = prompts[-1] if prompts else 0
    choice = body.get("tool_choice") or {}
    return Heard(
        prompt=_prompt(messages[since]),
        system=texts_of(body.get("system") or "", "text"),
        tools=tuple(tool["name"] for tool in body.get("tools") or []),
        results=tuple(result for message in messages[since:] for result in _results(message)),
        has_schema=bool((body.get("output_config") or {}).get("format") or body.get("output_format")),
        must_call=choice.get("type") in ("any", "tool"),
        stream=bool(body.get("stream")),
        asked=body,
    )


def answer(said: Said) -> Json:
    """A whole message."""
    return _message(_blocks(said), _stop(said))


def stream(said: Said, _body: Json) -> bytes:
    """The events of a message."""
    start = {**_message([], None), "usage": {**USAGE, "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(_blocks(said)):
        events.append({"type": "content_block_start", "index": index, "content_block": _empty(block)})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block, said)]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": _stop(said), "stop_sequence": None}
    counted = {name: value for name, value in USAGE.items() if name.endswith("_tokens")}
    events.append({"type": "message_delta", "delta": delta, "usage": counted})
    events.append({"type": "message_stop"})
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode()) for event in events
    )


def error(message: str, status: int) -> Json:
    """An error's body."""
    kinds = {404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    kind = kinds.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_vendor"}


def _prompt(message: Json) -> str:
    return texts_of(message["content"], "text")


def _results(message: Json) -> list[str]:
    blocks = message["content"] if isinstance(message["content"], list) else []
    return [texts_of(block.get("content"), "text") for block in blocks if block["type"] == "tool_result"]


def _blocks(said: Said) -> list[Json]:
    blocks: list[Json] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": SIGNATURE})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    if said.call:
        blocks.append({"type": "tool_use", "id": "toolu_vendor", "name": said.call[0], "input": said.call[1]})
    return blocks


def _empty(block: Json) -> Json:
    """A block as it begins."""
    nothing: Json = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {name: nothing.get(name, value) for name, value in block.items()} | {"type": block["type"]}


def _deltas(block: Json, said: Said) -> list[Json]:
    if block["type"] == "thinking":
        thought = {"type": "thinking_delta", "thinking": said.thought}
        return [thought, {"type": "signature_delta", "signature": SIGNATURE}]
    if block["type"] == "text":
        return [{"type": "text_delta", "text": word} for word in said.words]
    arguments = json.dumps(block["input"])
    return [{"type": "input_json_delta", "partial_json": piece} for piece in ("", arguments[:5], arguments[5:])]


def _message(content: list[Json], stop: str | None) -> Json:
    return {
        "id": "msg_vendor",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
    }


def _stop(said: Said) -> str:
    return "tool_use" if said.call else "end_turn"
