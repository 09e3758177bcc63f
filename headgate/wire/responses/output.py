"""Reads the items of an answer: what a model said, thought and called."""

from __future__ import annotations

import msgspec

from headgate.errors import StreamFailed
from headgate.wire.chunks import ThinkingSigned
from headgate.wire.neutral import Finish, Opaque, Part, Refusal, Text, Thinking, ToolCall
from headgate.wire.openai import error_message
from headgate.wire.responses.annotations import read_annotations
from headgate.wire.responses.parts import DIALECT
from headgate.wire.responses.thoughts import OWN, READABLE

SEAM = "\n\n"  # between the parts of one thought
NOTHING = msgspec.Raw(b"null")

_CONTENT_FILTER = "content_filter"


class ContentPart(msgspec.Struct):
    """A part of a message: `text` of output_text, or `refusal`."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: msgspec.Raw = NOTHING
    logprobs: msgspec.Raw = NOTHING


class MessageItem(msgspec.Struct):
    """What a model says."""

    content: list[ContentPart] | None = None


class TextPart(msgspec.Struct):
    """A part of a thought."""

    text: str | None = None


class ReasoningItem(msgspec.Struct):
    """What it thought: a summary, the thoughts themselves, or a form that only the provider can read."""

    id: str | None = None
    summary: list[TextPart] | None = None
    content: list[TextPart] | None = None
    encrypted_content: str | None = None

    @property
    def texts(self) -> list[str]:
        """The parts of the summary, and of the thoughts themselves where the provider does not keep them."""
        return [part.text for part in (*(self.summary or ()), *(self.content or ())) if part.text]


class CallItem(msgspec.Struct):
    """A function that it wants to be called."""

    name: str = ""
    id: str | None = None
    call_id: str | None = None
    arguments: str | None = None

    @property
    def called(self) -> str:
        """What the result must be sent back for."""
        return self.call_id or self.id or ""


class _Kind(msgspec.Struct):
    type: str = ""


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class ResponseView(msgspec.Struct):
    """The members of a response object that mean something."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    error: msgspec.Raw = NOTHING
    incomplete_details: _Incomplete | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NOTHING


_kind = msgspec.json.Decoder(_Kind)
message_item = msgspec.json.Decoder(MessageItem)
reasoning_item = msgspec.json.Decoder(ReasoningItem)
call_item = msgspec.json.Decoder(CallItem)
response_view = msgspec.json.Decoder(ResponseView)


def kind_of(item: msgspec.Raw) -> str:
    """The type of an item. Raises ValueError if it is no object."""
    return _kind.decode(item).type


def read_item(item: msgspec.Raw) -> list[Part]:
    """The neutral parts of one item; empty texts are none. Raises ValueError."""
    match kind_of(item):
        case "message":
            return [read for part in message_item.decode(item).content or () if (read := _said(part)) is not None]
        case "reasoning":
            thought = signed(reasoning_item.decode(item))
            return [thought] if thought.text or thought.redacted else []
        case "function_call":
            call = call_item.decode(item)
            return [ToolCall(call.called, call.name, call.arguments or "")]
        case other:
            return [Opaque(DIALECT, other, bytes(item))]


def _said(part: ContentPart) -> Part | None:
    if part.refusal:
        return Refusal(part.refusal)
    citations = tuple(read_annotations(part.annotations))
    return Text(part.text or "", citations) if part.text or citations else None


def signed(item: ReasoningItem) -> Thinking:
    """The thought of an item with all that must be sent back of it."""
    text = SEAM.join(item.texts)
    proof = proof_of(item, has_text=bool(text))
    return Thinking(text, proof.signature, proof.redacted, proof.origin, proof.id)


def proof_of(item: ReasoningItem, *, has_text: bool) -> ThinkingSigned:
    """What must be sent back of a thought beside its text."""
    encrypted = item.encrypted_content or ""
    if encrypted and has_text:
        return ThinkingSigned(signature=encrypted, origin=OWN, id=item.id or "")
    if encrypted:
        return ThinkingSigned(redacted=encrypted, origin=OWN, id=item.id or "")
    if item.content and has_text:
        return ThinkingSigned(signature=READABLE, origin=OWN)
    return ThinkingSigned()


def finish_of(response: ResponseView, kinds: set[str], *, refuses: bool) -> Finish:
    """Why the model stopped, from the final object, the kinds of its items, and whether it refused in words.

    Of all that a client can be asked to do, only functions are known to clients of other dialects.

    Raises StreamFailed, with the provider's words, for a response that failed, and ValueError for one that has not
    ended. A reason we do not know for an answer that is not complete is taken for its length.
    """
    status = response.status or ("completed" if bytes(response.error) == b"null" else "failed")
    if status == "incomplete":
        reason = response.incomplete_details and response.incomplete_details.reason
        return Finish.CONTENT_FILTER if reason == _CONTENT_FILTER else Finish.LENGTH
    if status in ("in_progress", "queued"):
        raise ValueError(f"the response's status is '{status}'")
    if status != "completed":
        raise failure(response.error, status)
    if "function_call" in kinds:
        return Finish.TOOL_CALLS
    return Finish.REFUSAL if refuses else Finish.STOP


def failure(error: msgspec.Raw, status: str) -> StreamFailed:
    """The error for a response that failed; `error` is what it says of that, in whatever shape."""
    words = f"the response's status is '{status}'" if bytes(error) == b"null" else error_message(bytes(error))
    return StreamFailed(f"The provider reported an error: {words}")
