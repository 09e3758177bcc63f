"""What Google says went wrong: the words of its error objects, and those that mean something else than their status."""

from __future__ import annotations

import msgspec

_MAX_CHARACTERS = 1000
_NO_KEY = ("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "ACCESS_TOKEN_EXPIRED")


class _Detail(msgspec.Struct, rename="camel"):
    reason: str | None = None
    retry_delay: str | None = None


class _Error(msgspec.Struct):
    message: str | None = None
    status: str | None = None
    details: tuple[_Detail, ...] | None = None


class _Body(msgspec.Struct):
    error: _Error | None = None


_body = msgspec.json.Decoder(_Body | tuple[_Body, ...])


def error_message(body: bytes) -> str:
    """The sentence in an error body, which may be in an array of one; the start of the body if there is none."""
    error = _read(body)
    sentence = (error.message or error.status or "").strip()
    return sentence[:_MAX_CHARACTERS] or body[:300].decode(errors="replace").strip() or "no message"


def is_about_our_key(body: bytes) -> bool:
    """Whether Google refuses headgate's own key: it does so with status 400."""
    return any(detail.reason in _NO_KEY for detail in _read(body).details or ())


def retry_after_seconds(body: bytes) -> float | None:
    """How long Google asks to wait: a RetryInfo in the body ("34.07s"), for it sends no Retry-After header."""
    for detail in _read(body).details or ():
        if detail.retry_delay and detail.retry_delay.endswith("s"):
            try:
                seconds = float(detail.retry_delay[:-1])
            except ValueError:
                continue
            return seconds if 0 <= seconds < float("inf") else None
    return None


def _read(body: bytes) -> _Error:
    try:
        value = _body.decode(body)
    except (ValueError, RecursionError):
        return _Error()
    first = value[0] if isinstance(value, tuple) and value else value
    return (isinstance(first, _Body) and first.error) or _Error()
