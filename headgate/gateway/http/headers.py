"""What a caller may say in headers, and how answers say theirs. Bytes and values only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from headgate.errors import Forbidden, HeadgateError, InvalidRequest, MalformedJson, UpstreamRejected
from headgate.gateway.answers import AnswerHead
from headgate.limit_errors import LimitRefusal
from headgate.metering import Standing
from headgate.policy import pricing
from headgate.policy.idempotency import LONGEST_KEY
from headgate.types import CacheControl, CacheMode, Caller, Route
from headgate.wire import openai
from headgate.wire.openai import CallHeaders

_LONGEST_VALUE = 256
_LONGEST_LIST = 4096  # of the beta features an agent asks for
_MOST_TAGS = 16
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 413: "Content Too Large",
    422: "Unprocessable Content", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    529: "Overloaded",
}  # fmt: skip
_OK = b"HTTP/1.1 200 OK\r\n"
_END = "\r\n"
_JSON = "content-type: application/json\r\n"
_STREAM = "content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
_REPLAYED = "idempotent-replayed: true\r\n"

_SDK_RETRIES = frozenset({408, 409, 429})  # and every 5xx: what OpenAI's SDKs retry unless told not to

_DIALECT_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta")  # for a provider of the same dialect
_CACHE_MODE, _CACHE_TTL = b"x-headgate-cache", b"x-headgate-cache-ttl"
_IDEMPOTENCY_KEY = b"idempotency-key"
_MOST_SECONDS = 10**9
_OURS = frozenset(
    {
        b"x-headgate-session",
        b"x-headgate-user",
        b"x-headgate-tags",
        b"x-headgate-appeal",
        b"x-headgate-prompt-version",
        _IDEMPOTENCY_KEY,
        _CACHE_MODE,
        _CACHE_TTL,
        b"traceparent",
        *(name.encode() for name in _DIALECT_HEADERS),
    }
)
_ANTHROPICS = (Route.MESSAGES, Route.COUNT_TOKENS)
_MODES = tuple(CacheMode)
_NOTHING_SAID = CallHeaders()

Headers = Mapping[bytes, bytes]


def secret(headers: Headers) -> bytes | None:
    """The virtual key a request carries: `authorization: Bearer KEY`, `x-api-key: KEY` or, as Azure's clients send it,
    `api-key: KEY`."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if value and scheme.lower() == b"bearer":
        return value.strip()
    return headers.get(b"x-api-key") or headers.get(b"api-key")


def call_headers(headers: Headers, caller: Caller) -> CallHeaders:
    """Read headgate's own request headers. Raises InvalidRequest, or Forbidden for a key that is bound to a user."""
    if not headers.keys() & _OURS:
        return _NOTHING_SAID
    user = _text(headers, b"x-headgate-user")
    if user is not None and caller.user is not None and user != caller.user:
        raise Forbidden(
            f"This key belongs to the user '{caller.user}' and may not act for another.", param="x-headgate-user"
        )
    tags = tuple(tag for part in (_text(headers, b"x-headgate-tags") or "").split(",") if (tag := part.strip()))
    if len(tags) > _MOST_TAGS:
        raise InvalidRequest(f"At most {_MOST_TAGS} tags may be sent, not {len(tags)}.", param="x-headgate-tags")
    return CallHeaders(
        session=_text(headers, b"x-headgate-session"),
        user=user,
        tags=tags,
        prompt_version=_text(headers, b"x-headgate-prompt-version"),
        traceparent=_text(headers, b"traceparent"),
        dialect_headers=tuple(
            (name, value) for name in _DIALECT_HEADERS if (value := _text(headers, name.encode(), _LONGEST_LIST))
        ),
        cache=_cache_control(headers),
        appeal=_text(headers, b"x-headgate-appeal"),
        idempotency_key=_idempotency_key(headers),
    )


def explained(error: HeadgateError, headers: Headers) -> HeadgateError:
    """Why a body cannot be read, if its headers say more about it than what was found in it."""
    coding = headers.get(b"content-encoding", b"identity")
    if not isinstance(error, MalformedJson) or coding == b"identity":
        return error
    return MalformedJson(
        "The body is compressed, and is not read like that. Send it as it is, without content-encoding."
    )


def _idempotency_key(headers: Headers) -> str | None:
    key = headers.get(_IDEMPOTENCY_KEY)
    if key is not None and not key.strip():
        raise InvalidRequest("An idempotency key is not empty.", param=_IDEMPOTENCY_KEY.decode())
    return _text(headers, _IDEMPOTENCY_KEY, LONGEST_KEY)


def _cache_control(headers: Headers) -> CacheControl:
    mode, ttl = _text(headers, _CACHE_MODE), _text(headers, _CACHE_TTL)
    if mode is not None and mode not in _MODES:
        raise InvalidRequest(f"'{mode}' is none of {', '.join(_MODES)}.", param=_CACHE_MODE.decode())
    if ttl is not None and not (ttl.isascii() and ttl.isdigit() and int(ttl) <= _MOST_SECONDS):
        raise InvalidRequest("Give a whole number of seconds.", param=_CACHE_TTL.decode())
    return CacheControl(CacheMode(mode or CacheMode.USE), None if ttl is None else float(ttl))


