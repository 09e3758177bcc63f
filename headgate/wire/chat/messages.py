"""Reads the messages of a caller's chat completion into the neutral model."""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire import data_url, members
from headgate.wire.chat import reasoning, request_shapes
from headgate.wire.chat.request_shapes import ABSENT, CacheControl, FileRef, ImageUrl
from headgate.wire.chat.shape import shape
from headgate.wire.neutral import (
    Audio,
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    Part,
    Place,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.seals import unseal

DIALECT = "chat"
_KNOWN_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal", "thinking"})

_part = shape(request_shapes.Part)
_part_type = msgspec.json.Decoder(request_shapes.PartType)


def read_messages(
    messages: list[request_shapes.Message], leftovers: list[Leftover]
) -> tuple[tuple[Message, ...], tuple[Place, ...]]:
    """The turns of a conversation, and where their parts stand. Results of tools that follow one another are one turn.

    Raises InvalidRequest, naming the message.
    """
    history = _History(leftovers)
    for number, message in enumerate(messages):
        history.add(message, f"messages[{number}]")
    return tuple(history.turns), tuple(history.places)


def cache_of(mark: CacheControl | None) -> str:
    """For how long a prompt is to be cached; Anthropic's default is five minutes."""
    return (mark.ttl or "5m") if mark else ""


class _History:
    """The turns so far, and which tool each call is for: results do not say."""

    def __init__(self, leftovers: list[Leftover]) -> None:
        self.turns: list[Message] = []
        self.places: list[Place] = []  # of the turns' parts
        self._leftovers = leftovers
        self._names: dict[str, str] = {}  # id of a call -> name of its tool
        self._function_calls: dict[str, str] = {}  # name -> id of its last call without an id
        self._answers_tools = False  # the last turn is made of tool results

    def add(self, message: request_shapes.Message, where: str) -> None:
        """Take the next message."""
        if message.audio != ABSENT:
            self._leftovers.append(Leftover(f"{where}.audio"))
        if message.extra_content != ABSENT:
            self._leftovers.append(Leftover(f"{where}.extra_content", is_hint=True))
        if message.provider_specific_fields != ABSENT:
            self._leftovers.append(Leftover(f"{where}.provider_specific_fields", is_hint=True))
        match message.role:
            case "system" | "developer":
                self._say(Role.SYSTEM, self._content(message, where), message, ((0, f"{where}.content"),))
            case "user":
                self._say(Role.USER, self._content(message, where), message, ((0, f"{where}.content"),))
            case "assistant":
                parts, place = self._assistant(message, where)
                self._say(Role.ASSISTANT, parts, message, place)
            case "tool":
                self._tool_result(message, where)
            case "function":
                self._function_result(message, where)
            case role:
                raise InvalidRequest(
                    f"'{where}.role' is '{role}'; it can be system, developer, user, assistant, tool or function.",
                    param=f"{where}.role",
                )

    def _say(self, role: Role, parts: list[Part], message: request_shapes.Message, place: Place) -> None:
        self.turns.append(Message(role, tuple(parts), message.name or ""))
        self.places.append(place)
        self._answers_tools = False

    def _assistant(self, message: request_shapes.Message, where: str) -> tuple[list[Part], Place]:
        said = [] if message.content is None else self._content(message, where)
        parts: list[Part] = said
        place: Place = ((0, f"{where}.content"),)
        if message.reasoning_content or message.reasoning or message.reasoning_details:
            parts = [*reasoning.thoughts_of(message), *said]
            place = ((0, f"{where}.{_member_of_thoughts(message)}"), (len(parts) - len(said), f"{where}.content"))
        if message.refusal:
            place = (*place, (len(parts), f"{where}.refusal"))
            parts.append(Refusal(message.refusal))
        if message.tool_calls:
            place = (*place, (len(parts), f"{where}.tool_calls"))
        for number, call in enumerate(message.tool_calls or ()):
            parts.append(self._call(call, f"{where}.tool_calls[{number}]"))
        if message.function_call is not None:
            function = message.function_call
            call_id = f"call_{len(self.turns)}"  # functions had no ids; the same conversation has the same ones again
            self._function_calls[function.name] = call_id
            place = (*place, (len(parts), f"{where}.function_call"))
            parts.append(ToolCall(call_id, function.name, _arguments(function.arguments)))
        return parts, place

    def _call(self, call: request_shapes.ToolCall, where: str) -> Part:
        if call.function is None:
            return Opaque(DIALECT, call.type or "", msgspec.json.encode(call))
        if not call.id:
            raise InvalidRequest(
                f"The member '{where}.id' is missing: a result must name its call.", param=f"{where}.id"
            )
        self._names[call.id] = call.function.name
        google = call.extra_content.google if call.extra_content else None
        origin, signature = unseal((google and google.thought_signature) or "", "gemini")
        arguments, cache = _arguments(call.function.arguments), cache_of(call.cache_control)
        return ToolCall(call.id, call.function.name, arguments, signature, origin, cache)

    def _tool_result(self, message: request_shapes.Message, where: str) -> None:
        if not message.tool_call_id:
            place = f"{where}.tool_call_id"
            raise InvalidRequest(f"The member '{place}' is missing: it names the call.", param=place)
        name = message.name or self._names.get(message.tool_call_id, "")
        self._result(ToolResult(message.tool_call_id, self._result_parts(message, where), name=name), where)

    def _function_result(self, message: request_shapes.Message, where: str) -> None:
        call_id = self._function_calls.get(message.name or "")
        if call_id is None:
            raise InvalidRequest(
                f"'{where}' is the result of the function '{message.name}', which no message before it calls.",
                param=where,
            )
        self._result(ToolResult(call_id, self._result_parts(message, where), name=message.name or ""), where)

    def _result(self, result: ToolResult, where: str) -> None:
        if self._answers_tools:
            before = self.turns[-1].parts
            self.turns[-1] = Message(Role.USER, (*before, result))
            self.places[-1] = (*self.places[-1], (len(before), where))
        else:
            self.turns.append(Message(Role.USER, (result,)))
            self.places.append(((0, where),))
        self._answers_tools = True

    def _result_parts(self, message: request_shapes.Message, where: str) -> tuple[Text | Image | File, ...]:
        parts: list[Text | Image | File] = []
        for number, part in enumerate([] if message.content is None else self._content(message, where)):
            if isinstance(part, Text | Image | File):
                parts.append(part)
            else:
                self._leftovers.append(Leftover(f"{where}.content[{number}]"))
        return tuple(parts)

    def _content(self, message: request_shapes.Message, where: str) -> list[Part]:
        content, place = message.content, f"{where}.content"
        if content is None:
            raise InvalidRequest(f"The member '{place}' is missing.", param=place)
        if isinstance(content, str):
            parts: list[Part] = [Text(content)] if content else []
        else:
            parts = [self._read_part(raw, f"{place}[{number}]") for number, raw in enumerate(content)]
        if message.cache_control and parts and isinstance(parts[-1], Text | Image | File):
            parts[-1] = msgspec.structs.replace(parts[-1], cache=cache_of(message.cache_control))
        return parts

    def _read_part(self, raw: msgspec.Raw, where: str) -> Part:
        if (plain := _part.read_plain(raw)) is not None and plain.type == "text" and plain.text is not None:
            return Text(plain.text, cache=_cache_of_part(plain))
        kind = members.read_member(_part_type, raw, where).type
        if kind is None:
            raise InvalidRequest(f"The member '{where}.type' is missing.", param=f"{where}.type")
        if kind not in _KNOWN_PARTS:
            return Opaque(DIALECT, kind, bytes(raw))
        part = _part.read(raw, where, self._leftovers)
        read = _typed(part, kind, _cache_of_part(part), where)
        if read is None:
            raise InvalidRequest(f"The member '{where}.{kind}' is missing.", param=f"{where}.{kind}")
        return read


def _cache_of_part(part: request_shapes.Part) -> str:
    return cache_of(part.cache_control) or ("5m" if part.prompt_cache_breakpoint != ABSENT else "")


def _member_of_thoughts(message: request_shapes.Message) -> str:
    members = ("reasoning_details", "reasoning_content", "reasoning")
    return next(name for name in members if getattr(message, name))


def _typed(part: request_shapes.Part, kind: str, cache: str, where: str) -> Part | None:
    """The part by its type; None if the member that the type is named after is missing."""
    if kind == "text" and part.text is not None:
        return Text(part.text, cache=cache)
    if kind == "image_url" and part.image_url is not None:
        return _image(part.image_url, cache, where)
    if kind == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.data, part.input_audio.format)
    if kind == "file" and part.file is not None:
        return _file(part.file, cache, where)
    if kind == "refusal" and part.refusal is not None:
        return Refusal(part.refusal)
    if kind == "thinking" and part.thinking is not None:
        return Thinking("".join(piece.text for piece in part.thinking))
    return None


