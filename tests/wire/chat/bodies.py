"""Bodies of chat completions, and what is read from them and written to them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.wire.chat.dialect import CLIENT, PROVIDER
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Leftover, Message, Request, Target, Written

USER = {"role": "user", "content": "Hello"}
TARGET = Target("small")
Json = dict[str, Any]


def fields(body: Json) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}


def read(*messages: Json, **members: Any) -> Request:
    """The request of a caller who says this."""
    return CLIENT.read_request(fields({"model": "m", "messages": list(messages) or [USER], **members}))


def turns(*messages: Json) -> tuple[Message, ...]:
    """The turns of a conversation that is understood completely."""
    request = read(*messages)
    assert request.leftovers == ()
    return request.messages


def leftovers(request: Request | Written) -> list[str]:
    """What was left over; hints are marked with a question mark."""
    return [leftover.field + "?" * leftover.is_hint for leftover in request.leftovers]


def written(request: Request, target: Target = TARGET) -> Json:
    """The body for a server that takes all of the request."""
    result = PROVIDER.write_request(request, target)
    assert result.leftovers == ()
    return decoded(result.body)


def decoded(body: bytes) -> Json:
    value = json.loads(body)
    assert isinstance(value, dict)
    return value


def context(*, wants_usage: bool = False, **members: Any) -> ReplyContext:
    return ReplyContext(
        request_id="req_1", created=5, fields=fields({"model": "m", **members}), wants_usage=wants_usage
    )


def hint(field: str) -> Leftover:
    return Leftover(field, is_hint=True)