def _text(headers: Headers, name: bytes, longest: int = _LONGEST_VALUE) -> str | None:
    value = headers.get(name)
    if not value:
        return None
    if len(value) > longest:
        raise InvalidRequest(f"The header is longer than {longest} bytes.", param=name.decode())
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The header is not valid UTF-8.", param=name.decode()) from None


def status_line(status: int) -> bytes:
    """The first line of a response."""
    return _OK if status == 200 else f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n".encode()


def answer_head(head: AnswerHead, route: Route) -> bytes:
    """The headers of an answer, without those of the connection."""
    cost, lowered = head.cost_picousd, head.max_output_tokens
    return (
        f"{_request_id(head.request_id, route)}\r\n"
        f"x-headgate-model: {_ascii(head.model)}\r\n"
        f"x-headgate-provider: {_ascii(head.provider)}\r\n"
        f"{f'x-headgate-attempts: {_ascii(head.attempts)}{_END}' if head.attempts else ''}"
        f"x-headgate-cache: {head.cache}\r\n"
        f"{_REPLAYED if head.is_replayed else ''}"
        f"{'' if head.age_seconds is None else f'age: {head.age_seconds}{_END}'}"
        f"{f'x-headgate-cache-from: {head.kept_from}{_END}' if head.kept_from else ''}"
        f"{_STREAM if head.stream else _JSON}"
        f"{'' if cost is None else f'x-headgate-cost-usd: {pricing.format_usd(cost)}{_END}'}"
        f"{f'x-headgate-dropped: {_ascii(_list(head.dropped))}{_END}' if head.dropped else ''}"
        f"{'' if lowered is None else f'x-headgate-max-output-tokens: {lowered}{_END}'}"
        f"{f'x-headgate-degraded-from: {_ascii(head.degraded_from)}{_END}' if head.degraded_from else ''}"
        f"{f'x-headgate-route: {_ascii(head.route)}{_END}' if head.route else ''}"
        f"{_rate_limits(head.requests, head.tokens, route)}"
    ).encode()


def _rate_limits(requests: Standing | None, tokens: Standing | None, route: Route) -> str:
    """How the limits stand, as OpenAI writes it, or as Anthropic does for its dialect."""
    write = _as_anthropic if route in _ANTHROPICS else _as_openai
    told = write("requests", requests) if requests is not None else ""
    return told + write("tokens", tokens) if tokens is not None else told


def _as_openai(what: str, standing: Standing) -> str:
    return (
        f"x-ratelimit-limit-{what}: {standing.limit}\r\n"
        f"x-ratelimit-remaining-{what}: {standing.remaining}\r\n"
        f"x-ratelimit-reset-{what}: {_duration(standing.reset_seconds)}\r\n"
    )


def _as_anthropic(what: str, standing: Standing) -> str:
    at = datetime.fromtimestamp(standing.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"anthropic-ratelimit-{what}-limit: {standing.limit}\r\n"
        f"anthropic-ratelimit-{what}-remaining: {standing.remaining}\r\n"
        f"anthropic-ratelimit-{what}-reset: {at}\r\n"
    )


def _duration(seconds: float) -> str:
    """As OpenAI writes durations: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.4g}s"


def _request_id(request_id: str, route: Route) -> str:
    """OpenAI's name for it, and Anthropic's where its SDK looks for that."""
    ours = f"x-request-id: {request_id}"
    return f"{ours}\r\nrequest-id: {request_id}" if route in _ANTHROPICS else ours


def _list(names: tuple[str, ...]) -> str:
    """A list that fits into a header."""
    told = ", ".join(names)
    return told if len(told) <= _LONGEST_LIST else f"{told[:_LONGEST_LIST]}..."


def error_head(error: HeadgateError, request_id: str, route: Route = Route.CHAT) -> bytes:
    """The headers of an error, without those of the connection."""
    status = openai.error_status(error)
    lines = [_request_id(request_id, route), "content-type: application/json"]
    if error.attempts:
        lines.append(f"x-headgate-attempts: {_ascii(error.attempts)}")
    if error.retry_after_seconds is not None:
        lines.append(f"retry-after: {math.ceil(error.retry_after_seconds)}")
        lines.append(f"retry-after-ms: {math.ceil(error.retry_after_seconds * 1000)}")
    if isinstance(error, LimitRefusal) and (limits := _rate_limits(error.requests, error.tokens, route)):
        lines.append(limits.removesuffix("\r\n"))
    sdk_would_retry = status in _SDK_RETRIES or status >= 500
    if (sdk_would_retry or status == 402) and not error.should_retry and not isinstance(error, UpstreamRejected):
        lines.append("x-should-retry: false")
    if status == 401:
        lines.append("www-authenticate: Bearer")
    return ("\r\n".join(lines) + "\r\n").encode()


def _ascii(value: str) -> str:
    """Header values are ASCII without control characters, whatever a name in the configuration is."""
    return value if value.isascii() and value.isprintable() else value.encode("unicode_escape").decode()
