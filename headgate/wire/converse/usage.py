"""Converse's usage object as headgate's own."""

from __future__ import annotations

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.believing import believed

_EXTENDED_TTL = "1h"
_EMPTY = (b"null", b"{}", b"[]", b"0")
# What Usage has a class for, and what repeats it.
_KNOWN = frozenset(
    {
        "inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails",
        "cacheReadInputTokenCount", "cacheWriteInputTokenCount",
    }
)  # fmt: skip


class _CacheDetail(msgspec.Struct, rename="camel"):
    ttl: str | None = None
    input_tokens: int | None = None


class _TokenUsage(msgspec.Struct, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None


_view = msgspec.json.Decoder(_TokenUsage | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_usage(raw: bytes) -> Usage | None:
    """The neutral form, None if the object says nothing that can be believed.

    Raises ValueError for what is no usage object.

    Bedrock counts what it read from its cache and wrote to it beside `inputTokens`; where the total shows that they are
    part of it, they are not added again. What a model thought is not told apart from its output.
    """
    view = _view.decode(raw)
    if view is None or (view.input_tokens is None and view.output_tokens is None):
        return None
    tokens_in, tokens_out = max(0, view.input_tokens or 0), max(0, view.output_tokens or 0)
    cached = max(0, view.cache_read_input_tokens or 0)
    written, written_1h = _cache_writes(view)
    if view.total_tokens != tokens_in + tokens_out:
        tokens_in += cached + written
    cached = min(cached, tokens_in)
    written = min(written, tokens_in - cached)
    written_1h = min(written_1h, written)
    usage = Usage(
        input=tokens_in,
        cached_input=cached,
        output=tokens_out,
        counted=Counted.REPORTED,
        cache_write=written - written_1h,
        cache_write_1h=written_1h,
        raw=bytes(raw) if _says_more(raw) else b"",
    )
    return believed(usage)


def _cache_writes(view: _TokenUsage) -> tuple[int, int]:
    """Tokens written to the cache in all, and for an hour."""
    details = [(detail.ttl, max(0, detail.input_tokens or 0)) for detail in view.cache_details or ()]
    written = max(view.cache_write_input_tokens or 0, sum(tokens for _, tokens in details))
    return written, sum(tokens for ttl, tokens in details if ttl == _EXTENDED_TTL)


def _says_more(raw: bytes) -> bool:
    return any(name not in _KNOWN and bytes(value) not in _EMPTY for name, value in _members.decode(raw).items())
