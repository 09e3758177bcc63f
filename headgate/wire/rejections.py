"""What a provider says when it answers with an error status, whatever its dialect."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.types import Api, Frozen
from headgate.wire import dialects, http, openai
from headgate.wire.gemini import errors as gemini

_KEY_REFUSED = (401, 403)


class Rejection(Frozen, frozen=True):
    """`words` are the provider's sentence; `about_our_key` when it is not the caller's fault in any way."""

    family: str
    words: str
    about_our_key: bool
    retry_after_seconds: float | None


def read_rejection(api: Api, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Rejection:
    """Read an error body; `now` is in Unix seconds. Never raises."""
    family = dialects.family(api)
    retry_after_seconds = http.retry_after_seconds(headers, now)
    if family != "gemini":
        return Rejection(family, openai.error_message(body), status in _KEY_REFUSED, retry_after_seconds)
    if retry_after_seconds is None:
        retry_after_seconds = gemini.retry_after_seconds(body)
    about_our_key = status in _KEY_REFUSED or gemini.is_about_our_key(body)
    return Rejection(family, gemini.error_message(body), about_our_key, retry_after_seconds)
