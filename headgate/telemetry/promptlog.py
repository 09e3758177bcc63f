"""The words of a request and its answer, as one JSON line, for operators who asked for it with `server.log.prompts`.

Owns the bound on a line's size. Off unless configured, because these are the words of other people's users.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headgate.types import Call
from headgate.wire.prompts import PROMPT_MEMBERS

MAX_CHARACTERS = 100_000  # of the prompt, and of the answer


class PromptLine(msgspec.Struct, frozen=True, gc=False):
    """The line; `prompt` is the request's JSON as text, both are cut at MAX_CHARACTERS."""

    level: str
    event: str
    id: str
    prompt: str
    answer: str


class PromptLog:
    """Implements `ports.Witness`. `write` takes the bytes of one line and must not block."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._encode = msgspec.json.Encoder().encode

    def saw(self, call: Call, answer: str) -> None:
        """Write the line."""
        prompt = bytes(call.fields.get(PROMPT_MEMBERS[call.route], b"")).decode(errors="replace")
        line = PromptLine("info", "prompt", call.id, prompt[:MAX_CHARACTERS], answer[:MAX_CHARACTERS])
        self._write(self._encode(line) + b"\n")
