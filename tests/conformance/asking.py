"""What a client of each dialect asks, so that a recording may be its answer.

The recorded request itself, where the client speaks its dialect. Otherwise the same request in the client's words: put
into them by headgate's own codecs, which is fair, because the answer is what is judged; for recordings of APIs that no
client speaks, a plain prompt with the same tools.
"""

from __future__ import annotations

import json

import msgspec

from headgate.wire.chat import dialect as chat
from headgate.wire.messages import dialect as messages
from headgate.wire.neutral import Target
from headgate.wire.responses import dialect as responses
from tests.conformance.meaning import Json
from tests.conformance.recordings import Recording

CLIENTS = {"chat": chat.CLIENT, "responses": responses.CLIENT, "messages": messages.CLIENT}
PROVIDERS = {"chat": chat.PROVIDER, "responses": responses.PROVIDER, "messages": messages.PROVIDER}
PATHS = {
    "chat": "chat/completions",
    "responses": "responses",
    "messages": "messages",
    "completions": "completions",
    "embeddings": "embeddings",
    "count_tokens": "messages/count_tokens",
    "embed_contents": "embeddings",
}
PROMPT = "What do you say?"
MAX_OUTPUT_TOKENS = 4096
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def request(recording: Recording, client: str, model: str) -> Json:
    """The body for a client of this dialect that asks for this model."""
    if recording.dialect == "embed_contents":
        return {"model": model, "input": _embedded(recording)}
    if client == recording.dialect and recording.request:
        # Some recorders have lost the member that asked for a stream.
        return {**recording.request, "model": model} | ({"stream": True} if recording.stream is not None else {})
    if recording.dialect in CLIENTS and has_prompt(recording) and not recording.is_error:
        body = _translated(recording, client)
    else:
        body = _plain(client, _tools(recording))
    body = {**body, "model": model, "stream": recording.streamed}
    if client == "chat" and recording.streamed:
        body["stream_options"] = {"include_usage": True}
    return body


def has_prompt(recording: Recording) -> bool:
    """What OpenAI keeps under an id is not in the request, and other providers cannot look it up."""
    asked = recording.request or {}
    elsewhere = any(asked.get(name) for name in ("prompt", "previous_response_id", "conversation"))
    return not elsewhere and any(asked.get(name) for name in ("messages", "input"))


def _translated(recording: Recording, client: str) -> Json:
    fields = _fields.decode(json.dumps(recording.request))
    neutral = CLIENTS[recording.dialect].read_request(fields)
    target = Target(model="any", max_output_tokens=neutral.max_output_tokens)
    body: Json = json.loads(PROVIDERS[client].write_request(neutral, target).body)
    return body


def _plain(client: str, tools: list[str]) -> Json:
    messages = [{"role": "user", "content": PROMPT}]
    schema = {"type": "object"}
    if client == "chat":
        functions = [{"name": name, "parameters": schema} for name in tools]
        body = {"messages": messages, "tools": [{"type": "function", "function": each} for each in functions]}
    elif client == "responses":
        body = {"input": PROMPT, "tools": [{"type": "function", "name": name, "parameters": schema} for name in tools]}
    else:
        body = {"messages": messages, "tools": [{"name": name, "input_schema": schema} for name in tools]}
        body["max_tokens"] = MAX_OUTPUT_TOKENS
    return body if tools else {name: value for name, value in body.items() if name != "tools"}


def _tools(recording: Recording) -> list[str]:
    """The names of the functions that the recorded request offers."""
    asked = recording.request or {}
    tools = asked.get("tools") or (asked.get("toolConfig") or {}).get("tools") or []
    declared = [each for tool in tools for each in tool.get("functionDeclarations") or []]
    declared += [tool["toolSpec"] for tool in tools if "toolSpec" in tool]
    return [each["name"] for each in declared]


def _embedded(recording: Recording) -> list[str]:
    return [part["text"] for asked in recording.request["requests"] for part in asked["content"]["parts"][:1]]
