"""OpenAI's chat completions."""

from __future__ import annotations

import json

from tests.e2e.vendors.mind import Heard, Json, Said, texts_of

MODEL = "gpt-4o-mini-2024-07-18"
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
}


def hear(body: Json) -> Heard:
    """What a request says."""
    messages = body["messages"]
    since = max(at for at, message in enumerate(messages) if message["role"] == "user")
    return Heard(
        prompt=texts_of(messages[since]["content"], "text"),
        system=" ".join(
            texts_of(each["content"], "text") for each in messages if each["role"] in ("system", "developer")
        ),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools") or []),
        results=tuple(texts_of(each["content"], "text") for each in messages[since:] if each["role"] == "tool"),
        has_schema=(body.get("response_format") or {}).get("type") == "json_schema",
        must_call=isinstance(body.get("tool_choice"), dict) or body.get("tool_choice") == "required",
        stream=bool(body.get("stream")),
        asked=body,
    )


def answer(said: Said) -> Json:
    """A whole completion."""
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": None, "annotations": []}
    if said.thought:
        message["reasoning_content"] = said.thought
    if said.call:
        message["tool_calls"] = [_call(said)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    return {
        "id": "chatcmpl-vendor",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [choice],
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_vendor",
    }


def stream(said: Said, body: Json) -> bytes:
    """A stream of chunks, with the usage if that was asked for."""
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"reasoning_content": said.thought}] if said.thought else []
    deltas += [{"content": word} for word in said.words]
    if said.call:
        call = _call(said)
        arguments = call["function"]["arguments"]
        start = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [start]})
        for piece in (arguments[:5], arguments[5:]):
            deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    chunks = [_chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]) for delta in deltas]
    chunks.append(_chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": _finish(said)}]))
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**_chunk([]), "usage": USAGE})
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def error(message: str, status: int) -> Json:
    """An error's body."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": f"code_{status}"}}


def _chunk(choices: list[Json]) -> Json:
    kind = "chat.completion.chunk"
    return {"id": "chatcmpl-vendor", "object": kind, "created": 1_790_000_000, "model": MODEL, "choices": choices}


def _call(said: Said) -> Json:
    assert said.call is not None
    name, arguments = said.call
    return {"id": "call_vendor", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def _finish(said: Said) -> str:
    return "tool_calls" if said.call else "stop"
