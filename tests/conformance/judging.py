"""Whether a client got what was recorded: byte for byte in the recording's own dialect, in meaning in another."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from tests.conformance import chat, frames, messages, responses, shapes
from tests.conformance.meaning import (
    CONTENT_FILTER,
    LENGTH,
    PAUSE,
    REFUSAL,
    STOP,
    STOP_SEQUENCE,
    TOOL_CALLS,
    Json,
    Reading,
    differences,
)
from tests.conformance.recordings import Recording

READERS = {"chat": chat, "responses": responses, "messages": messages}
OUR_FAULT = (401, 403)  # the provider refused the gateway's key, not the client's
MESSAGE_CHARACTERS = 1000  # what headgate keeps of a provider's sentence
# What a reason to stop becomes where a client's dialect has no word for it: the table in docs/providers.md.
CARRIED = {
    "chat": {STOP_SEQUENCE: STOP, PAUSE: STOP},
    "responses": {STOP_SEQUENCE: STOP, PAUSE: LENGTH},
    "messages": {CONTENT_FILTER: REFUSAL},
}


@dataclass(frozen=True)
class Reply:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "surrogatepass")


def judge(recording: Recording, client: str, reply: Reply) -> list[str]:
    """What is wrong with a reply; nothing if it is right."""
    if recording.is_error:
        return _error_differences(recording, client, reply)
    if recording.dialect == "embed_contents":
        return _vectors(recording, reply)
    if recording.dialect == client:
        return _same(recording, client, reply)
    return _across(recording, client, reply)


# --- the recording's own dialect -----------------------------------------------------------------------------------


def _same(recording: Recording, client: str, reply: Reply) -> list[str]:
    if reply.status != 200:
        return [f"status {reply.status}: {reply.text:.300}"]
    if recording.stream is None:
        return [] if reply.body == recording.body else [f"body {reply.text:.300}"]
    got, expected = frames.payloads(reply.text), _expected_payloads(recording)
    if client in READERS and recording.reading().failure:
        told = READERS[client].read_stream(reply.text).failure
        forwarded = expected[: len(got) - 1] == got[:-1]
        return [] if told and forwarded else [f"a failed stream that ends with {got[-1:]}"]
    if got == expected:
        return []
    place = next((at for at, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]), -1)
    return [f"{len(got)} payloads instead of {len(expected)}, the first that differs is number {place}"]


def _expected_payloads(recording: Recording) -> list[str]:
    """Those recorded up to the end, without the usage chunk where the gateway asked for it and the client did not."""
    recorded = frames.payloads(recording.stream or "")
    recorded = recorded[: recorded.index(frames.DONE) + 1] if frames.DONE in recorded else recorded
    asked = recording.request or {"stream_options": {"include_usage": True}}
    if recording.dialect not in ("chat", "completions") or (asked.get("stream_options") or {}).get("include_usage"):
        return recorded
    return [payload for payload in recorded if not _is_usage_alone(payload)]


def _is_usage_alone(payload: str) -> bool:
    chunk = {} if payload == frames.DONE else json.loads(payload)
    return bool(chunk.get("usage")) and not chunk.get("choices")


def _vectors(recording: Recording, reply: Reply) -> list[str]:
    if reply.status != 200:
        return [f"status {reply.status}: {reply.text:.300}"]
    got = [item["embedding"] for item in json.loads(reply.body)["data"]]
    expected = [embedding["values"] for embedding in recording.answer["embeddings"]]
    return [] if got == expected else [f"{len(got)} vectors differ from the {len(expected)} recorded"]


# --- another dialect -----------------------------------------------------------------------------------------------


def _across(recording: Recording, client: str, reply: Reply) -> list[str]:
    recorded = recording.reading()
    if recorded.failure:
        return _failure_differences(recorded, client, reply)
    if reply.status != 200:
        return [f"status {reply.status}: {reply.text:.300}"]
    if not reply.headers["content-type"].startswith("text/event-stream" if recording.streamed else "application/json"):
        return [f"content type {reply.headers['content-type']}"]
    expected = in_words_of(recorded, client)
    if not recording.streamed:
        answer = json.loads(reply.body)
        return differences(expected, READERS[client].read_answer(answer)) + shapes.of_answer(client, answer)
    found = differences(expected, READERS[client].read_stream(reply.text)) + shapes.of_stream(client, reply.text)
    return found + (responses.inconsistencies(reply.text) if client == "responses" else [])


def in_words_of(recorded: Reading, client: str) -> Reading:
    """What a client of this dialect is to read: one choice where it knows but one, its own reasons to stop."""
    choices = recorded.choices if client == "chat" else recorded.choices[:1]
    carried = []
    for choice in choices:
        finish = TOOL_CALLS if choice.calls and choice.finish == STOP else choice.finish
        if finish == REFUSAL and not choice.refusal:
            finish = CONTENT_FILTER  # without words, what is cut off must not be taken for a whole answer
        carried.append(replace(choice, finish=CARRIED[client].get(finish, finish)))
    return replace(recorded, choices=carried)


def _failure_differences(recorded: Reading, client: str, reply: Reply) -> list[str]:
    """A stream in which the provider reported an error must not look like a success."""
    if reply.status >= 500:
        return []
    got = READERS[client].read_stream(reply.text)
    return [] if got.failure else [f"the provider failed ({recorded.failure:.100}) and the client was not told"]


def _error_differences(recording: Recording, client: str, reply: Reply) -> list[str]:
    expected = 502 if recording.status in OUR_FAULT else recording.status
    if reply.status != expected:
        return [f"status {reply.status} instead of {expected}: {reply.text:.300}"]
    try:
        value: Json = json.loads(reply.body)
        sentence = messages.error_message(reply.text) if client == "messages" else chat.error_message(value)
    except (ValueError, KeyError, AssertionError) as error:
        return [f"an error of another shape ({error!r}): {reply.text:.300}"]
    if recording.status in OUR_FAULT:
        return []
    said = chat.error_message(recording.answer)
    return [] if sentence == said[:MESSAGE_CHARACTERS] else [f"message {sentence!r:.200} instead of {said!r:.200}"]
