"""Content blocks of answers, as Claude writes them and as a client is shown the parts of any answer."""

from __future__ import annotations

import msgspec

from headgate.wire.messages.citations import CitationView, write_citation
from headgate.wire.messages.ids import allowed_id
from headgate.wire.neutral import (
    Citation,
    File,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from headgate.wire.seals import seal

DIALECT = "messages"
ORIGIN = "anthropic"  # whose signatures stand in these blocks unsealed
ABSENT = msgspec.Raw(b"null")
NO_INPUT = b"{}"

Block = dict[str, object]


class BlockView(msgspec.Struct):
    """A block of an answer, as far as the neutral model has words for it."""

    type: str
    text: str | None = None
    citations: msgspec.Raw = ABSENT
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT


class _Kind(msgspec.Struct):
    type: str


KNOWN = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_kind = msgspec.json.Decoder(_Kind)
_view = msgspec.json.Decoder(BlockView)
_citations = msgspec.json.Decoder(list[CitationView] | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_view(raw: msgspec.Raw) -> BlockView:
    """The members of a block; of one that only Anthropic knows, its type alone. Raises ValueError."""
    kind = _kind.decode(raw).type
    return _view.decode(raw) if kind in KNOWN else BlockView(kind)


def read_block(raw: msgspec.Raw) -> Part | None:
    """A block of a whole answer, None if it says nothing. Raises ValueError."""
    view = read_view(raw)
    match view.type:
        case "text":
            citations = read_citations(view.citations)
            return Text(view.text or "", citations) if view.text or citations else None
        case "thinking":
            signature = view.signature or ""
            return Thinking(view.thinking or "", signature, origin=ORIGIN if signature else "")
        case "redacted_thinking":
            return Thinking(redacted=view.data or "", origin=ORIGIN)
        case "tool_use":
            return ToolCall(view.id or "", view.name or "", read_input(view.input).decode())
        case _:
            return Opaque(DIALECT, view.type, bytes(raw))


def read_citations(raw: msgspec.Raw) -> tuple[Citation, ...]:
    """The citations of a text block."""
    return tuple(view.value() for view in _citations.decode(raw) or ())


def read_input(raw: msgspec.Raw) -> bytes:
    """The JSON of a tool's input, {} if there is none."""
    return NO_INPUT if bytes(raw) == b"null" else bytes(raw)


def write_blocks(part: Part) -> list[Block | msgspec.Raw]:
    """The blocks that show a client a part of an answer; none for what Messages has no place for."""
    match part:
        case Text():
            citations = [write_citation(citation) for citation in part.citations]
            return [{"type": "text", "text": part.text, "citations": citations or None}]
        case Refusal():
            return [{"type": "text", "text": part.text, "citations": None}]
        case Thinking():
            return [*_thoughts(part)]
        case ToolCall():
            signed = [signed_call(part.origin, part.signature)] if part.signature else []
            return [*signed, {**tool_use(part.id, part.name), "input": json_object(part.arguments)}]
        case Image(data=data, media_type=media_type) if data:
            return [{"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}]
        case Image(url=url):
            return [{"type": "image", "source": {"type": "url", "url": url}}]
        case File(data=data, media_type=media_type) if data:
            return [{"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}}]
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return [one_line(raw)]
        case _:
            return []


def tool_use(call_id: str, name: str) -> Block:
    """The block of a tool call whose input is still to come."""
    return {"type": "tool_use", "id": allowed_id(call_id), "name": name, "input": {}}


def signed_call(origin: str, signature: str) -> Block:
    """The block before a tool call that keeps the call's signature, which tool_use has no place for."""
    return {"type": "thinking", "thinking": "", "signature": sealed(origin, signature)}


def sealed(origin: str, signature: str) -> str:
    """A signature as clients of Messages see it: Anthropic's own as it is."""
    return signature if origin in ("", ORIGIN) else seal(origin, signature)


def json_object(arguments: str) -> msgspec.Raw | Block:
    """The input of a tool call. Arguments that are no JSON object, as of an answer that was cut short, are kept as text
    under one name, so that nothing is lost and nobody takes them for what the tool wants."""
    data = arguments.encode(errors="replace") or NO_INPUT
    try:
        _members.decode(data)
    except (ValueError, RecursionError):
        return {"malformed_arguments": arguments}
    return msgspec.Raw(data)


def _thoughts(thought: Thinking) -> list[Block]:
    blocks: list[Block] = []
    if thought.text or thought.signature:
        signature = sealed(thought.origin, thought.signature)
        blocks.append({"type": "thinking", "thinking": thought.text, "signature": signature})
    if thought.redacted:
        blocks.append({"type": "redacted_thinking", "data": sealed(thought.origin, thought.redacted)})
    return blocks


def one_line(raw: bytes) -> msgspec.Raw:
    """A block as it came, without line ends: those would break an event."""
    return msgspec.Raw(msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw)
