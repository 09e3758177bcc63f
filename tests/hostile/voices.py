"""The same story as every API of a provider tells it in a stream, event by event, so that it can be told wrong.

The story: a thought, a text with characters of several bytes, two tool calls, the usage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.types import Api
from tests.wire.converse import events

Json = dict[str, Any]

THOUGHT, WORDS = "Hm, quite.", ("Hé, ", "the 🙂", " wheel\u2028turns.")
CALLS = (("turn", ('{"by', '": "1°"}')), ("stop", ('{"now": true}',)))
TOKENS_IN, TOKENS_OUT = 70, 30
ERROR = "The model is overloaded."
DONE = "[DONE]"

# What an event is in its stream.
START, CONTENT, QUIET, FINISH, USAGE, END = "start", "content", "quiet", "finish", "usage", "end"


@dataclass(frozen=True)
class Event:
    """One event: `payload` is its JSON, or its data as it is; `name` is the SSE event's or AWS's event type."""

    what: str
    payload: Any
    name: str = ""

    @property
    def data(self) -> bytes:
        if isinstance(self.payload, bytes):
            return self.payload
        return self.payload.encode() if isinstance(self.payload, str) else dump(self.payload)


def dump(value: object) -> bytes:
    """JSON as providers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(event: Event, end: bytes = b"\n") -> bytes:
    """An event as a server-sent one, with these line ends."""
    name = b"event: " + event.name.encode() + end if event.name else b""
    return name + b"data: " + event.data + end + end


def aws(event: Event, _: bytes = b"") -> bytes:
    """An event as a message of AWS's event stream."""
    if event.name.endswith("Exception"):
        return events.exception(event.name, event.data)
    return events.event(event.name, event.data)


@dataclass(frozen=True)
class Voice:
    """One API. `kind` and `serves` are how the configuration names a provider that speaks it."""

    api: Api
    dialect: str  # as the readers of recordings call it
    kind: str
    serves: str
    tell: Callable[[], list[Event]]
    error: Event
    unknown: Event  # one of tomorrow
    frame: Callable[..., bytes] = sse

    def stream(self, events: Sequence[Event], end: bytes = b"\n") -> bytes:
        return b"".join(self.frame(event, end) for event in events)

    @property
    def is_text(self) -> bool:
        return self.frame is sse


# --- OpenAI's chat completions ---------------------------------------------------------------------------------------


def _chunk(choices: list[Json], **members: object) -> Json:
    return {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices, **members}


def _delta(what: str, finish: str | None = None, **delta: object) -> Event:
    return Event(what, _chunk([{"index": 0, "delta": delta, "finish_reason": finish}]))


