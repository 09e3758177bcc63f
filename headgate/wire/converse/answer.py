"""Whole answers of Converse: bytes to neutral values."""

from __future__ import annotations

import msgspec

from headgate.errors import StreamFailed
from headgate.wire.converse.blocks import (
    ABSENT,
    ORIGIN,
    SERVER_TOOL,
    BytesSource,
    CitationView,
    ImageView,
    View,
    opaque,
    read_stop_sequence,
)
from headgate.wire.converse.finish import read_finish
from headgate.wire.converse.usage import read_usage
from headgate.wire.neutral import Answer, Audio, Choice, Part, Text, Thinking, ToolCall
from headgate.wire.surrogates import mend


class _ToolUse(View):
    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str | None = None


class _ReasoningText(View):
    text: str | None = None
    signature: str | None = None


class _Reasoning(View):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _GeneratedText(View):
    text: str | None = None


class _Cited(View):
    content: list[_GeneratedText] | None = None
    citations: list[CitationView] | None = None


class _Sound(View):
    format: str = ""
    source: BytesSource | None = None


class _Block(View):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None
    image: ImageView | None = None
    audio: _Sound | None = None


class _Message(View):
    content: list[msgspec.Raw] | None = None


class _Output(View):
    message: _Message | None = None


class _Response(View):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = ABSENT
    additional_model_response_fields: msgspec.Raw = ABSENT
    message: str | None = None  # an error's words


_response = msgspec.json.Decoder(_Response)
_block = msgspec.json.Decoder(_Block)


def read_answer(body: bytes) -> Answer:
    """Read an answer of status 200. It has no id and names no model.

    Raises ValueError for what is no answer, StreamFailed for an error in a 200 and for a model that gave up.
    """
    try:
        return _read(body)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.DecodeError:
        return _read(mend(body))


def _read(body: bytes) -> Answer:
    response = _response.decode(body)
    message = response.output.message if response.output else None
    if message is None or response.stop_reason is None:
        if response.message:
            raise StreamFailed(f"The provider reported an error: {response.message}")
        raise ValueError("it has no output message or no stop reason")
    parts = tuple(part for raw in message.content or () for part in _parts(raw))
    has_tool_calls = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(
        parts=parts,
        finish=read_finish(response.stop_reason, has_tool_calls=has_tool_calls),
        stop_sequence=read_stop_sequence(response.additional_model_response_fields),
    )
    return Answer(id="", model="", choices=(choice,), usage=read_usage(response.usage))


def _parts(raw: msgspec.Raw) -> tuple[Part, ...]:
    block = _block.decode(raw)
    if block.text is not None:
        return (Text(block.text),)
    if (tool := block.tool_use) is not None and tool.type != SERVER_TOOL:
        return (ToolCall(tool.tool_use_id, tool.name, bytes(tool.input).decode()),)
    if (reasoning := block.reasoning_content) is not None:
        return _thought(reasoning)
    if (cited := block.citations_content) is not None:
        text = "".join(piece.text or "" for piece in cited.content or ())
        return (Text(text, tuple(citation.value() for citation in cited.citations or ())),)
    if block.image is not None:
        return (block.image.value(),)
    if (sound := block.audio) is not None:
        return (Audio((sound.source.bytes if sound.source else None) or "", sound.format),)
    return (opaque(raw),)


def _thought(reasoning: _Reasoning) -> tuple[Part, ...]:
    if reasoning.redacted_content:
        return (Thinking(redacted=reasoning.redacted_content, origin=ORIGIN),)
    said = reasoning.reasoning_text or _ReasoningText()
    if not said.text and not said.signature:
        return ()
    return (Thinking(said.text or "", signature=said.signature or "", origin=ORIGIN if said.signature else ""),)
