"""A provider that does what a test says: each call gets the next reply, the last one again and again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headgate.errors import HeadgateError
from headgate.ports import Take, UpstreamResponse
from headgate.providers.relaying import relay_by_reading
from headgate.types import Operation
from tests.wire.chunks import ANSWER, DONE

SILENCE = float("inf")
EVENT_STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
Step = bytes | float | HeadgateError  # a piece of the body, seconds of waiting, or the end of the connection


@dataclass(frozen=True)
class Reply:
    """An answer: wait, then status and headers, then the steps of the body. Or only an error, instead of an answer."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: EVENT_STREAM)
    seconds_before: float = 0.0
    error: HeadgateError | None = None


def stream(*steps: Step, seconds_before: float = 0.0) -> Reply:
    """An event stream; without steps a short complete one."""
    return Reply(steps or (ANSWER + DONE,), seconds_before=seconds_before)


def answer(
    content: str = "Hello there",
    *,
    seconds_before: float = 0.0,
    usage: tuple[int, int] | None = (7, 3),
    finish: str = "stop",
) -> Reply:
    """A JSON answer."""
    body: dict[str, Any] = {"choices": [{"index": 0, "message": {"content": content}, "finish_reason": finish}]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return Reply([json.dumps(body).encode()], headers={**JSON, "x-request-id": "up_1"}, seconds_before=seconds_before)


def telling(reply: Reply, **headers: str) -> Reply:
    """The reply with more headers; an underscore is a hyphen."""
    return replace(reply, headers={**reply.headers, **{name.replace("_", "-"): told for name, told in headers.items()}})


def refuse(status: int, *, retry_after: str | None = None, message: str = "no") -> Reply:
    """An error status with a body in OpenAI's shape."""
    headers = {**JSON, **({"retry-after": retry_after} if retry_after is not None else {})}
    return Reply([json.dumps({"error": {"message": message}}).encode()], status=status, headers=headers)


def fail(error: HeadgateError) -> Reply:
    """No answer at all."""
    return Reply(error=error)


@dataclass(frozen=True)
class Asked:
    """A call as the provider saw it. `at` is the loop's time."""

    at: float
    operation: Operation
    body: dict[str, Any]
    endpoint: str
    api_key: str
    headers: Mapping[str, str]


class ScriptedProvider:
    """Implements `ports.Provider`."""

    def __init__(self, *replies: Reply, name: str = "up", kind: str = "openai") -> None:
        self.name = name
        self.kind = kind
        self.asked: list[Asked] = []
        self.responses: list[ScriptedResponse] = []
        self.closed = False
        self._replies = list(replies) or [stream()]

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(now, operation, json.loads(body), endpoint, api_key, dict(headers)))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        await pause(reply.seconds_before)
        if reply.error is not None:
            raise reply.error
        self.responses.append(ScriptedResponse(reply))
        return self.responses[-1]

    @property
    def open_responses(self) -> int:
        """Answers that nobody has let go of."""
        return sum(response.closed_at is None for response in self.responses)

    async def aclose(self) -> None:
        self.closed = True


class ScriptedResponse:
    """Implements `ports.UpstreamResponse`. `reads` counts what was asked for, `closed_at` is the loop's time."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.reads = 0
        self.closed_at: float | None = None
        self._steps = list(reply.steps)

    async def read(self) -> bytes:
        assert self.closed_at is None, "nobody reads what he has closed"
        self.reads += 1
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, bytes):
                return step
            if isinstance(step, HeadgateError):
                raise step
            await pause(step)
        return b""

    async def relay(self, take: Take) -> bool:
        return await relay_by_reading(self, take)

    def close(self) -> None:
        if self.closed_at is None:
            self.closed_at = asyncio.get_running_loop().time()


async def pause(seconds: float) -> None:
    """Sleep, for ever if it is SILENCE."""
    if seconds == SILENCE:
        await asyncio.get_running_loop().create_future()
    elif seconds:
        await asyncio.sleep(seconds)
