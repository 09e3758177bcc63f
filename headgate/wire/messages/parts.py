"""Content blocks of a caller's messages: what each says in neutral parts, and what it says beyond them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire.members import read_member, says_nothing
from headgate.wire.messages.blocks import ABSENT, DIALECT, ORIGIN, read_input
from headgate.wire.messages.ids import original_id
from headgate.wire.messages.spoken import (
    MEMBERS,
    CacheControl,
    CallBlock,
    HiddenBlock,
    ResultBlock,
    SpokenBlock,
    SpokenContent,
    TextBlock,
    ThoughtBlock,
    spoken_block,
    spoken_content,
)
from headgate.wire.neutral import (
    File,
    Image,
    Leftover,
    Opaque,
    Part,
    Place,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.seals import unseal

SIGNS_CALLS = "gemini"  # the provider that signs tool calls, so that an empty thought of its before one is the call's


class _Source(msgspec.Struct):
    """Where an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = ABSENT


class _Medium(msgspec.Struct):
    """An image or a document."""

    type: str
    source: msgspec.Raw
    title: str | None = None
    citations: msgspec.Raw = ABSENT
    cache_control: CacheControl | None = None

    @property
    def cache(self) -> str:
        return self.cache_control.value() if self.cache_control else ""


class _CitationsWanted(msgspec.Struct):
    enabled: bool | None = None


class _Kind(msgspec.Struct):
    type: str


_MEDIA = {
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "title", "citations", "cache_control"},
}
_DIRECT_CALL = b'{"type":"direct"}'

_content = msgspec.json.Decoder(str | list[msgspec.Raw] | None)
_kind = msgspec.json.Decoder(_Kind)
_medium = msgspec.json.Decoder(_Medium)
_source = msgspec.json.Decoder(_Source)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_citations_wanted = msgspec.json.Decoder(_CitationsWanted | None)


class PartReader:
    """Reads the blocks of one request. `leftovers` are what the neutral model has no word for."""

    def __init__(self) -> None:
        self.leftovers: list[Leftover] = []
        self.places: list[Place] = []  # of the messages' parts
        self._names: dict[str, str] = {}  # of the tools that were called, by the call's id

    def content(self, raw: msgspec.Raw, where: str) -> tuple[Part, ...]:
        """The parts of a message. Raises InvalidRequest, naming the place that is wrong."""
        try:
            spoken = spoken_content.decode(raw)
        except (ValueError, RecursionError):
            return self._block_by_block(raw, where)
        return self.said(spoken, where)

    def said(self, content: SpokenContent, where: str) -> tuple[Part, ...]:
        """The parts of a message of the usual shape."""
        if isinstance(content, str):
            return (Text(content),)
        return with_signed_calls([self._spoken(block, where, index) for index, block in enumerate(content or ())])

    def _block_by_block(self, raw: msgspec.Raw, where: str) -> tuple[Part, ...]:
        content = read_member(_content, raw, where)
        if isinstance(content, str):
            return (Text(content),)
        return with_signed_calls([self._part(block, where, index) for index, block in enumerate(content or ())])

    def leave_unknown(self, members: dict[str, msgspec.Raw], known: set[str], where: str) -> None:
        """Note the members that are not known and say something."""
        for name, value in members.items():
            if name not in known and not says_nothing(value) and not (name == "caller" and _is_direct(value)):
                self.leftovers.append(Leftover(f"{where}.{name}" if where else name))

    def _part(self, raw: msgspec.Raw, where: str, index: int) -> Part:
        place = f"{where}[{index}]"
        kind = read_member(_kind, raw, place).type
        known = MEMBERS.get(kind) or _MEDIA.get(kind)
        if known is None:
            return Opaque(DIALECT, kind, bytes(raw))
        members = read_member(_members, raw, place)
        part: Part
        if kind == "image":
            part = self._image(read_member(_medium, raw, place), raw, place)
        elif kind == "document":
            part = self._document(read_member(_medium, raw, place), raw, place)
        else:
            said = msgspec.json.encode({name: value for name, value in members.items() if name in known})
            part = self._spoken(read_member(spoken_block, msgspec.Raw(said), place), where, index)
        if not isinstance(part, Opaque):  # which keeps all its members
            self.leave_unknown(members, known, place)
        return part

    def _spoken(self, block: SpokenBlock, where: str, index: int) -> Part:
        match block:
            case TextBlock():
                citations = tuple([citation.value() for citation in block.citations]) if block.citations else ()
                return Text(block.text or "", citations, block.cache)
            case CallBlock():
                call_id, name = original_id(block.id or ""), block.name or ""
                self._names[call_id] = name
                arguments = read_input(block.input).decode(errors="replace")
                return ToolCall(call_id, name, arguments, cache=block.cache)
            case ResultBlock():
                return self._tool_result(block, f"{where}[{index}]")
            case ThoughtBlock():
                origin, signature = unseal(block.signature or "", ORIGIN)
                return Thinking(block.thinking or "", signature, origin=origin)
            case HiddenBlock():
                origin, redacted = unseal(block.data or "", ORIGIN)
                return Thinking(redacted=redacted, origin=origin)

    def _tool_result(self, block: ResultBlock, where: str) -> ToolResult:
        call_id = original_id(block.tool_use_id or "")
        parts: list[Text | Image | File] = []
        for index, part in enumerate(self.content(block.content, f"{where}.content")):
            if isinstance(part, Text | Image | File):
                parts.append(part)
            else:
                self.leftovers.append(Leftover(f"{where}.content[{index}]"))
        return ToolResult(call_id, tuple(parts), bool(block.is_error), self._names.get(call_id, ""), block.cache)

    def _image(self, block: _Medium, raw: msgspec.Raw, where: str) -> Image | Opaque:
        source = read_member(_source, block.source, f"{where}.source")
        if source.type == "base64":
            return Image(source.media_type or "", source.data or "", cache=block.cache)
        if source.type == "url":
            return Image(url=source.url or "", cache=block.cache)
        return Opaque(DIALECT, block.type, bytes(raw))

    def _document(self, block: _Medium, raw: msgspec.Raw, where: str) -> File | Opaque:
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
    if all(type(part) is not Thinking for part in parts):
        return tuple(parts)
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
