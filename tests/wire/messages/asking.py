"""Requests in Anthropic's dialect: read for what they mean, and written for a deployment."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.wire.messages.request import read_request, write_request
from headgate.wire.neutral import Leftover, Message, Part, Request, Role, Target, Text

BUDGET_MODEL = "claude-sonnet-4-5"  # thinks to a budget
ADAPTIVE_MODEL = "claude-opus-4-8"  # thinks as much as it wants, when asked
ALWAYS_MODEL = "claude-fable-5"  # always thinks
HI = Message(Role.USER, (Text("Hi"),))
ASKED = (HI,)
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"x":{"type":"integer"}}}')

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def fields(**members: Any) -> dict[str, msgspec.Raw]:
    """The members of a body; what is not given is what the API insists on."""
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **members}
    return _fields.decode(json.dumps(body))


def read(**members: Any) -> Request:
    return read_request(fields(**members))


def read_parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    """What the blocks of one message mean."""
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def left_over(*blocks: dict[str, Any]) -> list[str]:
    """What of one message's blocks could not be carried over."""
    return names(read(messages=[{"role": "user", "content": list(blocks)}]).leftovers)


def written(request: Request, model: str = BUDGET_MODEL, **target: Any) -> tuple[dict[str, Any], list[str]]:
    """The body, and what did not fit into it; hints in brackets."""
    result = write_request(request, Target(model, **target))
    return json.loads(result.body), names(result.leftovers)


def content(*parts: Part, role: Role = Role.USER, **target: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The blocks that one message's parts become, and what did not."""
    last = () if role is Role.USER else ASKED
    body, leftovers = written(Request(messages=(Message(role, parts), *last)), **target)
    turns = [turn for turn in body["messages"] if turn["role"] == role]
    return (turns[0]["content"] if turns else []), leftovers


def names(leftovers: tuple[Leftover, ...]) -> list[str]:
    return [f"({leftover.field})" if leftover.is_hint else leftover.field for leftover in leftovers]
