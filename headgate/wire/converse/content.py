"""What is said, as Converse's content blocks: the system prompt, messages and their parts.

Which top-level members a request has is `request.py`'s business.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence

import msgspec

from headgate.types import Frozen
from headgate.wire import claude
from headgate.wire.converse.families import Thinks, family_of
from headgate.wire.neutral import (
    Audio,
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

Block = dict[str, object]

_IMAGE_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_IMAGE_ENDINGS = {"jpg": "jpeg"} | {kind: kind for kind in _IMAGE_FORMATS.values()}
_DOCUMENT_ENDINGS = {"htm": "html"} | {kind: kind for kind in _DOCUMENT_FORMATS.values()}
_AUDIO_FORMATS = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"}
)
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NOT_IN_A_DOCUMENT_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")
_MAX_DOCUMENT_NAME_CHARACTERS = 190  # of 200: a number may be added
_EXTENDED_TTL = "1h"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Conversation(Frozen, frozen=True):
    """What `write_conversation` makes of messages."""

    system: list[Block]
    messages: list[Block]
    has_tool_blocks: bool


def write_conversation(messages: Sequence[Message], writer: BlockWriter) -> Conversation:
    """Write all messages.

    Converse wants the roles to alternate, so neighbours of one role become one message; a message that says nothing is
    left out. System messages between others are known to some Claudes only.
    """
    system_turns = writer.claude is not None and writer.claude.system_turns
    system: list[Block] = []
    written: list[tuple[Role, list[Block]]] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        is_prompt = message.role is Role.SYSTEM and not (written and system_turns)
        blocks = writer.blocks(message.parts, f"{place}.content", text_only=is_prompt)
        if message.name:
            writer.left_over(f"{place}.name", is_hint=True)
        if is_prompt:
            if written:
                writer.left_over(f"{place}.role")
            system += blocks
        elif written and written[-1][0] is message.role:
            written[-1][1].extend(blocks)
        elif blocks:
            written.append((message.role, blocks))
    return Conversation(
        system=system,
        messages=[{"role": role.value, "content": blocks} for role, blocks in written],
        has_tool_blocks=any("toolUse" in block or "toolResult" in block for _, blocks in written for block in blocks),
    )


class BlockWriter:
    """Writes the parts of one request, and collects what does not fit, by its place. `claude` is None for others."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.family = family_of(target.model)
        self.claude = claude.family_of(target.model) if self.family.thinks is Thinks.CLAUDE else None
        self.leftovers: list[Leftover] = []
        self._document_names: set[str] = set()

    def left_over(self, place: str, *, is_hint: bool = False) -> None:
        """Remember a member of the caller's body that is not carried over."""
        self.leftovers.append(Leftover(place, is_hint))

    def reads(self, thought: Thinking) -> bool:
        """Whether it can be sent back: those who verify thoughts refuse an unsigned one, to others none is of use."""
        return bool(thought.signature or thought.redacted) and thought.origin in self.family.thoughts_from

    def blocks(self, parts: Sequence[Part], where: str, *, text_only: bool = False) -> list[Block]:
        """The blocks of a message. `where` is its place, as in "messages[1].content"."""
        blocks: list[Block] = []
        for number, part in enumerate(parts):
            place = f"{where}[{number}]"
            if text_only and not isinstance(part, Text):
                self.left_over(place)
                continue
            block = self._block(part, place)
            if block is None:
                continue
            blocks.append(block)
            if cache := _cache_of(part):
                blocks += self.cache_point(cache, place, allowed=self.family.cache_points)
        return blocks

    def cache_point(self, cache: str, place: str, *, allowed: bool) -> list[Block]:
        """The mark behind what is to be cached, or nothing where the model has no cache."""
        extended = cache == _EXTENDED_TTL
        if not allowed or (extended and not self.family.cache_1h):
            self.left_over(f"{place}.cache_control", is_hint=True)
        if not allowed:
            return []
        ttl = {"ttl": cache} if extended and self.family.cache_1h else {}
        return [{"cachePoint": {"type": "default", **ttl}}]

    def _block(self, part: Part, place: str) -> Block | None:
        match part:
            case Text():
                return self._text(part, place)
            case Refusal(text=text):
                return {"text": text} if text.strip() else None
            case Image():
                return self._image(part, place)
            case File():
                return self._document(part, place)
            case Audio(data=data, format=kind) if kind in _AUDIO_FORMATS:
                return {"audio": {"format": kind, "source": {"bytes": data}}}
            case Thinking():
                return self._thought(part, place)
            case ToolCall():
                return self._tool_use(part, place)
            case ToolResult():
                return self._tool_result(part, place)
            case Audio() | Opaque():
                self.left_over(place)
                return None

    def _text(self, part: Text, place: str) -> Block | None:
        if part.citations:
            self.left_over(f"{place}.citations", is_hint=True)
        # Converse refuses blank text, and it says nothing.
        return {"text": part.text} if part.text.strip() else None

    def _image(self, part: Image, place: str) -> Block | None:
        kind = _IMAGE_FORMATS.get(part.media_type) or _IMAGE_ENDINGS.get(_ending(part.url), "")
        source = _source(part.data, part.url)
        if self.target.images is False or source is None or not kind:
            self.left_over(place)
            return None
        if part.detail not in ("", "auto"):
            self.left_over(f"{place}.detail", is_hint=True)
        return {"image": {"format": kind, "source": source}}

    def _document(self, part: File, place: str) -> Block | None:
        media_type = part.media_type or ("text/plain" if part.text else "")
        ending = _ending(part.name) or _ending(part.url)
        kind = _DOCUMENT_FORMATS.get(media_type.partition(";")[0].strip()) or _DOCUMENT_ENDINGS.get(ending, "")
        data = b64encode(part.text.encode()).decode() if part.text else part.data
        source = _source(data, part.url)
        if source is None or not kind:
            self.left_over(place)
            return None
        return {"document": {"format": kind, "name": self._document_name(part.name), "source": source}}

    def _document_name(self, name: str) -> str:
        """A name of the characters that Converse allows, and not used twice in a request."""
        base = _NOT_IN_A_DOCUMENT_NAME.sub(" ", name).strip()[:_MAX_DOCUMENT_NAME_CHARACTERS] or "document"
        unique, number = base, 1
        while unique in self._document_names:
            number += 1
            unique = f"{base} {number}"
        self._document_names.add(unique)
        return unique

    def _thought(self, part: Thinking, place: str) -> Block | None:
        if not self.reads(part):
            self.left_over(place, is_hint=True)
            return None
        if part.redacted:
            return {"reasoningContent": {"redactedContent": part.redacted}}
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}

    def _tool_use(self, part: ToolCall, place: str) -> Block:
        if part.signature:
            self.left_over(f"{place}.signature", is_hint=True)
        arguments = part.arguments.encode() if part.arguments.strip() else b"{}"
        try:
            _object.decode(arguments)
        except (ValueError, RecursionError):
            self.left_over(f"{place}.arguments")  # Converse takes nothing but a JSON object
            arguments = b"{}"
        return {"toolUse": {"toolUseId": _tool_use_id(part.id), "name": part.name, "input": msgspec.Raw(arguments)}}

    def _tool_result(self, part: ToolResult, place: str) -> Block:
        inner = [self._block(said, f"{place}.content[{number}]") for number, said in enumerate(part.parts)]
        blocks = [block for block in inner if block is not None]
        result: Block = {"toolUseId": _tool_use_id(part.call_id), "content": blocks}
        if part.is_error and self.family.tool_status:
            result["status"] = "error"
        elif part.is_error:
            self.left_over(f"{place}.is_error", is_hint=True)
        return {"toolResult": result}


def _cache_of(part: Part) -> str:
    """How long to cache up to here. No mark can stand inside a tool result, so that its own parts' go behind it."""
    marks = [getattr(part, "cache", "")]
    if isinstance(part, ToolResult):
        marks += [inner.cache for inner in part.parts]
    return next(filter(None, marks), "")


def _source(data: str, url: str) -> Block | None:
    """Converse fetches nothing but from S3."""
    if data:
        return {"bytes": data}
    return {"s3Location": {"uri": url}} if url.startswith("s3://") else None


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _tool_use_id(call_id: str) -> str:
    """An id that Converse allows. Ids are only compared within a request, so another one means the same."""
    if _TOOL_USE_ID.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:32]
