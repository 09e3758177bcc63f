"""The conversation as Anthropic takes it: system prompt and turns.

Messages of one role that follow each other become one turn, as the API would make of them, so that tool results can
stand first in theirs. Text of white space alone is refused there and says nothing, so it is left out.
"""

from __future__ import annotations

from base64 import b64decode

import msgspec

from headgate.wire.claude import Family
from headgate.wire.messages.blocks import DIALECT, Block, json_object, tool_use
from headgate.wire.messages.ids import allowed_id
from headgate.wire.messages.thinking import is_own_thought
from headgate.wire.messages.toolbox import cache_control
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

Blocks = list[Block | msgspec.Raw]


def write_turns(
    messages: tuple[Message, ...], target: Target, family: Family, leftovers: list[Leftover]
) -> tuple[Blocks, list[Block]]:
    """(the blocks of the system prompt, the turns)."""
    writer = _TurnWriter(target, leftovers)
    system: Blocks = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.name:
            leftovers.append(Leftover(f"{where}.name", is_hint=True))
        blocks = writer.blocks(message, where)
        if message.role is not Role.SYSTEM:
            writer.add(message.role, blocks)
        elif not writer.turns:
            system += blocks
        elif family.system_turns and writer.turns[-1]["role"] == Role.USER and _answer_follows(messages[index + 1 :]):
            writer.add(message.role, blocks)
        else:
            leftovers.append(Leftover(f"{where}.role"))
            system += blocks
    return system, writer.finished()


def _answer_follows(rest: tuple[Message, ...]) -> bool:
    """Between turns a system message stands after a user's, and before an assistant's or at the end."""
    return not rest or rest[0].role is Role.ASSISTANT


class _TurnWriter:
    """Collects the blocks of turns."""

    def __init__(self, target: Target, leftovers: list[Leftover]) -> None:
        self.turns: list[Block] = []
        self._contents: list[Blocks] = []
        self._target = target
        self._leftovers = leftovers

    def add(self, role: Role, blocks: Blocks) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self._contents[-1].extend(blocks)
        else:
            self._contents.append(blocks)
            self.turns.append({"role": role, "content": blocks})

    def finished(self) -> list[Block]:
        """The turns, tool results first in theirs. The API refuses white space at the end of a turn to be continued."""
        for content in self._contents:
            content.sort(key=lambda block: not _is_of(block, "tool_result"))
        if self.turns and self.turns[-1]["role"] == Role.ASSISTANT:
            last = self._contents[-1][-1]
            if isinstance(last, dict) and _is_of(last, "text"):
                last["text"] = str(last["text"]).rstrip()
        return self.turns

    def blocks(self, message: Message, where: str) -> Blocks:
        """The blocks of a message, without what Anthropic has no place for."""
        return [
            block
            for index, part in enumerate(message.parts)
            if (block := self._block(part, message.role, f"{where}.content[{index}]")) is not None
        ]

    def _block(self, part: Part, role: Role, where: str) -> Block | msgspec.Raw | None:
        if role is Role.SYSTEM and not isinstance(part, Text):
            return self._left_out(where)
        match part:
            case Text():
                if part.citations:
                    self._left_out(f"{where}.citations", is_hint=True)
                return _text(part.text, part.cache)
            case Refusal():
                return _text(part.text, "")
            case Image():
                return self._image(part, where)
            case File():
                return self._file(part, where)
            case Thinking():
                return self._thought(part, where)
            case ToolCall():
                return self._tool_call(part, where)
            case ToolResult():
                return self._tool_result(part, where)
            case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                return msgspec.Raw(raw)
            case Opaque() | Audio():
                return self._left_out(where)

    def _left_out(self, where: str, *, is_hint: bool = False) -> Block | None:
        """No block, and a note of what it would have been."""
        self._leftovers.append(Leftover(where, is_hint))
        return None

    def _image(self, image: Image, where: str) -> Block | None:
        if self._target.images is False or not (image.url or (image.data and image.media_type)):
            return self._left_out(where)
        if image.detail not in ("", "auto"):
            self._left_out(f"{where}.detail", is_hint=True)
        source: Block = {"type": "url", "url": image.url}
        if image.data:
            source = {"type": "base64", "media_type": image.media_type, "data": image.data}
        return _cached({"type": "image", "source": source}, image.cache)

    def _file(self, file: File, where: str) -> Block | None:
        source = _file_source(file)
        if source is None:
            return self._left_out(where)
        block: Block = {"type": "document", "source": source}
        if file.name:
            block["title"] = file.name
        return _cached(block, file.cache)

    def _thought(self, thought: Thinking, where: str) -> Block | None:
        if not is_own_thought(thought):
            return self._left_out(where, is_hint=True)
        if thought.redacted:
            return {"type": "redacted_thinking", "data": thought.redacted}
        return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}

    def _tool_call(self, call: ToolCall, where: str) -> Block:
        arguments = json_object(call.arguments)
        if isinstance(arguments, dict):
            self._left_out(f"{where}.arguments")
        if call.signature:
            self._left_out(f"{where}.signature", is_hint=True)
        return _cached({**tool_use(call.id, call.name), "input": arguments}, call.cache)

    def _tool_result(self, result: ToolResult, where: str) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": allowed_id(result.call_id)}
        content = self.blocks(Message(Role.USER, result.parts), where)
        if content:
            block["content"] = content
        if result.is_error:
            block["is_error"] = True
        return _cached(block, result.cache)


def _is_of(block: Block | msgspec.Raw, kind: str) -> bool:
    return isinstance(block, dict) and block["type"] == kind


def _text(text: str, cache: str) -> Block | None:
    return _cached({"type": "text", "text": text}, cache) if text.strip() else None


def _cached(block: Block, cache: str) -> Block:
    return {**block, "cache_control": cache_control(cache)} if cache else block


def _file_source(file: File) -> Block | None:
    """Anthropic takes PDFs and plain text."""
    if file.data and file.media_type == "application/pdf":
        return {"type": "base64", "media_type": file.media_type, "data": file.data}
    text = file.text or _decoded(file)
    if text:
        return {"type": "text", "media_type": "text/plain", "data": text}
    if file.url:
        return {"type": "url", "url": file.url}
    return {"type": "file", "file_id": file.file_id} if file.file_id else None


def _decoded(file: File) -> str:
    if not file.data or not file.media_type.startswith("text/"):
        return ""
    try:
        return b64decode(file.data, validate=True).decode()
    except ValueError:
        return ""
