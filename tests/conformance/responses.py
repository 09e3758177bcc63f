"""Reads OpenAI's responses."""

from __future__ import annotations

from typing import Any

from tests.conformance import frames
from tests.conformance.meaning import (
    CONTENT_FILTER,
    LENGTH,
    REFUSAL,
    STOP,
    TOOL_CALLS,
    Call,
    Choice,
    Json,
    Reading,
    Tokens,
    arguments_of,
    count,
)

INCOMPLETE = {"max_output_tokens": LENGTH, "max_tokens": LENGTH, "content_filter": CONTENT_FILTER}
ENDS = ("response.completed", "response.incomplete", "response.failed")
# The events that carry a text in pieces, and the one that carries it whole.
PIECES = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
}


def read_answer(value: Json) -> Reading:
    """A whole response."""
    if value.get("status") == "failed" or value.get("error"):
        return Reading(failure=(value.get("error") or {}).get("message") or "failed")
    choice = Choice()
    for item in value["output"]:
        if item["type"] == "message":
            choice.text += "".join(part["text"] for part in item["content"] if part["type"] == "output_text")
            notes = [note for part in item["content"] for note in part.get("annotations") or []]
            choice.sources |= {note["url"] for note in notes if note["type"] == "url_citation" and note["url"]}
            choice.refusal += "".join(part["refusal"] for part in item["content"] if part["type"] == "refusal")
        elif item["type"] == "reasoning":
            parts = [*(item.get("summary") or []), *(item.get("content") or [])]
            choice.thoughts += [part["text"] for part in parts if part["text"]]
        elif item["type"] == "function_call":
            choice.calls.append(Call(item["name"], arguments_of(item["arguments"]), item["call_id"]))
    if value["status"] == "incomplete":
        reason = value["incomplete_details"]["reason"]
        choice.finish = INCOMPLETE.get(reason, reason)
    elif value["status"] == "completed":
        choice.finish = TOOL_CALLS if choice.calls else REFUSAL if choice.refusal else STOP
    failure = "" if choice.finish else f"status {value['status']}"
    return Reading([choice], tokens(value.get("usage")), failure, value.get("model") or "")


def read_stream(stream: str) -> Reading:
    """The last event has the whole response."""
    for event in frames.events(stream):
        if event["type"] in ENDS:
            return read_answer(event["response"])
        if event["type"] == "error":
            return Reading(failure=event.get("message") or event["error"]["message"])
    return Reading(failure="no response.completed")


def inconsistencies(stream: str) -> list[str]:
    """Where a stream does not say in its events what it says at its end; for streams that headgate wrote."""
    found, started, pieces, wholes = [], {}, {}, {}
    final: Json = {}
    for number, event in enumerate(frames.events(stream)):
        kind = event["type"]
        if event.get("sequence_number") != number:
            found.append(f"{kind} has sequence number {event.get('sequence_number')} instead of {number}")
        name, _, step = kind.rpartition(".")
        if kind == "response.output_item.added":
            started[event["output_index"]] = event["item"]["id"]
        elif kind == "response.output_item.done":
            wholes[event["output_index"]] = event["item"]
        elif name in PIECES:
            part = event.get("content_index", event.get("summary_index"))
            key = (name, event["output_index"], part)
            if started.get(event["output_index"]) != event["item_id"]:
                found.append(f"{kind} belongs to an item that was not announced")
            if step == "delta":
                pieces[key] = pieces.get(key, "") + event["delta"]
            elif pieces.get(key, "") != event[PIECES[name]]:
                found.append(f"{kind} differs from its pieces")
        elif kind in ENDS:
            final = event["response"]
    if [wholes[index] for index in sorted(wholes)] != final.get("output"):
        found.append("the items differ from the final output")
    return found + _missing_pieces(final, pieces)


def tokens(usage: Json | None) -> Tokens | None:
    """Details may be missing."""
    if not usage:
        return None
    read, written = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    tokens_in, said = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    beside = max(0, count(usage.get("total_tokens")) - tokens_in - said)
    reasoning = max(count(written.get("reasoning_tokens")), beside)
    cached = min(count(read.get("cached_tokens")), tokens_in)
    return Tokens(tokens_in, cached, said + beside, min(reasoning, said + beside), read.get("cache_write_tokens"))


def _missing_pieces(final: Json, pieces: dict[Any, str]) -> list[str]:
    """Texts of the final response that were not streamed."""
    streamed = set(pieces.values()) | {""}
    texts = []
    for item in final.get("output") or []:
        parts = [*(item.get("content") or []), *(item.get("summary") or [])]
        texts += [part.get("text") or part.get("refusal") or "" for part in parts]
        texts.append(item.get("arguments") or "")
    return [f"never streamed: {text!r:.100}" for text in texts if text not in streamed]
