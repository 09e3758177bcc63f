"""What a client is told: the response object and its items, as OpenAI's SDKs and agents expect them.

The object repeats what the caller asked for, because agents read it from there. Ids are made from the answer's own, so
that the same answer always has the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from headgate.types import Usage
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Finish, Image
from headgate.wire.responses.usage import WrittenUsage, write_usage

COMPLETED, INCOMPLETE, IN_PROGRESS = "completed", "incomplete", "in_progress"
MAX_SUFFIX_CHARACTERS = 48  # of 64 that OpenAI allows an id
_NOT_FOR_IDS = re.compile(r"[^A-Za-z0-9_-]")
_PREFIX = "resp_"
_OURS = "hg"  # begins the ids of our items, behind what kind they are
OUR_THOUGHTS = f"rs_{_OURS}"


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


class _Response(msgspec.Struct):
    """The members of a response object that are ours to say. Nothing is kept, so nothing can be continued."""

    id: str
    created_at: int
    model: str
    status: str
    output: Sequence[Item]
    incomplete_details: _IncompleteDetails | None
    usage: WrittenUsage | None
    object: str = "response"
    background: bool = False
    error: None = None
    previous_response_id: None = None
    service_tier: str = "default"
    store: bool = False


_INCOMPLETE = {
    Finish.LENGTH: "max_output_tokens",
    Finish.PAUSE: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
}
# Members that are repeated from the request, and what the API says of them when the caller said nothing.
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


class Reply:
    """One response while it is told: its ids, and the object at any moment."""

    def __init__(self, context: ReplyContext, answer_id: str, model: str, created: int) -> None:
        suffix = _NOT_FOR_IDS.sub("-", answer_id.removeprefix(_PREFIX) or context.request_id)
        self._suffix = suffix[:MAX_SUFFIX_CHARACTERS]
        self._model = model or _model_asked_for(context)
        self._created = created or context.created
        self._repeated = b",".join(
            b'"%s":%s' % (name.encode(), _said(context, name, default)) for name, default in _REPEATED.items()
        )

    def item_id(self, prefix: str, output_index: int) -> str:
        """`prefix` says what it is: msg, rs, fc, ig."""
        return f"{prefix}_{_OURS}{output_index}_{self._suffix}"

    def begun(self) -> msgspec.Raw:
        """The object before anything was said."""
        return self._object(IN_PROGRESS, (), None, None)

    def ended(self, output: Sequence[Item], finish: Finish, usage: Usage | None) -> msgspec.Raw:
        """The object of the whole answer."""
        reason = _reason(output, finish)
        details = _IncompleteDetails(reason) if reason else None
        return self._object(INCOMPLETE if reason else COMPLETED, output, details, usage)

    def _object(
        self, status: str, output: Sequence[Item], details: _IncompleteDetails | None, usage: Usage | None
    ) -> msgspec.Raw:
        own = _Response(
            id=_PREFIX + self._suffix,
            created_at=self._created,
            model=self._model,
            status=status,
            output=output,
            incomplete_details=details,
            usage=write_usage(usage) if usage else None,
        )
        return msgspec.Raw(msgspec.json.encode(own)[:-1] + b"," + self._repeated + b"}")


def is_complete(output: Sequence[Item], finish: Finish) -> bool:
    """Whether the answer ends with `response.completed`."""
    return not _reason(output, finish)


def _reason(output: Sequence[Item], finish: Finish) -> str:
    """Why the answer is not complete. A refusal that the model has no words for is a filter's."""
    if finish is Finish.REFUSAL:
        parts = (part for item in output if isinstance(item, Message) for part in item.content)
        return "" if any(isinstance(part, OutputRefusal) for part in parts) else "content_filter"
    return _INCOMPLETE.get(finish, "")


def _said(context: ReplyContext, name: str, default: bytes) -> bytes:
    raw = bytes(context.fields.get(name, default))
    return default if raw == b"null" else raw


def _model_asked_for(context: ReplyContext) -> str:
    """For providers that do not say who answered."""
    raw = context.fields.get("model")
    return "" if raw is None else msgspec.json.decode(raw, type=str)


def status_of_last(finish: Finish) -> str:
    """The status of an answer's last item: it is cut off with the answer."""
    return INCOMPLETE if finish in _INCOMPLETE else COMPLETED


def generated_image(image: Image, item_id: str) -> GeneratedImage:
    """An image that the model made."""
    output_format = image.media_type.rpartition("/")[2] or "png"
    return GeneratedImage(item_id, COMPLETED, output_format, image.data or image.url)


class _Logprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_logprobs = msgspec.json.Decoder(_Logprobs)


def logprobs_of(neutral: msgspec.Raw) -> list[msgspec.Raw]:
    """The entries of log probabilities in the neutral shape, which are the same here."""
    return _logprobs.decode(neutral).content or []
