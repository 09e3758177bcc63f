"""What a client is told: the response object and its items, as OpenAI's SDKs and agents expect them.

The object repeats what the caller asked for, because agents read it from there. Ids are made from the answer's own, so
that the same answer always has the same ones.
"""

from __future__ import annotations

import re

import msgspec

from headgate.types import Usage
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Finish
from headgate.wire.responses.usage import WrittenUsage, write_usage

COMPLETED, INCOMPLETE, IN_PROGRESS = "completed", "incomplete", "in_progress"
MAX_SUFFIX_CHARACTERS = 48  # of 64 that OpenAI allows an id
_NOT_FOR_IDS = re.compile(r"[^A-Za-z0-9_-]")
_PREFIX = "resp_"


class OutputText(msgspec.Struct, tag_field="type", tag="output_text"):
    """A text. Annotations and log probabilities are JSON already."""

    text: str
    annotations: list[msgspec.Raw]
    logprobs: list[msgspec.Raw]


class OutputRefusal(msgspec.Struct, tag_field="type", tag="refusal"):
    """A refusal."""

    refusal: str


class Summary(msgspec.Struct, tag_field="type", tag="summary_text"):
    """A thought, as far as it may be read."""

    text: str


class Message(msgspec.Struct, tag_field="type", tag="message"):
    """What the model says."""

    id: str
    status: str
    content: list[OutputText | OutputRefusal]
    role: str = "assistant"


class Reasoning(msgspec.Struct, tag_field="type", tag="reasoning", omit_defaults=True):
    """What it thought."""

    id: str
    summary: list[Summary]
    encrypted_content: str = ""


class FunctionCall(msgspec.Struct, tag_field="type", tag="function_call"):
    """A call it asks for."""

    id: str
    status: str
    arguments: str
    call_id: str
    name: str


class GeneratedImage(msgspec.Struct, tag_field="type", tag="image_generation_call"):
    """An image it made: `result` is base64."""

    id: str
    status: str
    output_format: str
    result: str


Item = Message | Reasoning | FunctionCall | GeneratedImage | msgspec.Raw


class _IncompleteDetails(msgspec.Struct):
    reason: str


class Response(msgspec.Struct):
    """The response object. Raw members are the caller's own words, or what the API takes for them."""

    id: str
    created_at: int
    status: str
    incomplete_details: _IncompleteDetails | None
    instructions: msgspec.Raw
    max_output_tokens: msgspec.Raw
    max_tool_calls: msgspec.Raw
    model: str
    output: list[Item]
    parallel_tool_calls: msgspec.Raw
    prompt_cache_key: msgspec.Raw
    reasoning: msgspec.Raw
    safety_identifier: msgspec.Raw
    temperature: msgspec.Raw
    text: msgspec.Raw
    tool_choice: msgspec.Raw
    tools: msgspec.Raw
    top_logprobs: msgspec.Raw
    top_p: msgspec.Raw
    truncation: msgspec.Raw
    usage: WrittenUsage | None
    user: msgspec.Raw
    metadata: msgspec.Raw
    object: str = "response"
    background: bool = False
    error: None = None
    previous_response_id: None = None
    service_tier: str = "default"
    store: bool = False

    def finish(self, output: list[Item], finish: Finish, usage: Usage | None, refused: bool) -> None:
        """Make it final. A refusal without words of its own was somebody's filter."""
        reason = _INCOMPLETE.get(finish)
        if finish is Finish.REFUSAL and not refused:
            reason = "content_filter"
        self.status = INCOMPLETE if reason else COMPLETED
        self.incomplete_details = _IncompleteDetails(reason) if reason else None
        self.output = output
        self.usage = write_usage(usage) if usage else None


_INCOMPLETE = {
    Finish.LENGTH: "max_output_tokens",
    Finish.PAUSE: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
}
# Members that are repeated, and what stands there when the caller said nothing.
_REPEATED = {
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "parallel_tool_calls": b"true",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "temperature": b"null",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"null",
    "truncation": b'"disabled"',
    "user": b"null",
    "metadata": b"{}",
}


class Ids:
    """The ids of one response and its items."""

    def __init__(self, answer_id: str, request_id: str) -> None:
        self._suffix = _NOT_FOR_IDS.sub("-", answer_id.removeprefix(_PREFIX) or request_id)[:MAX_SUFFIX_CHARACTERS]
        self.response = _PREFIX + self._suffix

    def item(self, prefix: str, output_index: int) -> str:
        """`prefix` says what it is: msg, rs, fc, ig."""
        return f"{prefix}_{self._suffix}_{output_index}"


def new_response(context: ReplyContext, response_id: str, model: str, created: int) -> Response:
    """A response that has begun."""
    repeated = {name: _said(context, name, default) for name, default in _REPEATED.items()}
    return Response(
        id=response_id,
        created_at=created or context.created,
        status=IN_PROGRESS,
        incomplete_details=None,
        model=model or _model(context),
        output=[],
        usage=None,
        **repeated,
    )


def _said(context: ReplyContext, name: str, default: bytes) -> msgspec.Raw:
    raw = context.fields.get(name)
    return msgspec.Raw(default) if raw is None or bytes(raw) == b"null" else raw


def _model(context: ReplyContext) -> str:
    """What the caller asked for, when the provider does not say who answered."""
    raw = context.fields.get("model")
    return msgspec.json.decode(raw, type=str) if raw is not None else ""
