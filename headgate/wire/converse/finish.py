"""Why a model stopped, in Converse's words and in ours."""

from __future__ import annotations

from headgate.errors import StreamFailed
from headgate.wire.neutral import Finish

_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "refusal": Finish.REFUSAL,
    "pause_turn": Finish.PAUSE,
}
_FAILURES = ("malformed", "error", "abort", "fail")  # malformed_model_output, malformed_tool_use, and their like


def read_finish(stop_reason: str, *, has_tool_calls: bool) -> Finish:
    """The closest reason of ours. Raises StreamFailed for one that says the answer is no good."""
    finish = _FINISHES.get(stop_reason)
    if finish is not None:
        return finish
    if any(word in stop_reason for word in _FAILURES):
        raise StreamFailed(f"The provider gave up: its stop reason is '{stop_reason}'.")
    return Finish.TOOL_CALLS if has_tool_calls else Finish.STOP