def _image(image: str | ImageUrl, cache: str, where: str) -> Image:
    url, detail = (image, "") if isinstance(image, str) else (image.url, image.detail or "")
    if read := _data(url, f"{where}.image_url.url"):
        return Image(media_type=read[0], data=read[1], detail=detail, cache=cache)
    return Image(url=url, detail=detail, cache=cache)


def _file(file: FileRef, cache: str, where: str) -> File:
    name, data = file.filename or "", file.file_data or ""
    if file.file_id:
        return File(file_id=file.file_id, name=name, cache=cache)
    if not data:
        raise InvalidRequest(f"'{where}.file' has neither 'file_data' nor 'file_id'.", param=f"{where}.file")
    if data.startswith(("http://", "https://")):
        return File(url=data, name=name, cache=cache)
    if read := _data(data, f"{where}.file.file_data"):
        return File(media_type=read[0], data=read[1], name=name, cache=cache)
    return File(
        media_type="application/pdf" if name.lower().endswith(".pdf") else "", data=data, name=name, cache=cache
    )


def _data(url: str, where: str) -> tuple[str, str] | None:
    """Media type and base64 of a data URL, None if it is another URL."""
    read = data_url.read(url)
    if read is None and url[:5].lower() == "data:":
        raise InvalidRequest(f"'{where}' is a data URL that is not in base64.", param=where)
    return read


def _arguments(arguments: request_shapes.Arguments) -> str:
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""
