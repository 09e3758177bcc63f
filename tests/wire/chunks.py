"""Events of OpenAI's streams, to build streams from."""

from __future__ import annotations

import json
from typing import Any

from headgate.wire import sse

DONE = b"data: [DONE]\n\n"
ROLE = {"role": "assistant", "content": ""}


def event(value: object) -> bytes:
    return sse.frame(json.dumps(value, ensure_ascii=False).encode())


def chunk(*choices: dict[str, Any], **members: Any) -> bytes:
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": list(choices), **members})


def choice(delta: object, finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def role(index: int = 0) -> bytes:
    return chunk(choice(ROLE, index=index))


def text(words: str, index: int = 0) -> bytes:
    return chunk(choice({"content": words}, index=index))


def stop(reason: str = "stop", index: int = 0) -> bytes:
    return chunk(choice({}, reason, index))


def usage(tokens_in: int = 7, tokens_out: int = 3, **members: Any) -> bytes:
    return chunk(usage={"prompt_tokens": tokens_in, "completion_tokens": tokens_out, **members})


ANSWER = role() + text("Hello") + text(" there") + stop()
