"""OpenAI's responses."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.vendors.mind import Heard, Json, Said, texts_of

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 30,
}


def hear(body: Json) -> Heard:
    """What a request says."""
    items: list[Json] = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    since = max(at for at, item in enumerate(items) if item.get("role") == "user")
    system = [texts_of(item["content"], "input_text") for item in items if item.get("role") in ("system", "developer")]
    return Heard(
        prompt=texts_of(items[since]["content"], "input_text"),
        system=" ".join([body.get("instructions") or "", *system]).strip(),
        tools=tuple(tool["name"] for tool in body.get("tools") or [] if tool["type"] == "function"),
        results=tuple(
            texts_of(item["output"], "input_text")
            for item in items[since:]
            if item.get("type") == "function_call_output"
        ),
        has_schema=((body.get("text") or {}).get("format") or {}).get("type") == "json_schema",
        must_call=isinstance(body.get("tool_choice"), dict) or body.get("tool_choice") == "required",
        stream=bool(body.get("stream")),
        asked=body,
    )


def answer(said: Said) -> Json:
    """A whole response."""
    return _response(_items(said), "completed")


def stream(said: Said, _body: Json) -> bytes:
    """The events of a response."""
    items = _items(said)
    events: list[Json] = [{"type": "response.created", "response": _response([], "in_progress")}]
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        started = {**item, "status": "in_progress"} | ({"content": []} if item["type"] == "message" else {})
        started |= {"arguments": ""} if item["type"] == "function_call" else {}
        events.append({"type": "response.output_item.added", "output_index": index, "item": started})
        events += [{**event, **place} for event in _pieces(item, said)]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": _response(items, "completed")})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode()) for event in numbered
    )


def _items(said: Said) -> list[Json]:
    items: list[Json] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        items.append({"id": "rs_vendor", "type": "reasoning", "summary": summary, "encrypted_content": "sealed"})
    if said.text:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        message = {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
        items.append({"id": "msg_vendor", **message})
    if said.call:
        name, arguments = said.call
        called = {"name": name, "arguments": json.dumps(arguments), "call_id": "call_vendor", "status": "completed"}
        items.append({"id": "fc_vendor", "type": "function_call", **called})
    return items


def _pieces(item: Json, said: Said) -> list[Json]:
    """The events between an item's beginning and its end."""
    if item["type"] == "message":
        empty = {**item["content"][0], "text": ""}
        return [
            {"type": "response.content_part.added", "content_index": 0, "part": empty},
            *(
                {"type": "response.output_text.delta", "content_index": 0, "delta": word, "logprobs": []}
                for word in said.words
            ),
            {"type": "response.output_text.done", "content_index": 0, "text": said.text, "logprobs": []},
            {"type": "response.content_part.done", "content_index": 0, "part": item["content"][0]},
        ]
    if item["type"] == "function_call":
        arguments = item["arguments"]
        name = "response.function_call_arguments"
        pieces: list[Json] = [{"type": f"{name}.delta", "delta": piece} for piece in (arguments[:5], arguments[5:])]
        return [*pieces, {"type": f"{name}.done", "arguments": arguments, "name": item["name"]}]
    part, name = item["summary"][0], "response.reasoning_summary"
    return [
        {"type": f"{name}_part.added", "summary_index": 0, "part": {**part, "text": ""}},
        {"type": f"{name}_text.delta", "summary_index": 0, "delta": said.thought},
        {"type": f"{name}_text.done", "summary_index": 0, "text": said.thought},
        {"type": f"{name}_part.done", "summary_index": 0, "part": part},
    ]


def _response(output: list[Json], status: str) -> Json:
    done: Any = USAGE if status == "completed" else None
    return {
        "id": "resp_vendor",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": done,
        "user": None,
        "metadata": {},
    }
