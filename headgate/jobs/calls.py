"""The bodies of requests that jobs may have, and how one becomes a call."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headgate.errors import InvalidRequest
from headgate.types import Call, Route
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker

ROUTES: Mapping[str, Route] = {
    "chat": Route.CHAT,
    "completions": Route.COMPLETIONS,
    "responses": Route.RESPONSES,
    "messages": Route.MESSAGES,
    "embed": Route.EMBEDDINGS,
}


def call_of(kind: str, body: bytes, request_id: str, user: str | None = None) -> Call:
    """What a worker puts into the corridor. Raises MalformedJson or InvalidRequest, naming the member."""
    route = ROUTES[kind]
    call = speaker(route).parse_call(route, body, request_id, CallHeaders(user=user))
    if not call.stream:
        return msgspec.structs.replace(call, is_repeatable=True)
    raise InvalidRequest("A job has nobody to stream to: leave out 'stream' and read its events.", param="stream")


def body_of(request: object) -> bytes:
    """An item's body as it is kept."""
    return msgspec.json.encode(request)
