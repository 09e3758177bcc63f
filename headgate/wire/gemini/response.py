"""The shapes of a GenerateContentResponse, as far as headgate reads them, and how bytes become them.

Google writes proto3 JSON: members that are zero, empty or false are left out, so an absent count is a count of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headgate.errors import StreamFailed
from headgate.wire.gemini.errors import error_message

ABSENT = msgspec.Raw(b"null")
NULL = b"null"
TOO_DEEP = "it is nested too deeply"

RawParts = Sequence[Mapping[str, msgspec.Raw]]


class Blob(msgspec.Struct, rename="camel", gc=False):
    """Bytes in base64."""

    data: str = ""
    mime_type: str = ""


class FileData(msgspec.Struct, rename="camel", gc=False):
    """Bytes elsewhere."""

    file_uri: str = ""
    mime_type: str = ""


class PartialArgument(msgspec.Struct, rename="camel", gc=False):
    """A piece of one argument; strings come in several pieces, with `will_continue` on all but the last."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call, whole or (Vertex alone, when asked to) in pieces that go on while `will_continue`."""

    name: str | None = None
    id: str | None = None
    args: msgspec.Raw = ABSENT
    partial_args: tuple[PartialArgument, ...] | None = None
    will_continue: bool | None = None


class Part(msgspec.Struct, rename="camel"):
    """One piece of content. None of the members but the signature: a part that only Gemini knows."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None


class Content(msgspec.Struct):
    """What a candidate says; without parts when it says nothing."""

    parts: tuple[Part, ...] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One alternative, or more of it."""

    content: Content | None = None
    index: int | None = None
    finish_reason: str | int | None = None  # a number if the request asked for enums as numbers
    finish_message: str | None = None
    grounding_metadata: msgspec.Raw = ABSENT
    citation_metadata: msgspec.Raw = ABSENT
    logprobs_result: msgspec.Raw = ABSENT


class PromptFeedback(msgspec.Struct, rename="camel", gc=False):
    """Why there is no candidate at all."""

    block_reason: str | int | None = None


class Response(msgspec.Struct, rename="camel"):
    """A whole answer, or one event of a stream."""

    candidates: tuple[Candidate, ...] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: msgspec.Raw = ABSENT


class _RawContent(msgspec.Struct):
    parts: tuple[dict[str, msgspec.Raw], ...] | None = None


class _RawCandidate(msgspec.Struct):
    content: _RawContent | None = None


class _RawResponse(msgspec.Struct):
    candidates: tuple[_RawCandidate, ...] | None = None


_response = msgspec.json.Decoder(Response)
_responses = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_raw_response = msgspec.json.Decoder(_RawResponse)


def read_response(data: bytes) -> Response:
    """Raises ValueError for what is no such response, StreamFailed with the provider's words for an error."""
    try:
        response = _response.decode(data)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if response.error is not ABSENT and bytes(response.error) != NULL:
        raise StreamFailed(error_message(data))
    return response


def may_be_cut(data: bytes) -> bool:
    """Whether it writes characters as surrogate pairs, which may have lost a half; Google itself writes UTF-8."""
    return b"\\u" in data and (b"\\ud" in data or b"\\uD" in data)


def split_responses(body: bytes) -> tuple[bytes, ...]:
    """The responses in a body: one, or the events of a stream that was not asked for as SSE, as a JSON array.

    Raises ValueError.
    """
    if body.startswith(b"{") or not body.lstrip().startswith(b"["):
        return (body,)
    try:
        return tuple(bytes(raw) for raw in _responses.decode(body))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def read_raw_parts(data: bytes, position: int) -> RawParts:
    """The parts of the candidate at `position` as they came. Only for data that `read_response` has taken."""
    content = (_raw_response.decode(data).candidates or ())[position].content
    return (content.parts if content else None) or ()
