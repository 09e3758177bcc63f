"""Recorded exchanges: where they come from, what each is an example of, and how an upstream plays it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zstandard

from tests.conformance import chat, converse, frames, gemini, messages, responses
from tests.conformance.meaning import Json, Reading
from tests.golden.exchanges import Exchange

SAMPLE = Path(__file__).with_name("sample.jsonl.zst")

# API of the recording -> the dialect it is in.
GENERATING = {
    "chat.completions": "chat",
    "responses": "responses",
    "messages": "messages",
    "generateContent": "gemini",
    "converse": "converse",
}
PASSED_ON = {"completions": "completions", "embeddings": "embeddings", "count_tokens": "count_tokens"}
# Under these names, but not in OpenAI's dialect nor in Anthropic's.
OTHER_DIALECTS = {
    ("cohere", "embeddings"),
    ("vertex", "embeddings"),
    ("openai", "count_tokens"),
    ("gemini", "count_tokens"),
}
# What the events of each API have, where a stream is known by its events alone.
MARKS = {
    "chat.completions": "choices",
    "generateContent": "candidates",
    "converse": "contentBlockDelta",
    "typed": "type",
}
CALLED = {"amazon-bedrock": "bedrock", "google": "gemini", "azure": "azure-openai"}
NATIVE = {"anthropic": "messages", "gemini": "generateContent"}
READERS = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini, "converse": converse}


@dataclass(frozen=True)
class Recording:
    """One request and its answer. `answer` is a JSON answer or error, `stream` a stream as it came."""

    id: str
    provider: str
    api: str
    method: str
    model: str
    streamed: bool
    status: int
    request: Any
    answer: Any
    stream: str | bytes | None
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.provider}-{self.api}-{self.id}"

    @property
    def dialect(self) -> str:
        """What the provider speaks in it, empty if that is outside the surface."""
        if self.method != "POST" or (self.provider, self.api) in OTHER_DIALECTS:
            return ""
        if self.api == "embeddings" and self.provider == "gemini":
            return "embed_contents"
        return GENERATING.get(self.api) or PASSED_ON.get(self.api, "")

    @property
    def is_error(self) -> bool:
        return self.status != 200

    @property
    def body(self) -> bytes:
        """What the upstream sends."""
        if isinstance(self.stream, bytes):
            return self.stream
        return json.dumps(self.answer).encode() if self.stream is None else self.stream.encode("utf-8", "surrogatepass")

    def reading(self) -> Reading:
        """What an onlooker understands of it."""
        reader = READERS[self.dialect]
        return reader.read_answer(self.answer) if self.stream is None else reader.read_stream(self.stream)


def from_row(row: Json) -> Recording:
    """A row of the data file, or of the sample."""
    answer, stream = row["response_body"], row["response_text"]
    streamed = bool(row["stream"])
    if row["status"] != 200 and stream is not None:
        answer, stream = json.loads(stream), None  # an error that was answered to a request for a stream
    elif row["status"] == 200 and isinstance(answer, list) and row["api"] == "generateContent":
        # Without alt=sse, which headgate always asks for, Google sends the events of a stream as one list.
        stream = "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in answer)
        answer = None
    return Recording(
        id=row["id"],
        provider=row["provider"],
        api=row["api"],
        method=row.get("method", "POST"),
        model=row["model"] or "",
        streamed=streamed,
        status=row["status"],
        request=row["request_body"],
        answer=answer,
        stream=stream,
        tags=tuple(row.get("tags") or ()),
    )


def in_pieces(recording: Recording) -> Recording:
    """A whole answer of Bedrock as the stream that says the same; nobody has recorded one."""
    return replace(recording, streamed=True, answer=None, stream=converse.stream_of(recording.answer))


def from_golden(exchange: Exchange) -> Recording:
    """One of the exchanges in OpenAI's dialect that the project keeps."""
    return Recording(
        id=exchange.id,
        provider=exchange.provider,
        api=exchange.api,
        method="POST",
        model=exchange.model or "",
        streamed=exchange.stream,
        status=exchange.status,
        request=exchange.request,
        answer=exchange.response,
        stream=exchange.response_text,
        tags=tuple(exchange.tags),
    )


def from_chunks(row: Json) -> Recording | None:
    """A stream of which only the events were kept, written down as its API sends them; None if no API of ours does."""
    chunks = _first_turn(row["chunks"])
    api = next((api for api, mark in MARKS.items() if any(mark in chunk for chunk in chunks)), None)
    if api == "typed":
        api = "responses" if str(chunks[0]["type"]).startswith("response.") else "messages"
    if api is None or "interaction" in chunks[0] or chunks[0].get("type") == "message-start":
        return None
    stream: str | bytes = "".join(_sse(chunk) for chunk in chunks) + ("data: [DONE]\n\n" * (api == "chat.completions"))
    if api == "converse":
        stream = b"".join(frames.aws_frame(kind, payload) for chunk in chunks for kind, payload in chunk.items())
    provider = CALLED.get(row["provider"], row["provider"])
    return Recording(row["name"], provider, api, "POST", "", True, 200, None, None, stream)


def _first_turn(chunks: list[Json]) -> list[Json]:
    """Some hold the streams of several turns, one after the other."""
    stops = [at for at, chunk in enumerate(chunks) if chunk.get("type") in ("message_stop", *responses.ENDS)]
    return chunks[: stops[0] + 1] if stops else chunks


def _sse(chunk: Json) -> str:
    name = f"event: {chunk['type']}\n" if "type" in chunk else ""
    return f"{name}data: {json.dumps(chunk)}\n\n"


def from_observed_error(row: Json, number: int) -> Recording:
    """An error that somebody showed in public. Where only its sentence was, it is put into OpenAI's shape."""
    provider, _, compatible = row["provider"].partition(" ")
    api = "chat.completions" if compatible else NATIVE.get(provider, "chat.completions")
    body = row["body"]
    if "message_only" in body:
        body = {"error": {"message": body["message_only"], "type": "error", "param": None, "code": None}}
    kind = "openai" if compatible else provider
    return Recording(f"error-{number}", kind, api, "POST", "", False, row["status"], None, body, None)


def rows(path: Path) -> Iterator[Json]:
    """The rows of a compressed file. Its lines end with \\n alone: other line separators are inside the data."""
    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    return (json.loads(line) for line in data.decode().split("\n") if line)


def load(path: Path) -> list[Recording]:
    """All exchanges of a file."""
    return [from_row(row) for row in rows(path)]
