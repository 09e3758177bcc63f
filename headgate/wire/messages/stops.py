"""Why Claude stopped, and what it says about a refusal."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.errors import StreamFailed
from headgate.wire.neutral import Finish, Part, ToolCall

_FINISHES = {
    "end_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOL_CALLS,
    "pause_turn": Finish.PAUSE,
    "compaction": Finish.PAUSE,
    "refusal": Finish.REFUSAL,
}
_STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
    Finish.REFUSAL: "refusal",
    Finish.PAUSE: "pause_turn",
}
_FAILURES = ("error", "abort", "fail")


class StopDetails(msgspec.Struct):
    """More about a refusal: why, in Anthropic's words."""

    explanation: str | None = None


def read_finish(stop_reason: str) -> Finish:
    """Raises StreamFailed for one that tells of a failure; any other that is not known counts as a plain stop."""
    finish = _FINISHES.get(stop_reason)
    if finish is None and any(word in stop_reason for word in _FAILURES):
        raise StreamFailed(f"The provider gave up: stop_reason is '{stop_reason}'.")
    return finish or Finish.STOP


def write_finish(finish: Finish, *, calls_tools: bool) -> str:
    """The stop reason. Some servers say "stop" when they call tools, and a client would then not run them."""
    return "tool_use" if calls_tools and finish is Finish.STOP else _STOP_REASONS[finish]


def calls_tools(parts: Sequence[Part]) -> bool:
    """Whether an answer waits for tools."""
    return any(isinstance(part, ToolCall) for part in parts)
