"""traceparent: what is one, what is none, and which trace a request belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.trace import TraceContext, child, parse_traceparent, span_id_of, trace_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f" 00-{TRACE}-{SPAN}-01 ", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_good_headers(value: str, sampled: bool) -> None:
    assert parse_traceparent(value) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
    ],
)
def test_bad_headers_are_no_headers(value: str) -> None:
    assert parse_traceparent(value) is None


@given(st.text())
def test_any_text_is_read_without_an_error(value: str) -> None:
    parse_traceparent(value)


def test_a_child_keeps_trace_and_decision() -> None:
    context = TraceContext(TRACE, SPAN, sampled=False)
    header = child(context, span_id_of("att_1"))
    assert parse_traceparent(header) == TraceContext(TRACE, span_id_of("att_1"), sampled=False)


def test_the_callers_trace_and_decision_win() -> None:
    assert trace_of("req_1", f"00-{TRACE}-{SPAN}-00", 1.0) == TraceContext(TRACE, SPAN, sampled=False)
    assert trace_of("req_1", f"00-{TRACE}-{SPAN}-01", 0.0) == TraceContext(TRACE, SPAN, sampled=True)


def test_a_new_trace_is_the_requests_own() -> None:
    first, again, other = trace_of("req_1", None, 1.0), trace_of("req_1", "nonsense", 1.0), trace_of("req_2", None, 1.0)
    assert first == again
    assert first.trace_id != other.trace_id
    assert first.parent_id == ""
    assert parse_traceparent(child(first, span_id_of("req_1"))) is not None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_kept(share: float) -> None:
    sampled = sum(trace_of(f"req_{number}", None, share).sampled for number in range(4000))
    assert sampled == pytest.approx(4000 * share, abs=130)
