"""Reads the prompt of a request: the API's flat list of items to turns.

What a model says in one go is one turn here and several items there (a thought, a message, calls). Two messages in a
row stay two turns, because somebody meant them apart.
"""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.types import Frozen
from headgate.wire.members import read_member
from headgate.wire.neutral import (
    File,
    Image,
    Leftover,
    Message,
    Opaque,
    Part,
    Place,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from headgate.wire.responses.parts import DIALECT, read_content
from headgate.wire.responses.thoughts import read_thought, signature_of_call

ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}


_OF_THE_USER = ("mcp_approval_response", "item_reference", "additional_tools", "compaction_trigger")


class _Kind(msgspec.Struct):
    type: str | None = None
    role: str | None = None


class _MessageItem(msgspec.Struct):
    role: str
    content: msgspec.Raw


class _CallItem(msgspec.Struct):
    call_id: str
    name: str
    arguments: str


class _OutputItem(msgspec.Struct):
    call_id: str
    output: msgspec.Raw


class _TextPart(msgspec.Struct):
    text: str = ""


class _ReasoningItem(msgspec.Struct):
    id: str | None = None
    summary: list[_TextPart] | None = None
    content: list[_TextPart] | None = None
    encrypted_content: str | None = None


_input = msgspec.json.Decoder(str | list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_message = msgspec.json.Decoder(_MessageItem)
_call = msgspec.json.Decoder(_CallItem)
_output = msgspec.json.Decoder(_OutputItem)
_reasoning = msgspec.json.Decoder(_ReasoningItem)


class Prompt(Frozen, frozen=True):
    """What `input` and the instructions before it say, what could not be read of them, and where the parts stand."""

    messages: tuple[Message, ...]
    leftovers: tuple[Leftover, ...]
    places: tuple[Place, ...]


def read_prompt(instructions: str, raw: msgspec.Raw) -> Prompt:
    """The turns of `input`, after the instructions.

    Raises InvalidRequest, naming the item that is wrong.
    """
    reader = _Reader()
    if instructions:
        reader.add(Role.SYSTEM, (Text(instructions),), "instructions", is_message=True)
    items = read_member(_input, raw, "input")
    if isinstance(items, str):
        reader.add(Role.USER, (Text(items),), "input", is_message=True)
    else:
        for index, item in enumerate(items):
            reader.read(item, f"input[{index}]")
    messages = tuple([Message(role, tuple(parts)) for role, parts in reader.turns])
    return Prompt(messages, tuple(reader.leftovers), tuple([tuple(place) for place in reader.places]))


class _Reader:
    """Collects items into turns."""

    def __init__(self) -> None:
        self.turns: list[tuple[Role, list[Part]]] = []
        self.places: list[list[tuple[int, str]]] = []
        self.leftovers: list[Leftover] = []
        self._after_message = False
        self._names: dict[str, str] = {}  # of the calls by their ids
        self._origin, self._signature = "", ""  # of the call that comes next

    def add(self, role: Role, parts: tuple[Part, ...], where: str, *, is_message: bool) -> None:
        """Continue the last turn or begin another, with parts that stand in, or at, `where`."""
        apart = (is_message and self._after_message) if role is Role.ASSISTANT else (is_message or self._after_message)
        if self.turns and self.turns[-1][0] is role and not apart:
            self.places[-1].append((len(self.turns[-1][1]), where))
            self.turns[-1][1].extend(parts)
        else:
            self.turns.append((role, list(parts)))
            self.places.append([(0, where)])
        self._after_message = is_message

    def read(self, raw: msgspec.Raw, where: str) -> None:
        """Take one item. Raises InvalidRequest."""
        kind = read_member(_kind, raw, where)
        match kind.type or ("message" if kind.role else "item_reference"):
            case "message":
                self._read_message(raw, where)
            case "function_call":
                call = read_member(_call, raw, where)
                signed = ToolCall(call.call_id, call.name, call.arguments, self._signature, self._origin)
                self._origin, self._signature = "", ""
                self._names[call.call_id] = call.name
                self.add(Role.ASSISTANT, (signed,), where, is_message=False)
            case "function_call_output":
                self._read_output(raw, where)
            case "reasoning":
                self._read_thought(raw, where)
            case other:
                of_user = other in _OF_THE_USER or other.endswith("_output")
                role = Role.USER if of_user else Role.ASSISTANT
                self.add(role, (Opaque(DIALECT, other, bytes(raw)),), where, is_message=False)

    def _read_message(self, raw: msgspec.Raw, where: str) -> None:
        message = read_member(_message, raw, where)
        role = ROLES.get(message.role)
        if role is None:
            roles = ", ".join(ROLES)
            raise InvalidRequest(f"The role '{message.role}' is none of {roles}.", param=f"{where}.role")
        place = f"{where}.content"
        self.add(role, read_content(message.content, place), place, is_message=True)

    def _read_output(self, raw: msgspec.Raw, where: str) -> None:
        output = read_member(_output, raw, where)
        parts = read_content(output.output, f"{where}.output")
        told: list[Text | Image | File] = []
        for index, part in enumerate(parts):
            if isinstance(part, Text | Image | File):
                told.append(part)
            else:
                self.leftovers.append(Leftover(f"{where}.output[{index}]"))
        result = ToolResult(output.call_id, tuple(told), name=self._names.get(output.call_id, ""))
        self.add(Role.USER, (result,), where, is_message=False)

    def _read_thought(self, raw: msgspec.Raw, where: str) -> None:
        item = read_member(_reasoning, raw, where)
        text = "\n\n".join(part.text for part in item.content or item.summary or ())
        thought = read_thought(text, item.encrypted_content or "", item.id or "")
        if signature := signature_of_call(thought):
            self._origin, self._signature = thought.origin, signature
        elif not text and not item.encrypted_content:
            self.leftovers.append(Leftover(where, is_hint=True))  # a name for what only the provider has kept
        else:
            self.add(Role.ASSISTANT, (thought,), where, is_message=False)
