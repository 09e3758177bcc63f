"""Whether what headgate wrote has the shape that the vendors' own packages declare, every member of it."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from tests.conformance import frames
from tests.conformance.meaning import Json

ANSWERS: dict[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletion),
    "responses": TypeAdapter(Response),
    "messages": TypeAdapter(Message),
}
EVENTS: dict[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletionChunk),
    "responses": TypeAdapter(ResponseStreamEvent),
    "messages": TypeAdapter(RawMessageStreamEvent),
}


def of_answer(client: str, answer: Json) -> list[str]:
    """What is wrong with a whole answer."""
    return _problems(ANSWERS[client], answer)


def of_stream(client: str, stream: str) -> list[str]:
    """What is wrong with the first event that is not as it should be."""
    values = (json.loads(payload) for payload in frames.payloads(stream) if payload != frames.DONE)
    events = (value for value in values if value.get("type") != "ping")  # which SDKs swallow
    return next((problems for value in events if (problems := _problems(EVENTS[client], value))), [])


def _problems(shape: TypeAdapter[Any], value: Json) -> list[str]:
    try:
        shape.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        return [f"not the declared shape: {'.'.join(map(str, first['loc']))}: {first['msg']} ({str(value)[:120]})"]
    return []
