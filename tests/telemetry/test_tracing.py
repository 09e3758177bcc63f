"""Spans made after the fact: read back from the SDK's memory and from a real collector's socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from headgate.telemetry.tracing import Spans, otlp_processor
from headgate.types import Outcome, RequestRecord
from headgate.wire.trace import span_id_of
from tests.telemetry.samples import STARTED_AT, attempt, record, refusal

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def spans_of(settled: RequestRecord, sample_share: float = 1.0) -> list[ReadableSpan]:
    """The request's span first."""
    exporter = InMemorySpanExporter()
    spans = Spans(SimpleSpanProcessor(exporter), sample_share, "1.2.3")
    spans.settled(settled, ())
    spans.close()
    return sorted(exporter.get_finished_spans(), key=lambda span: span.kind is SpanKind.CLIENT)


def test_a_request_is_a_span_and_every_attempt_its_child() -> None:
    failed = attempt(outcome=Outcome.FAILED, status=503, error="upstream_error")
    answered = attempt(id="att_2", number=2, started_at=STARTED_AT + 0.3, seconds=0.5)
    request, first, second = spans_of(record(traceparent=f"00-{TRACE}-{SPAN}-01", attempts=(failed, answered)))
    assert {span.context.trace_id for span in (request, first, second)} == {int(TRACE, 16)}
    assert request.parent is not None
    assert request.parent.span_id == int(SPAN, 16)
    assert request.parent.is_remote
    assert first.parent is not None
    assert first.parent.span_id == request.context.span_id
    assert second.context.span_id == int(span_id_of("att_2"), 16)
    assert (request.name, first.name) == ("chat small", "chat gpt-4o-mini")
    assert (request.kind, first.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert (request.status.status_code, first.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert request.start_time == int(STARTED_AT * 1e9)
    assert request.end_time == pytest.approx(int((STARTED_AT + 0.8) * 1e9), abs=1000)
    assert second.start_time == int((STARTED_AT + 0.3) * 1e9)


def test_the_attributes_are_those_of_the_genai_conventions() -> None:
    request, tried = spans_of(record())
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.2,
        "gen_ai.conversation.id": "chat-7",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 60,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "http.response.status_code": 200,
        "headgate.cost_usd": "0.000051",
    }
    attributes = dict(request.attributes or {})
    assert {name: attributes.get(name) for name in expected} == expected
    assert "error.type" not in attributes
    tried_attributes = dict(tried.attributes or {})
    assert (tried_attributes["server.address"], tried_attributes["server.port"]) == ("127.0.0.1", 9100)
    assert not [name for name in tried_attributes if name.startswith("gen_ai.usage.")], "summing would count twice"
    assert request.resource.attributes["service.name"] == "headgate"


def test_a_refusal_is_no_fault_of_the_server() -> None:
    (request,) = spans_of(refusal("model_not_found"))
    assert request.status.status_code is StatusCode.UNSET
    assert (request.attributes or {})["error.type"] == "model_not_found"
    (overloaded,) = spans_of(refusal("overloaded", status=503))
    assert overloaded.status.status_code is StatusCode.ERROR


def test_the_callers_decision_wins_over_the_share() -> None:
    assert spans_of(record(traceparent=f"00-{TRACE}-{SPAN}-00"), sample_share=1.0) == []
    assert len(spans_of(record(traceparent=f"00-{TRACE}-{SPAN}-01"), sample_share=0.0)) == 2
    assert spans_of(record(), sample_share=0.0) == []
    (request, _) = spans_of(record(), sample_share=1.0)
    assert request.parent is None


class Collector(HTTPServer):
    """Takes OTLP over HTTP and keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[tuple[str, ExportTraceServiceRequest]] = []


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_collector_receives_protobuf(collector: Collector) -> None:
    spans = Spans(otlp_processor(f"http://127.0.0.1:{collector.server_port}/"), 1.0, "1.2.3")
    spans.settled(record(traceparent=f"00-{TRACE}-{SPAN}-01"), ())
    spans.close()
    ((path, received),) = collector.received
    assert path == "/v1/traces"
    (of_resource,) = received.resource_spans
    resource = {each.key: each.value.string_value for each in of_resource.resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("headgate", "1.2.3")
    sent = {span.name: span for span in of_resource.scope_spans[0].spans}
    assert set(sent) == {"chat small", "chat gpt-4o-mini"}
    assert sent["chat small"].parent_span_id.hex() == SPAN
    assert sent["chat gpt-4o-mini"].parent_span_id == sent["chat small"].span_id


def test_without_the_extra_the_error_names_it() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None; import headgate.telemetry.tracing"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtra" in result.stderr
    assert "headgate[otel]" in result.stderr
