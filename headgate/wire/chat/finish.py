"""Why a model stopped, in the words of many servers."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.errors import StreamFailed
from headgate.wire.chat.answer_shapes import Choice
from headgate.wire.chat.request_shapes import ABSENT
from headgate.wire.neutral import Finish
from headgate.wire.openai import error_message

_READ: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "max_output_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,  # Mistral: the context is full
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "tool_call": Finish.TOOL_CALLS,
    "tool_use": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "safety": Finish.CONTENT_FILTER,
    "recitation": Finish.CONTENT_FILTER,
    "blocklist": Finish.CONTENT_FILTER,
    "prohibited_content": Finish.CONTENT_FILTER,
    "spii": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER,  # Zhipu
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "refusal": Finish.REFUSAL,
    "pause_turn": Finish.PAUSE,
}
# Parts of words that say the answer was not finished: error, network_error, abort, insufficient_system_resource...
_GAVE_UP = ("error", "abort", "cancel", "fail", "insufficient", "timeout", "malformed")

_WRITTEN: Mapping[Finish, str] = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
    Finish.PAUSE: "stop",
}


def read_finish(choice: Choice, *, calls_tools: bool, refuses: bool) -> Finish:
    """The neutral reason; a word that nobody knows is taken for `stop`. Raises StreamFailed if the model gave up.

    Some say `stop` after a tool call, a refusal or a stop sequence: what was said decides.
    """
    word = choice.reason().lower()
    finish = _READ.get(word)
    if finish is None and any(part in word for part in _GAVE_UP):
        words = f": {error_message(bytes(choice.error))}" if choice.error != ABSENT else ""
        raise StreamFailed(f"The provider gave up: finish_reason is '{choice.reason()}'{words}.")
    if finish is not None and finish is not Finish.STOP:
        return finish
    if calls_tools:
        return Finish.TOOL_CALLS
    if refuses:
        return Finish.REFUSAL
    return Finish.STOP_SEQUENCE if choice.stop_sequence() else Finish.STOP


def write_finish(finish: Finish, *, refuses: bool, legacy: bool = False) -> str:
    """The word for a chat client.

    A refusal in words ends with `stop`, as OpenAI's do; one without is `content_filter`, so that what is cut off is
    not taken for a whole answer. `legacy` callers speak of functions.
    """
    if finish is Finish.REFUSAL and refuses:
        return "stop"
    return "function_call" if legacy and finish is Finish.TOOL_CALLS else _WRITTEN[finish]
