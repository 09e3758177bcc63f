"""What Gemini is asked for a neutral request."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.wire.gemini.request import write_request
from headgate.wire.neutral import (
    Message,
    Part,
    Request,
    Role,
    Target,
    Text,
)

OLD, NEW = Target("gemini-2.5-flash"), Target("gemini-3-flash-preview")
HELLO = Message(Role.USER, (Text("hello"),))
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":["string","null"]}},"additionalProperties":false}')


def body(request: Request, target: Target = OLD) -> Any:
    written = write_request(request, target)
    assert not [leftover for leftover in written.leftovers if not leftover.is_hint]
    return json.loads(written.body)


def said(*messages: Message, target: Target = OLD) -> Any:
    return body(Request(messages=messages), target)["contents"]


def leftovers(request: Request, target: Target = OLD) -> list[tuple[str, bool]]:
    return [(leftover.field, leftover.is_hint) for leftover in write_request(request, target).leftovers]


def user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def model(*parts: Part) -> Message:
    return Message(Role.ASSISTANT, parts)
