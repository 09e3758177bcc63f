"""What is said, as Gemini's contents: the system instruction and the turns.

How a part is written is `parts.py`'s business, which other members a request has is `request.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire.gemini.parts import AnyPart, PartWriter
from headgate.wire.neutral import Message, Role, Text, ToolResult


class Content(msgspec.Struct):
    """One turn: of the user (tool results too) or of the model."""

    role: str
    parts: list[AnyPart]


class Conversation(msgspec.Struct):
    """What `write_conversation` makes of messages."""

    system: list[AnyPart]
    contents: list[Content]


def write_conversation(messages: Sequence[Message], writer: PartWriter) -> Conversation:
    """Write all messages.

    Gemini wants the results of parallel calls in one turn, with nothing else in it, right after the calls. A turn that
    says nothing is left out. A request of system messages alone is turned into the user's, as Gemini refuses it.
    """
    system: list[AnyPart] = []
    turns: list[Content] = []
    results: Content | None = None  # the turn that further results join
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if message.name:
            writer.left_over(f"{place}.name", is_hint=True)
        if message.role is Role.SYSTEM:
            if turns:
                writer.left_over(f"{place}.role")
            system += _system_parts(message, writer, place)
            continue
        said: list[AnyPart] = []
        for position, part in enumerate(message.parts):
            where = f"{place}.content[{position}]"
            if not isinstance(part, ToolResult):
                writer.write(part, where, said)
                continue
            if results is None:
                results = Content("user", [])
                turns.append(results)
            writer.write(part, where, results.parts)
        if said:
            turns.append(Content("model" if message.role is Role.ASSISTANT else "user", said))
            results = None
    if system and not turns:
        writer.left_over("messages[0].role")
        return Conversation([], [Content("user", system)])
    return Conversation(system, turns)


def _system_parts(message: Message, writer: PartWriter, place: str) -> list[AnyPart]:
    """Text only: a system instruction cannot show anything."""
    parts: list[AnyPart] = []
    for position, part in enumerate(message.parts):
        where = f"{place}.content[{position}]"
        if isinstance(part, Text):
            writer.write(part, where, parts)
        else:
            writer.left_over(where)
    return parts
