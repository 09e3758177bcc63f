"""Whole answers: a message of Anthropic's to the neutral model and back."""

from __future__ import annotations

import msgspec

from headgate.errors import StreamFailed
from headgate.types import Usage
from headgate.wire.dialect import ReplyContext
from headgate.wire.messages.blocks import ABSENT, Block, read_block, write_blocks
from headgate.wire.messages.stops import StopDetails, calls_tools, read_finish, write_finish
from headgate.wire.messages.usage import WrittenUsage, read_usage, write_usage
from headgate.wire.neutral import Answer, Choice, Finish, Part, Refusal, Text, Thinking, ToolCall
from headgate.wire.surrogates import mend


class _ErrorView(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class MessageView(msgspec.Struct):
    """A message, whole or as it begins a stream."""

    id: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = ABSENT
    error: _ErrorView | None = None


class _PlainText(msgspec.Struct, tag_field="type", tag="text", gc=False):
    text: str
    citations: None = None


class _Message(msgspec.Struct, tag_field="type", tag="message", kw_only=True):
    id: str
    role: str = "assistant"
    model: str | msgspec.Raw
    content: list[_PlainText | Block | msgspec.Raw]
    stop_reason: str
    stop_sequence: str | None
    usage: WrittenUsage


_encoder = msgspec.json.Encoder()
_message = msgspec.json.Decoder(MessageView)


def read_answer(body: bytes) -> Answer:
    """Raises ValueError for what is no message, StreamFailed for an error inside a 200."""
    if not body.isascii():
        body.decode()  # msgspec does not look into members that nobody reads
    try:
        return _read(body)
    except (ValueError, RecursionError) as error:
        mended = mend(body)
        if mended == body:
            raise ValueError(str(error)) from None
    return _read(mended)


def _read(body: bytes) -> Answer:
    view = _message.decode(body)
    if view.error is not None:
        raise provider_failed(view.error.type, view.error.message)
    if view.content is None:
        raise ValueError("a message without content")
    parts = tuple(part for part in map(read_block, view.content) if part is not None)
    finish = Finish.TOOL_CALLS if calls_tools(parts) else Finish.STOP
    if view.stop_reason:
        finish = read_finish(view.stop_reason)
    if view.stop_details and view.stop_details.explanation:
        parts = (*parts, Refusal(view.stop_details.explanation))
    choice = Choice(parts, finish, stop_sequence=view.stop_sequence or "")
    return Answer(view.id or "", view.model or "", (choice,), read_usage([view.usage]))


def provider_failed(kind: str | None, message: str | None) -> StreamFailed:
    """The error for one that the provider tells inside a 200, in its own words."""
    words = message or kind or "no message"
    return StreamFailed(f"The provider reported an error: {words}" + (f" ({kind})." if kind and message else "."))


def head(answer_id: str, model: str, context: ReplyContext) -> Block:
    """What every message begins with; a provider that does not say which model it was gave the one asked for."""
    return {
        "id": answer_id or f"msg_{context.request_id}",
        "type": "message",
        "role": "assistant",
        "model": model or context.fields.get("model", ""),
    }


_SHOWN = (Text, Thinking, ToolCall)


def shows(part: Part) -> bool:
    """Whether a client of Messages is shown a part."""
    return isinstance(part, _SHOWN) or bool(write_blocks(part))


def write_answer(answer: Answer, context: ReplyContext) -> bytes:
    """A message. Messages has one choice, so that only the first is shown."""
    choice = answer.choices[0] if answer.choices else Choice((), Finish.STOP)
    message = _Message(
        id=answer.id or f"msg_{context.request_id}",
        model=answer.model or context.fields.get("model", ""),
        content=[],
        stop_reason=write_finish(choice.finish, calls_tools=calls_tools(choice.parts)),
        stop_sequence=choice.stop_sequence or None,
        usage=write_usage(answer.usage or Usage()),
    )
    for part in choice.parts:
        if isinstance(part, Text) and not part.citations:
            message.content.append(_PlainText(part.text))  # what most answers are is made without a dictionary
        else:
            message.content += write_blocks(part)
    return _encoder.encode(message)
