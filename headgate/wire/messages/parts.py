"""Content blocks of a caller's messages: what each says in neutral parts, and what it says beyond them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire.members import read_member, says_nothing
from headgate.wire.messages.blocks import ABSENT, DIALECT, ORIGIN, read_input
from headgate.wire.messages.citations import CitationView
from headgate.wire.messages.ids import original_id
from headgate.wire.neutral import (
    File,
    Image,
    Leftover,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.seals import unseal

SIGNS_CALLS = "gemini"  # the provider that signs tool calls, so that an empty thought of its before one is the call's


class CacheControl(msgspec.Struct):
    """A cache mark: up to here, for five minutes or an hour."""

    type: str = "ephemeral"
    ttl: str | None = None

    def value(self) -> str:
        """ "5m" or "1h"."""
        return self.ttl or "5m"


class _Source(msgspec.Struct):
    """Where an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = ABSENT


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    source: msgspec.Raw = ABSENT
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    tool_use_id: str | None = None
    content: msgspec.Raw = ABSENT
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: msgspec.Raw = ABSENT
    cache_control: CacheControl | None = None

    @property
    def cache(self) -> str:
        return self.cache_control.value() if self.cache_control else ""


class _CitationsWanted(msgspec.Struct):
    enabled: bool | None = None


class _Kind(msgspec.Struct):
    type: str


_MEMBERS = {
    "text": {"type", "text", "citations", "cache_control"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "title", "citations", "cache_control"},
    "tool_use": {"type", "id", "name", "input", "cache_control"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
_REQUIRED = {
    "text": "text",
    "image": "source",
    "document": "source",
    "tool_use": "name",
    "tool_result": "tool_use_id",
    "thinking": "thinking",
    "redacted_thinking": "data",
}
_DIRECT_CALL = b'{"type":"direct"}'

_content = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
_kind = msgspec.json.Decoder(_Kind)
_block = msgspec.json.Decoder(_Block)
_source = msgspec.json.Decoder(_Source)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_citations_wanted = msgspec.json.Decoder(_CitationsWanted | None)
_citations = msgspec.json.Decoder(list[CitationView] | None)


class PartReader:
    """Reads the blocks of one request. `leftovers` are what the neutral model has no word for."""

    def __init__(self) -> None:
        self.leftovers: list[Leftover] = []
        self._names: dict[str, str] = {}  # of the tools that were called, by the call's id

    def content(self, raw: msgspec.Raw, where: str) -> tuple[Part, ...]:
        """The parts of a message. Raises InvalidRequest, naming the place that is wrong."""
        content = read_member(_content, raw, where)
        if isinstance(content, str):
            return (Text(content),)
        return with_signed_calls([self._part(block, f"{where}[{index}]") for index, block in enumerate(content or ())])

    def leave_unknown(self, members: dict[str, msgspec.Raw], known: set[str], where: str) -> None:
        """Note the members that are not known and say something."""
        for name, value in members.items():
            if name not in known and not says_nothing(value) and not (name == "caller" and _is_direct(value)):
                self.leftovers.append(Leftover(f"{where}.{name}" if where else name))

    def _part(self, raw: msgspec.Raw, where: str) -> Part:
        kind = read_member(_kind, raw, where).type
        if kind not in _MEMBERS:
            return Opaque(DIALECT, kind, bytes(raw))
        members, block = read_member(_members, raw, where), read_member(_block, raw, where)
        if _REQUIRED[kind] not in members:
            place = f"{where}.{_REQUIRED[kind]}"
            raise InvalidRequest(f"The member '{place}' is missing.", param=place)
        part = self._known(block, raw, where)
        if not isinstance(part, Opaque):  # which keeps all its members
            self.leave_unknown(members, _MEMBERS[kind], where)
        return part

    def _known(self, block: _Block, raw: msgspec.Raw, where: str) -> Part:
        match block.type:
            case "image":
                return self._image(block, raw, where)
            case "document":
                return self._document(block, raw, where)
            case "text":
                citations = read_member(_citations, block.citations, f"{where}.citations") or ()
                return Text(block.text or "", tuple(citation.value() for citation in citations), block.cache)
            case "tool_use":
                call_id, name = original_id(block.id or ""), block.name or ""
                self._names[call_id] = name
                arguments = read_input(block.input).decode(errors="replace")
                return ToolCall(call_id, name, arguments, cache=block.cache)
            case "tool_result":
                return self._tool_result(block, where)
            case "thinking":
                origin, signature = unseal(block.signature or "", ORIGIN)
                return Thinking(block.thinking or "", signature, origin=origin)
            case _:
                origin, redacted = unseal(block.data or "", ORIGIN)
                return Thinking(redacted=redacted, origin=origin)

    def _tool_result(self, block: _Block, where: str) -> ToolResult:
        call_id = original_id(block.tool_use_id or "")
        parts: list[Text | Image | File] = []
        for index, part in enumerate(self.content(block.content, f"{where}.content")):
            if isinstance(part, Text | Image | File):
                parts.append(part)
            else:
                self.leftovers.append(Leftover(f"{where}.content[{index}]"))
        return ToolResult(call_id, tuple(parts), bool(block.is_error), self._names.get(call_id, ""), block.cache)

    def _image(self, block: _Block, raw: msgspec.Raw, where: str) -> Image | Opaque:
        source = read_member(_source, block.source, f"{where}.source")
        if source.type == "base64":
            return Image(source.media_type or "", source.data or "", cache=block.cache)
        if source.type == "url":
            return Image(url=source.url or "", cache=block.cache)
        return Opaque(DIALECT, block.type, bytes(raw))

    def _document(self, block: _Block, raw: msgspec.Raw, where: str) -> File | Opaque:
        source = read_member(_source, block.source, f"{where}.source")
        file = self._file(source, where)
        if file is None:
            return Opaque(DIALECT, block.type, bytes(raw))
        wanted = read_member(_citations_wanted, block.citations, f"{where}.citations")
        if wanted is not None and wanted.enabled:
            self.leftovers.append(Leftover(f"{where}.citations"))
        return msgspec.structs.replace(file, name=block.title or "", cache=block.cache)

    def _file(self, source: _Source, where: str) -> File | None:
        match source.type:
            case "base64":
                return File(media_type=source.media_type or "application/pdf", data=source.data or "")
            case "text":
                return File(media_type=source.media_type or "text/plain", text=source.data or "")
            case "url":
                return File(url=source.url or "")
            case "file":
                return File(file_id=source.file_id or "")
            case "content":
                parts = self.content(source.content, f"{where}.source.content")
                texts = [part.text for part in parts if isinstance(part, Text)]
                is_text = len(texts) == len(parts)
                return File(media_type="text/plain", text="\n".join(texts)) if is_text else None
            case _:
                return None


def with_signed_calls(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with every empty thought that carries the signature of the tool call after it put into that call."""
    joined: list[Part] = []
    for part in parts:
        before = joined[-1] if joined else None
        if isinstance(part, ToolCall) and isinstance(before, Thinking) and _signs_a_call(before):
            joined[-1] = msgspec.structs.replace(part, signature=before.signature, origin=before.origin)
        else:
            joined.append(part)
    return tuple(joined)


def _signs_a_call(thought: Thinking) -> bool:
    return thought.origin == SIGNS_CALLS and bool(thought.signature) and not thought.text


def _is_direct(caller: msgspec.Raw) -> bool:
    return b"".join(bytes(caller).split()) == _DIRECT_CALL
