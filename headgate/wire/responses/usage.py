"""The usage object of the Responses API."""

from __future__ import annotations

import msgspec

from headgate.types import Counted, Usage


class _InputDetails(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: int | None = None


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """All that has a class in Usage: an object that says more is kept raw."""

    input_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    total_tokens: int | None = None


class _LenientInputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _LenientOutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Lenient(msgspec.Struct):
    input_tokens: int | None = None
    input_tokens_details: _LenientInputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: _LenientOutputDetails | None = None
    total_tokens: int | None = None


class _WrittenInputDetails(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int


class _WrittenOutputDetails(msgspec.Struct):
    reasoning_tokens: int


class WrittenUsage(msgspec.Struct):
    """The object as a client gets it."""

    input_tokens: int
    input_tokens_details: _WrittenInputDetails
    output_tokens: int
    output_tokens_details: _WrittenOutputDetails
    total_tokens: int


_known = msgspec.json.Decoder(_Known)
_lenient = msgspec.json.Decoder(_Lenient)


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """The neutral form, None if the object says nothing. Raises ValueError if it is no usage object.

    What is counted in the total alone was thought beside the answer (Gemini's and xAI's way). A part is never taken
    for larger than its whole.
    """
    try:
        view: _Known | _Lenient = _known.decode(raw)
        more = b""
    except msgspec.ValidationError:
        view, more = _lenient.decode(raw), bytes(raw)
    if view.input_tokens is None and view.output_tokens is None:
        return None
    read, written = view.input_tokens_details, view.output_tokens_details
    tokens_in, said = max(0, view.input_tokens or 0), max(0, view.output_tokens or 0)
    thought_beside = max(0, (view.total_tokens or 0) - tokens_in - said)
    reasoning = (written.reasoning_tokens if written else None) or 0
    cached = min(max(0, (read.cached_tokens if read else None) or 0), tokens_in)
    cache_write = (read.cache_write_tokens if read else None) or 0
    return Usage(
        input=tokens_in,
        cached_input=cached,
        output=said + thought_beside,
        reasoning=min(max(reasoning, thought_beside), said + thought_beside),
        counted=Counted.REPORTED,
        cache_write=min(max(0, cache_write), tokens_in - cached),
        raw=more,
    )


def write_usage(usage: Usage) -> WrittenUsage:
    """The object for a client; both kinds of cache writes are one number here."""
    return WrittenUsage(
        input_tokens=usage.input,
        input_tokens_details=_WrittenInputDetails(usage.cached_input, usage.cache_write + usage.cache_write_1h),
        output_tokens=usage.output,
        output_tokens_details=_WrittenOutputDetails(usage.reasoning),
        total_tokens=usage.input + usage.output,
    )
