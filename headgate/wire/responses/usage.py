"""The usage object of the Responses API."""

from __future__ import annotations

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.believing import believed


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    total_tokens: int | None = None


class _KnownInputDetails(_InputDetails, forbid_unknown_fields=True):
    pass


class _KnownOutputDetails(_OutputDetails, forbid_unknown_fields=True):
    pass


class _KnownUsage(_Usage, forbid_unknown_fields=True):
    """All of it has a class in Usage: an object that says more is kept raw."""

    input_tokens_details: _KnownInputDetails | None = None
    output_tokens_details: _KnownOutputDetails | None = None


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


_known = msgspec.json.Decoder(_KnownUsage | None)
_lenient = msgspec.json.Decoder(_Usage)


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """The neutral form, None if the object says nothing, or nothing that can be read and believed.

    What is counted in the total alone was thought beside the answer (Gemini's and xAI's way). A part is never taken
    for larger than its whole.
    """
    view, more = _decode(raw)
    if view is None or (view.input_tokens is None and view.output_tokens is None):
        return None
    read, written = view.input_tokens_details, view.output_tokens_details
    tokens_in, said = max(0, view.input_tokens or 0), max(0, view.output_tokens or 0)
    thought_beside = max(0, (view.total_tokens or 0) - tokens_in - said)
    reasoning = (written.reasoning_tokens if written else None) or 0
    cached = min(max(0, (read.cached_tokens if read else None) or 0), tokens_in)
    cache_write = (read.cache_write_tokens if read else None) or 0
    usage = Usage(
        input=tokens_in,
        cached_input=cached,
        output=said + thought_beside,
        reasoning=min(max(reasoning, thought_beside), said + thought_beside),
        counted=Counted.REPORTED,
        cache_write=min(max(0, cache_write), tokens_in - cached),
        raw=more,
    )
    return believed(usage)


def _decode(raw: msgspec.Raw) -> tuple[_Usage | None, bytes]:
    """The object, and itself once more if it says more than we know."""
    try:
        return _known.decode(raw), b""
    except msgspec.ValidationError:
        pass
    try:
        return _lenient.decode(raw), bytes(raw)
    except msgspec.ValidationError:
        return None, b""


def write_usage(usage: Usage) -> WrittenUsage:
    """The object for a client; both kinds of cache writes are one number here."""
    return WrittenUsage(
        input_tokens=usage.input,
        input_tokens_details=_WrittenInputDetails(usage.cached_input, usage.cache_write + usage.cache_write_1h),
        output_tokens=usage.output,
        output_tokens_details=_WrittenOutputDetails(usage.reasoning),
        total_tokens=usage.input + usage.output,
    )
