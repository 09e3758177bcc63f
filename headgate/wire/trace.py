"""W3C trace context: reading and writing `traceparent`, and which trace a request belongs to.

Ids are derived, not drawn: a span's id is a digest of the id of the request or attempt it shows. So the header that
goes upstream and the span that is made after the request has ended agree without a word between them.
Format: https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from hashlib import blake2b

from headgate.types import Frozen

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class TraceContext(Frozen, frozen=True, gc=False):
    """A trace, the span that asks, and whether the trace is recorded. `parent_id` is "" where the trace begins."""

    trace_id: str  # 32 hex digits
    parent_id: str  # 16 hex digits
    sampled: bool


def parse_traceparent(value: str) -> TraceContext | None:
    """None if the value is not one, which the standard says to treat as no header at all.

    Versions above 00 may carry more after the flags; what 00 defines is read of them.
    """
    match = _TRACEPARENT.fullmatch(value.strip())
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return TraceContext(trace_id, parent_id, bool(int(flags, 16) & _SAMPLED))


def child(context: TraceContext, span_id: str) -> str:
    """The `traceparent`, always in version 00, that a span of this trace (16 hex digits) sends on."""
    return f"00-{context.trace_id}-{span_id}-{context.sampled:02x}"


def span_id_of(record_id: str) -> str:
    """The span id (16 hex digits) of the request or attempt with this id."""
    return blake2b(record_id.encode(), digest_size=8).hexdigest()


def trace_of(request_id: str, traceparent: str | None, sample_share: float) -> TraceContext:
    """The trace of a request: the caller's with the caller's decision, or a new one.

    A new trace is sampled by its id as OpenTelemetry's TraceIdRatioBased does it: the lower 64 bits below the share.
    """
    if traceparent and (context := parse_traceparent(traceparent)):
        return context
    trace_id = blake2b(request_id.encode(), digest_size=16).hexdigest()
    return TraceContext(trace_id, "", int(trace_id[16:], 16) < round(sample_share * 2**64))
