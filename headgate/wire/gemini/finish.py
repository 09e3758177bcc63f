"""Why Gemini stopped, in neutral words."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.errors import StreamFailed
from headgate.wire.neutral import Finish

# The enum's numbers, for answers that have them instead of names.
NAMES: Mapping[int, str] = {
    1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 6: "BLOCKLIST", 7: "PROHIBITED_CONTENT",
    8: "SPII", 9: "MALFORMED_FUNCTION_CALL",
}  # fmt: skip
UNSPECIFIED = (None, 0, "", "FINISH_REASON_UNSPECIFIED")

FINISHES: Mapping[str, Finish] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.LENGTH,  # the ceiling of one request; going on needs a token that no client can send
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "LANGUAGE": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "IMAGE_RECITATION": Finish.CONTENT_FILTER,
    "IMAGE_OTHER": Finish.CONTENT_FILTER,
    "NO_IMAGE": Finish.CONTENT_FILTER,
    "ESCALATION": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
    "OTHER": Finish.CONTENT_FILTER,
}
# The model or the service broke down, and what there is of an answer is not one.
FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "PUP_LIMITED_DISABLED",
    }
)
_SOUNDS_LIKE_FAILURE = ("ERROR", "FAIL", "ABORT", "MALFORMED", "INVALID", "UNEXPECTED", "MISSING", "TIMEOUT")


def is_finish(reason: str | int | None) -> bool:
    """Whether a candidate is complete: until then the reason is absent."""
    return reason not in UNSPECIFIED


def finish_of(reason: str | int, message: str, has_called: bool) -> Finish:
    """What a finish reason means; STOP after tool calls means that the model waits for them.

    A reason of tomorrow counts as held back, as all but two of today's do, and never as success. Raises StreamFailed
    for those that say the model broke down.
    """
    name = NAMES.get(reason, str(reason)) if isinstance(reason, int) else reason.upper()
    finish = FINISHES.get(name)
    if finish is None:
        if name in FAILURES or any(word in name for word in _SOUNDS_LIKE_FAILURE):
            raise StreamFailed(f"finishReason is '{name}'{f' ({message})' if message else ''}")
        return Finish.CONTENT_FILTER
    return Finish.TOOL_CALLS if finish is Finish.STOP and has_called else finish