def _chat() -> list[Event]:
    events = [_delta(START, role="assistant", content=""), _delta(CONTENT, reasoning_content=THOUGHT)]
    events += [_delta(CONTENT, content=words) for words in WORDS]
    for index, (name, pieces) in enumerate(CALLS):
        function = {"name": name, "arguments": ""}
        called = {"index": index, "id": f"call_{name}", "type": "function", "function": function}
        events.append(_delta(CONTENT, tool_calls=[called]))
        events += [_delta(CONTENT, tool_calls=[{"index": index, "function": {"arguments": piece}}]) for piece in pieces]
    usage = {
        "prompt_tokens": TOKENS_IN,
        "completion_tokens": TOKENS_OUT,
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    return [*events, _delta(FINISH, "tool_calls"), Event(USAGE, _chunk([], usage=usage)), Event(END, DONE)]


# --- OpenAI's responses ----------------------------------------------------------------------------------------------


def _typed(what: str, kind: str, **members: object) -> Event:
    return Event(what, {"type": kind, **members}, kind)


def _response(status: str, output: list[Json], usage: Json | None = None) -> Json:
    return {"id": "resp_1", "created_at": 7, "model": "m", "status": status, "output": output, "usage": usage}


def _item(index: int, item: Json, empty: Json, deltas: Sequence[Event]) -> list[Event]:
    begun = _typed(QUIET, "response.output_item.added", output_index=index, item={**item, **empty})
    return [begun, *deltas, _typed(QUIET, "response.output_item.done", output_index=index, item=item)]


def _pieces(kind: str, index: int, pieces: Sequence[str], **place: object) -> list[Event]:
    return [
        _typed(CONTENT, f"response.{kind}.delta", output_index=index, item_id=f"i{index}", delta=piece, **place)
        for piece in pieces
    ]


def _responses() -> list[Event]:
    thought = {"type": "reasoning", "id": "i0", "summary": [{"type": "summary_text", "text": THOUGHT}]}
    part = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
    said = {"type": "message", "id": "i1", "role": "assistant", "content": [part]}
    events = [_typed(START, "response.created", response=_response("in_progress", []))]
    events += _item(0, thought, {"summary": []}, _pieces("reasoning_summary_text", 0, [THOUGHT], summary_index=0))
    events += _item(1, said, {"content": []}, _pieces("output_text", 1, WORDS, content_index=0))
    output: list[Json] = [thought, said]
    for index, (name, pieces) in enumerate(CALLS, start=2):
        call = {"type": "function_call", "id": f"i{index}", "call_id": f"call_{name}", "name": name}
        output.append({**call, "arguments": "".join(pieces)})
        deltas = _pieces("function_call_arguments", index, pieces)
        events += _item(index, output[-1], {"arguments": ""}, deltas)
    usage = {
        "input_tokens": TOKENS_IN,
        "output_tokens": TOKENS_OUT,
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    return [*events, _typed(END, "response.completed", response=_response("completed", output, usage))]


# --- Anthropic's messages --------------------------------------------------------------------------------------------


def _block(index: int, block: Json, deltas: Sequence[Json]) -> Iterator[Event]:
    yield _typed(QUIET, "content_block_start", index=index, content_block=block)
    for delta in deltas:
        yield _typed(CONTENT, "content_block_delta", index=index, delta=delta)
    yield _typed(QUIET, "content_block_stop", index=index)


def _messages() -> list[Event]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    message["usage"] = {"input_tokens": TOKENS_IN, "output_tokens": 1}
    thought = [{"type": "thinking_delta", "thinking": THOUGHT}, {"type": "signature_delta", "signature": "c2ln"}]
    said = [{"type": "text_delta", "text": words} for words in WORDS]
    events = [_typed(START, "message_start", message=message)]
    events += _block(0, {"type": "thinking", "thinking": "", "signature": ""}, thought)
    events += _block(1, {"type": "text", "text": ""}, said)
    for index, (name, pieces) in enumerate(CALLS, start=2):
        block = {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}
        events += _block(index, block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces])
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    return [*events, _typed(FINISH, "message_delta", delta=delta, usage=usage), _typed(END, "message_stop")]


# --- Gemini ----------------------------------------------------------------------------------------------------------


def _candidate(what: str, *parts: Json, output: int = 0, **members: object) -> Event:
    usage = {"promptTokenCount": TOKENS_IN, "candidatesTokenCount": output, "totalTokenCount": TOKENS_IN + output}
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **members}
    return Event(what, {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"})


def _gemini() -> list[Event]:
    events = [_candidate(CONTENT, {"text": THOUGHT, "thought": True}, output=1)]
    events += [_candidate(CONTENT, {"text": words}, output=2) for words in WORDS]
    for name, pieces in CALLS:
        call = {"functionCall": {"name": name, "args": json.loads("".join(pieces))}}
        events.append(_candidate(CONTENT, call, output=3))
    return [*events, _candidate(END, {"text": ""}, output=TOKENS_OUT, finishReason="STOP")]


# --- Bedrock's Converse ----------------------------------------------------------------------------------------------


def _said(what: str, name: str, **payload: object) -> Event:
    return Event(what, {**payload, "p": "abcdef"}, name)


def _content(index: int, deltas: Sequence[Json], start: Json | None = None) -> Iterator[Event]:
    if start is not None:
        yield _said(QUIET, "contentBlockStart", contentBlockIndex=index, start=start)
    for delta in deltas:
        yield _said(CONTENT, "contentBlockDelta", contentBlockIndex=index, delta=delta)
    yield _said(QUIET, "contentBlockStop", contentBlockIndex=index)


def _converse() -> list[Event]:
    thought = [{"reasoningContent": {"text": THOUGHT}}, {"reasoningContent": {"signature": "c2ln"}}]
    events = [_said(START, "messageStart", role="assistant")]
    events += _content(0, thought)
    events += _content(1, [{"text": words} for words in WORDS])
    for index, (name, pieces) in enumerate(CALLS, start=2):
        start = {"toolUse": {"toolUseId": f"tooluse_{name}", "name": name}}
        events += _content(index, [{"toolUse": {"input": piece}} for piece in pieces], start)
    usage = {"inputTokens": TOKENS_IN, "outputTokens": TOKENS_OUT, "totalTokens": TOKENS_IN + TOKENS_OUT}
    return [*events, _said(FINISH, "messageStop", stopReason="tool_use"), _said(USAGE, "metadata", usage=usage)]


# --- all -------------------------------------------------------------------------------------------------------------

_CHAT_ERROR = {"error": {"message": ERROR, "type": "server_error", "code": None}}
_MESSAGES_ERROR = {"type": "overloaded_error", "message": ERROR}
_GEMINI_ERROR = {"error": {"code": 503, "message": ERROR, "status": "UNAVAILABLE"}}

VOICES: Mapping[str, Voice] = {
    voice.dialect: voice
    for voice in (
        Voice(
            Api.CHAT, "chat", "openai", "chat", _chat,
            Event(END, _CHAT_ERROR), Event(QUIET, {"type": "tomorrow", "choices": []}),
        ),
        Voice(
            Api.RESPONSES, "responses", "openai", "responses", _responses,
            _typed(END, "error", message=ERROR, code="server_error", param=None),
            _typed(QUIET, "response.tomorrow", item=[1], delta={"a": 1}),
        ),
        Voice(
            Api.MESSAGES, "messages", "anthropic", "auto", _messages,
            _typed(END, "error", error=_MESSAGES_ERROR), _typed(QUIET, "tomorrow", delta="a", index=[]),
        ),
        Voice(
            Api.GENERATE_CONTENT, "gemini", "gemini", "auto", _gemini,
            Event(END, _GEMINI_ERROR), Event(QUIET, {"tomorrow": {"a": [1]}}),
        ),
        Voice(
            Api.CONVERSE, "converse", "bedrock", "auto", _converse,
            Event(END, {"message": ERROR}, "throttlingException"), _said(QUIET, "tomorrow", a=[1]), aws,
        ),
    )
}  # fmt: skip
