"""Writes turns as the flat list of items that `input` is."""

from __future__ import annotations

import msgspec

from headgate.wire.neutral import (
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.responses.parts import WrittenPart, write_part
from headgate.wire.responses.thoughts import OWN, READABLE


class _Message(msgspec.Struct):
    role: str
    content: str | list[WrittenPart | msgspec.Raw]


class _Call(msgspec.Struct, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str


class _Output(msgspec.Struct, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[WrittenPart | msgspec.Raw]


class _Summary(msgspec.Struct, tag_field="type", tag="summary_text"):
    text: str


class _Thought(msgspec.Struct, tag_field="type", tag="reasoning_text"):
    text: str


class _Reasoning(msgspec.Struct, tag_field="type", tag="reasoning", omit_defaults=True):
    summary: tuple[_Summary, ...]
    content: tuple[_Thought, ...] = ()
    encrypted_content: str = ""
    id: str = ""


WrittenItem = _Message | _Call | _Output | _Reasoning | msgspec.Raw


class Items:
    """The items of a prompt as they are written, and what had no place in them.

    Thoughts go back only to whom they came from: the API takes none that it cannot verify.
    """

    def __init__(self, *, takes_images: bool) -> None:
        self.written: list[WrittenItem] = []
        self.leftovers: list[Leftover] = []
        self._takes_images = takes_images
        self._content: list[WrittenPart | msgspec.Raw] = []

    def add(self, message: Message, where: str) -> None:
        """Write one turn; `where` is its place in the request."""
        if message.name:
            self.leftovers.append(Leftover(f"{where}.name", is_hint=True))
        for index, part in enumerate(message.parts):
            place = f"{where}.content[{index}]"
            self._note_hints(part, place)
            match part:
                case Thinking():
                    self._end_message(message.role)
                    self._add_thought(part, place)
                case ToolCall():
                    self._end_message(message.role)
                    self.written.append(_Call(part.id, part.name, part.arguments or "{}"))
                case ToolResult():
                    self._end_message(message.role)
                    self._add_result(part, place)
                case Opaque(dialect="responses", raw=raw) if not part.kind.startswith("input_"):
                    self._end_message(message.role)
                    self.written.append(msgspec.Raw(raw))
                case _:
                    self._content += self._part(part, place, spoken=message.role is Role.ASSISTANT)
        self._end_message(message.role)

    def _end_message(self, role: Role) -> None:
        content, self._content = self._content, []
        if content:
            self.written.append(_Message(role, _shortest(content)))

    def _part(self, part: Part, place: str, *, spoken: bool) -> list[WrittenPart | msgspec.Raw]:
        seen = self._takes_images or not isinstance(part, Image)
        written = write_part(part, spoken=spoken) if seen else None
        if written is None:
            self.leftovers.append(Leftover(place))
            return []
        return [written]

    def _add_thought(self, thought: Thinking, place: str) -> None:
        encrypted = thought.signature or thought.redacted
        if thought.origin != OWN or not encrypted:
            self.leftovers.append(Leftover(place, is_hint=True))
        elif thought.signature == READABLE:
            self.written.append(_Reasoning((), (_Thought(thought.text),)))
        else:
            summary = (_Summary(thought.text),) if thought.text else ()
            self.written.append(_Reasoning(summary, (), encrypted, thought.id))

    def _add_result(self, result: ToolResult, place: str) -> None:
        content: list[WrittenPart | msgspec.Raw] = []
        for index, part in enumerate(result.parts):
            content += self._part(part, f"{place}.content[{index}]", spoken=False)
        self.written.append(_Output(result.call_id, _shortest(content)))

    def _note_hints(self, part: Part, place: str) -> None:
        """Cache marks (the API caches by itself), signatures of others' calls, and that a tool failed."""
        match part:
            case Text(cache=cache) | Image(cache=cache) | File(cache=cache) if cache:
                self.leftovers.append(Leftover(f"{place}.cache_control", is_hint=True))
            case ToolCall(cache=cache) | ToolResult(cache=cache) if cache:
                self.leftovers.append(Leftover(f"{place}.cache_control", is_hint=True))
            case ToolCall(signature=signature) if signature:
                self.leftovers.append(Leftover(f"{place}.signature", is_hint=True))
            case ToolResult(is_error=True):
                self.leftovers.append(Leftover(f"{place}.is_error", is_hint=True))
            case _:
                pass


def _shortest(content: list[WrittenPart | msgspec.Raw]) -> str | list[WrittenPart | msgspec.Raw]:
    """A single plain text as a string."""
    if not content:
        return ""
    text = getattr(content[0], "text", None)
    is_plain = len(content) == 1 and text is not None and not getattr(content[0], "annotations", ())
    return text if is_plain and text is not None else content
