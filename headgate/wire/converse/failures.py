"""Errors that come inside a stream whose status was 200: exceptions and errors of AWS's event stream."""

from __future__ import annotations

import msgspec

from headgate.errors import StreamFailed
from headgate.wire.converse.blocks import View
from headgate.wire.converse.frames import Message

_EVENT = "event"
_MAX_WORDS = 1000


class _Words(View):
    message: str | None = None
    original_message: str | None = None  # of the model behind a modelStreamErrorException


_words = msgspec.json.Decoder(_Words)


def raise_failure(message: Message) -> None:
    """Raise StreamFailed with the provider's words if a message is no event but an exception or error."""
    headers = message.headers
    name = headers.get(":exception-type") or headers.get(":error-code") or headers.get(":event-type", "")
    if headers.get(":message-type", _EVENT) == _EVENT and not name.endswith("Exception"):
        return
    words = headers.get(":error-message") or _said(message.payload)
    raise StreamFailed(f"The provider reported {name or 'an error'} in the stream: {words[:_MAX_WORDS]}")


def _said(payload: bytes) -> str:
    try:
        view = _words.decode(payload)
    except (ValueError, RecursionError):
        return payload[:_MAX_WORDS].decode(errors="replace") or "no message"
    said = (view.message, view.original_message)
    return " ".join(dict.fromkeys(words for words in said if words)) or "no message"
