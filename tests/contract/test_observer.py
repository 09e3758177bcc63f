"""What everybody who is told of settled requests does: take any record there can be, at once, and raise nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from headgate.errors import LedgerFull
from headgate.ports import Observer
from headgate.telemetry.metrics import Metrics
from headgate.telemetry.promptlog import PromptLog
from headgate.telemetry.requestlog import RequestLog
from headgate.types import ITL_BUCKETS_SECONDS, Call, Outcome, RequestRecord, Route, Usage
from tests.telemetry.samples import attempt, metrics, record, refusal

ITL_COUNTS = list(range(len(ITL_BUCKETS_SECONDS) + 1))
UGLY = 'a "b"\n\r\t\x00\u2028\x85é水😀 {x="y"}' * 50


def observe_metrics() -> Metrics:
    return metrics()


def observe_log() -> Observer:
    return RequestLog(lambda make: None)


def observe_spans() -> Observer:
    pytest.importorskip("opentelemetry.sdk", reason="needs headgate[otel]")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from headgate.telemetry.tracing import Spans

    return Spans(SimpleSpanProcessor(InMemorySpanExporter()), 1.0, "1.2.3")


def records() -> list[RequestRecord]:
    """One of every kind, and one of every extreme."""
    ugly = dict.fromkeys(
        ("tenant", "user", "model", "session", "prompt_version", "error", "deployment", "trace_id"), UGLY
    )
    return [
        *(record(outcome=outcome) for outcome in Outcome),
        refusal(LedgerFull.code, status=503),
        record(**ugly, tags=(UGLY, ""), traceparent=UGLY, attempts=(attempt(endpoint=UGLY, upstream_id=UGLY),)),
        record(usage=Usage(2**62, 2**62, 2**62, 2**62), cost_picousd=2**80, attempts=()),
        record(started_at=0.0, e2e_seconds=0.0, ttft_seconds=0.0, itl_seconds=0.0),
        record(user=None, session=None, ttft_seconds=None, itl_seconds=None, tags=()),
        record(attempts=tuple(attempt(number=number) for number in range(1, 40))),
    ]


@pytest.mark.parametrize("observer", [observe_metrics, observe_log, observe_spans])
def test_any_record_is_taken(observer: Callable[[], Observer]) -> None:
    observing = observer()
    for settled in records():
        for itl_counts in ((), ITL_COUNTS):
            observing.settled(settled, itl_counts)


def test_a_record_is_one_line_whatever_is_in_it() -> None:
    lines: list[bytes] = []
    for settled in records():
        RequestLog(lambda make: lines.append(make())).settled(settled, ITL_COUNTS)
    assert len(lines) == len(records())
    for line in lines:
        assert line.endswith(b"\n") and line.count(b"\n") == 1 and msgspec.json.decode(line)


@pytest.mark.parametrize("route", Route)
def test_a_witness_takes_any_words(route: Route) -> None:
    lines: list[bytes] = []
    witness = PromptLog(lines.append)
    fields = {name: msgspec.Raw(msgspec.json.encode([UGLY])) for name in ("messages", "prompt", "input")}
    witness.saw(Call("req_1", route, "small", False, fields, 0), UGLY)
    witness.saw(Call("req_2", route, "small", False, {}, 0), "")
    assert [line.count(b"\n") for line in lines] == [1, 1]
    assert msgspec.json.decode(lines[0])["answer"] == UGLY
