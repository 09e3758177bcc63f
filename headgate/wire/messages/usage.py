"""Anthropic's usage object.

Its `input_tokens` are what was neither read from the cache nor written to it; headgate's `input` is all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.believing import believed


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _UsageView(msgspec.Struct):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _PlainUsage(_UsageView, forbid_unknown_fields=True):
    """A usage object that says no more than `Usage` can: nearly all are such, and one decoder is enough for them."""

    service_tier: Literal["standard", ""] | None = None
    server_tool_use: None = None
    inference_geo: Literal["not_available", "global", ""] | None = None


_plain = msgspec.json.Decoder(_PlainUsage | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_view = msgspec.json.Decoder(_UsageView)
_any = msgspec.json.Decoder()
_KNOWN = frozenset(_UsageView.__struct_fields__)
_USUAL = (None, 0, "", "standard", "not_available", "global")  # values that change neither what was done nor its price


def read_usage(objects: Sequence[bytes]) -> Usage | None:
    """The usage told by one object, or by several of a stream: figures are cumulative, so a later one replaces.

    None if there is no figure in them, or none that can be read and believed.
    """
    if len(objects) == 1 and (plain := _read_plain(objects[0])) is not None:
        return plain
    members: dict[str, msgspec.Raw] = {}
    try:
        for data in objects:
            given = _members.decode(data) or {}
            members.update((name, value) for name, value in given.items() if bytes(value) != b"null")
        merged = msgspec.json.encode(members)
        view = _view.decode(merged)
        says_more = any(_says_something(_any.decode(members[name])) for name in members.keys() - _KNOWN)
    except (ValueError, RecursionError):
        return None
    if view.input_tokens is None and view.output_tokens is None:
        return None
    return believed(_usage(view, merged if says_more else b""))


def _read_plain(data: bytes) -> Usage | None:
    try:
        view = _plain.decode(data)
    except (ValueError, RecursionError):
        return None
    if view is None or (view.input_tokens is None and view.output_tokens is None):
        return None
    return believed(_usage(view, b""))


def _usage(view: _UsageView, raw: bytes) -> Usage:
    read, written = max(0, view.cache_read_input_tokens or 0), max(0, view.cache_creation_input_tokens or 0)
    for_an_hour = (view.cache_creation and view.cache_creation.ephemeral_1h_input_tokens) or 0
    for_an_hour = min(max(0, for_an_hour), written)
    output = max(0, view.output_tokens or 0)
    thought = (view.output_tokens_details and view.output_tokens_details.thinking_tokens) or 0
    return Usage(
        input=max(0, view.input_tokens or 0) + read + written,
        cached_input=read,
        output=output,
        reasoning=min(max(0, thought), output),
        counted=Counted.REPORTED,
        cache_write=written - for_an_hour,
        cache_write_1h=for_an_hour,
        raw=raw,
    )


def _says_something(value: object) -> bool:
    if isinstance(value, dict):
        return any(_says_something(member) for member in value.values())
    return bool(value) if isinstance(value, list) else value not in _USUAL


class _WrittenCacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class _WrittenOutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int


class WrittenUsage(msgspec.Struct, gc=False):
    """The usage object of an answer."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: _WrittenCacheCreation
    output_tokens: int
    output_tokens_details: _WrittenOutputDetails | msgspec.UnsetType = msgspec.UNSET


def write_usage(usage: Usage) -> WrittenUsage:
    """The usage object of an answer."""
    written = usage.cache_write + usage.cache_write_1h
    return WrittenUsage(
        max(0, usage.input - usage.cached_input - written),
        written,
        usage.cached_input,
        _WrittenCacheCreation(usage.cache_write, usage.cache_write_1h),
        usage.output,
        _WrittenOutputDetails(usage.reasoning) if usage.reasoning else msgspec.UNSET,
    )
