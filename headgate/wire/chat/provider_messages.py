"""Writes the turns of a conversation as the messages of a chat completion, so that every compatible server takes them:
text alone is a string and never a list (some take no list), results of tools are messages of their own, and what those
cannot show follows in a user's message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headgate.wire import data_url
from headgate.wire.chat import reasoning
from headgate.wire.chat.messages import DIALECT
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

Json = dict[str, object]
Placed = tuple[str, Part]  # a part and its place in the caller's body

_BETWEEN_TEXTS = "\n"  # as vLLM joins the parts of one message
_UNNAMED_FILE = "document"  # a file has to have a name
_SEEN_LATER = "It follows in the next message."  # what a tool says whose result is an image alone


class MessageWriter:
    """Writes messages; what they cannot say is added to `leftovers`."""

    def __init__(self, target: Target, leftovers: list[Leftover]) -> None:
        self._takes_images = target.images is not False
        self._leftovers = leftovers
        self._shown: list[Json | msgspec.Raw] = []  # by tools whose results were written last

    def write(self, messages: Sequence[Message]) -> list[Json]:
        """The messages of a conversation."""
        written: list[Json] = []
        for number, message in enumerate(messages):
            parts = message.parts
            if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].cache and not message.name:
                # One text, as most messages are: no place in it has to be named.
                self._end_results(written)
                written.append({"role": message.role, "content": parts[0].text})
                continue
            where = f"messages[{number}]"
            placed = [(f"{where}.content[{index}]", part) for index, part in enumerate(parts)]
            if message.role is Role.ASSISTANT:
                self._end_results(written)
                written.append(_named(self._assistant(placed), message.name))
            else:
                self._write_asked(placed, message, written)
        self._end_results(written)
        return written

    def _write_asked(self, placed: list[Placed], message: Message, written: list[Json]) -> None:
        """The results of tools come first: they must follow the calls, with nothing between them."""
        results = [self._result(part, where) for where, part in placed if isinstance(part, ToolResult)]
        rest = [(where, part) for where, part in placed if not isinstance(part, ToolResult)]
        written += results
        if rest or not results:
            shown, self._shown = self._shown, []
            written.append(_named({"role": str(message.role), "content": self._content(rest, shown)}, message.name))

    def _end_results(self, written: list[Json]) -> None:
        """Let what tools have shown follow their messages."""
        if self._shown:
            written.append({"role": "user", "content": self._shown})
            self._shown = []

    def _content(self, placed: Iterable[Placed], shown: list[Json | msgspec.Raw]) -> object:
        parts = shown + [written for where, part in placed if (written := self._part(part, where)) is not None]
        texts = [part["text"] for part in parts if isinstance(part, dict) and part["type"] == "text"]
        return parts if len(texts) < len(parts) else _BETWEEN_TEXTS.join(map(str, texts))

    def _part(self, part: Part, where: str) -> Json | msgspec.Raw | None:
        self._note_cache(part, where)
        match part:
            case Text(text=text):
                return {"type": "text", "text": text}
            case Image() if self._takes_images:
                url = part.url or data_url.write(part.media_type, part.data)
                return {
                    "type": "image_url",
                    "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})},
                }
            case File() if not part.url:
                return _file(part)
            case Audio(data=data, format=format_):
                return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
            case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                return msgspec.Raw(raw)
            case _:
                self._leftovers.append(Leftover(where))
                return None

    def _result(self, result: ToolResult, where: str) -> Json:
        """A tool's message carries text alone: images and files follow in a user's. That the tool failed has no place,
        which the text has to say itself."""
        self._note_cache(result, where)
        if result.is_error:
            self._leftovers.append(Leftover(f"{where}.is_error", is_hint=True))
        texts: list[str] = []
        shown: list[Json | msgspec.Raw] = []
        for number, part in enumerate(result.parts):
            place = f"{where}.content[{number}]"
            if isinstance(part, Text) or (isinstance(part, File) and part.text):
                self._note_cache(part, place)
                texts.append(part.text)
            elif (written := self._part(part, place)) is not None:
                self._leftovers.append(Leftover(place, is_hint=True))
                shown.append(written)
        if shown:
            tool = f" ({result.name})" if result.name else ""
            told: Json = {"type": "text", "text": f"What the tool call {result.call_id}{tool} returned:"}
            self._shown += [told, *shown]
        said = _BETWEEN_TEXTS.join(texts) or (_SEEN_LATER if shown else "")
        return {"role": "tool", "tool_call_id": result.call_id, "content": said}

    def _assistant(self, placed: Iterable[Placed]) -> Json:
        message: Json = {"role": "assistant", "content": None}
        texts: list[str] = []  # one text that was cut, at its citations for instance
        thoughts: list[Json] = []
        calls: list[Json | msgspec.Raw] = []
        for where, part in placed:
            self._note_cache(part, where)
            match part:
                case Text(text=text):
                    texts.append(text)
                case Refusal(text=text):
                    message["refusal"] = text
                case ToolCall():
                    calls.append(self._call(part, where))
                case Thinking(text=text, origin=reasoning.ORIGIN, signature=reasoning.THINKING_PART):
                    thoughts.append({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
                case Thinking():
                    if not reasoning.send_back(part, message):
                        self._leftovers.append(Leftover(where, is_hint=True))
                case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                    calls.append(msgspec.Raw(raw))  # of a tool that is no function
                case _:
                    self._leftovers.append(Leftover(where))
        text = "".join(texts)
        if thoughts:
            message["content"] = [*thoughts, {"type": "text", "text": text}]
        else:
            message["content"] = text if text or not calls else None
        if calls:
            message["tool_calls"] = calls
        return message

    def _call(self, call: ToolCall, where: str) -> Json:
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        written: Json = {"id": call.id, "type": "function", "function": function}
        if call.signature and call.origin == reasoning.ORIGIN:
            written["extra_content"] = {"google": {"thought_signature": call.signature}}
        elif call.signature:
            self._leftovers.append(Leftover(f"{where}.signature", is_hint=True))
        return written

    def _note_cache(self, part: Part, where: str) -> None:
        """Servers that know cache marks are few, and the others refuse a member they do not know."""
        if getattr(part, "cache", ""):
            self._leftovers.append(Leftover(f"{where}.cache_control", is_hint=True))


def _named(message: Json, name: str) -> Json:
    return {**message, "name": name} if name else message


def _file(file: File) -> Json:
    """A document that is plain text is text; others are sent under their name, which they must have."""
    if file.text:
        return {"type": "text", "text": file.text}
    if file.file_id:
        return {"type": "file", "file": {"file_id": file.file_id}}
    data = data_url.write(file.media_type, file.data) if file.media_type else file.data
    return {"type": "file", "file": {"filename": file.name or _UNNAMED_FILE, "file_data": data}}
