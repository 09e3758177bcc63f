"""The story of `voices.py` as every API tells it in one JSON answer."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.hostile.voices import CALLS, THOUGHT, TOKENS_IN, TOKENS_OUT, VOICES, WORDS, Json

TEXT = "".join(WORDS)
CALLED = [(name, "".join(pieces)) for name, pieces in CALLS]


def _chat() -> Json:
    calls = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in CALLED
    ]
    message = {"role": "assistant", "content": TEXT, "reasoning_content": THOUGHT, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
    return {"id": "c1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], "usage": usage}


def _responses() -> Json:
    response: Json = VOICES["responses"].tell()[-1].payload["response"]
    return response


def _messages() -> Json:
    content: list[Json] = [
        {"type": "thinking", "thinking": THOUGHT, "signature": "c2ln"},
        {"type": "text", "text": TEXT},
    ]
    content += [
        {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": json.loads(arguments)}
        for name, arguments in CALLED
    ]
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**head, "content": content, "stop_reason": "tool_use", "stop_sequence": None, "usage": usage}


def _gemini() -> Json:
    parts: list[Json] = [{"text": THOUGHT, "thought": True}, {"text": TEXT}]
    parts += [{"functionCall": {"name": name, "args": json.loads(arguments)}} for name, arguments in CALLED]
    usage = {"promptTokenCount": TOKENS_IN, "candidatesTokenCount": TOKENS_OUT}
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"}


def _converse() -> Json:
    content: list[Json] = [{"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": "c2ln"}}}]
    content.append({"text": TEXT})
    content += [
        {"toolUse": {"toolUseId": f"tooluse_{name}", "name": name, "input": json.loads(arguments)}}
        for name, arguments in CALLED
    ]
    usage = {"inputTokens": TOKENS_IN, "outputTokens": TOKENS_OUT, "totalTokens": TOKENS_IN + TOKENS_OUT}
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use", "usage": usage}


ANSWERS: Mapping[str, Json] = {
    "chat": _chat(),
    "responses": _responses(),
    "messages": _messages(),
    "gemini": _gemini(),
    "converse": _converse(),
}
