"""OpenTelemetry spans, made from the record after a request has ended: the hot path carries no tracer.

Owns what a span says. One span shows the request, a child of the caller's span if there was one; under it one span for
each attempt. Names follow the GenAI semantic conventions (opentelemetry-semantic-conventions 0.66b2); they are written
out here because the conventions are in development and their Python constants are private. Token usage is on the
request's span only, so that a backend that sums over spans counts nothing twice.

Needs the extra `headgate[otel]`: importing this module without it raises MissingExtra.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from headgate.errors import MissingExtra
from headgate.policy.pricing import format_usd
from headgate.types import AttemptRecord, Outcome, RequestRecord, Route
from headgate.wire.trace import TraceContext, span_id_of, trace_of

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
except ImportError as missing:
    raise MissingExtra(
        "server.tracing.otlp_endpoint is set, but OpenTelemetry is not installed: pip install 'headgate[otel]'"
    ) from missing

Attribute = str | bool | int | float

_OPERATIONS = {Route.COMPLETIONS: "text_completion", Route.EMBEDDINGS: "embeddings"}  # all others: chat
_NANOSECONDS = 10**9
_UNANSWERED = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.PROVISIONAL})


class Spans:
    """Implements `ports.Observer`. Spans go to `processor`, which must not block when a span ends.

    A caller's `traceparent` decides whether its trace is recorded; of all others `sample_share` is.
    """

    def __init__(self, processor: SpanProcessor, sample_share: float, version: str) -> None:
        self._processor = processor
        self._sample_share = sample_share
        self._resource = Resource.create({"service.name": "headgate", "service.version": version})
        self._scope = InstrumentationScope("headgate", version)

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """Emit the spans of one request."""
        trace = trace_of(record.id, record.traceparent, self._sample_share)
        if not trace.sampled:
            return
        request_span_id = span_id_of(record.id)
        for attempt in record.attempts:
            self._emit_attempt(record, attempt, TraceContext(trace.trace_id, request_span_id, True))
        start = int(record.started_at * _NANOSECONDS)
        self._processor.on_end(
            ReadableSpan(
                name=f"{_operation(record)} {record.model}",
                context=_span_context(trace.trace_id, request_span_id),
                parent=_parent(trace, is_remote=True),
                resource=self._resource,
                instrumentation_scope=self._scope,
                kind=SpanKind.SERVER,
                attributes=request_attributes(record),
                status=_status(record.outcome is Outcome.FAILED or record.status >= 500, record.error),
                start_time=start,
                end_time=start + int(record.e2e_seconds * _NANOSECONDS),
            )
        )

    def close(self) -> None:
        """Send what is left. Blocks while the collector is asked, so not on the event loop."""
        self._processor.shutdown()

    def _emit_attempt(self, record: RequestRecord, attempt: AttemptRecord, parent: TraceContext) -> None:
        start = int(attempt.started_at * _NANOSECONDS)
        self._processor.on_end(
            ReadableSpan(
                name=f"{_operation(record)} {attempt.upstream_model}",
                context=_span_context(parent.trace_id, span_id_of(attempt.id)),
                parent=_parent(parent, is_remote=False),
                resource=self._resource,
                instrumentation_scope=self._scope,
                kind=SpanKind.CLIENT,
                attributes=attempt_attributes(record, attempt),
                status=_status(attempt.outcome in _UNANSWERED, attempt.error),
                start_time=start,
                end_time=start + int(attempt.seconds * _NANOSECONDS),
            )
        )


def otlp_processor(endpoint: str) -> SpanProcessor:
    """Sends batches of spans from a thread of its own to a collector's base URL, as OTLP over HTTP.

    The queue is bounded: what a slow collector leaves no room for is dropped. `OTEL_EXPORTER_OTLP_HEADERS` and the
    other variables of the OpenTelemetry SDK apply.
    """
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))


def request_attributes(record: RequestRecord) -> dict[str, Attribute]:
    """Attributes of the request's span; no text of the prompt or the answer."""
    usage = record.usage
    attributes: dict[str, Attribute | None] = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": record.provider,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.upstream_model,
        "gen_ai.request.stream": record.stream,
        "gen_ai.response.time_to_first_chunk": record.ttft_seconds if record.stream else None,
        "gen_ai.conversation.id": record.session,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        "http.request.method": "POST",
        "http.route": f"/v1/{record.route}",
        "http.response.status_code": record.status,
        "error.type": record.error,
        "headgate.request.id": record.id,
        "headgate.outcome": record.outcome.value,
        "headgate.tenant": record.tenant,
        "headgate.user": record.user,
        "headgate.key.id": record.key_id,
        "headgate.deployment": record.deployment,
        "headgate.cost_usd": format_usd(record.cost_picousd),
    }
    return _present(attributes)


def attempt_attributes(record: RequestRecord, attempt: AttemptRecord) -> dict[str, Attribute]:
    """Attributes of an attempt's span."""
    server = urlsplit(attempt.endpoint)
    attributes: dict[str, Attribute | None] = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": attempt.upstream_model,
        "server.address": server.hostname,
        "server.port": server.port or {"http": 80, "https": 443}.get(server.scheme),
        "http.response.status_code": attempt.status or None,
        "error.type": attempt.error,
        "headgate.attempt.id": attempt.id,
        "headgate.attempt.number": attempt.number,
        "headgate.outcome": attempt.outcome.value,
        "headgate.deployment": attempt.deployment,
        "headgate.upstream.request_id": attempt.upstream_id,
        "headgate.cost_usd": format_usd(attempt.cost_picousd),
    }
    return _present(attributes)


def _present(attributes: dict[str, Attribute | None]) -> dict[str, Attribute]:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def _operation(record: RequestRecord) -> str:
    return _OPERATIONS.get(Route(record.route), "chat")


def _status(failed: bool, error: str) -> Status:
    return Status(StatusCode.ERROR, error) if failed else Status(StatusCode.UNSET)


def _span_context(trace_id: str, span_id: str, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))


def _parent(trace: TraceContext, is_remote: bool) -> SpanContext | None:
    return _span_context(trace.trace_id, trace.parent_id, is_remote) if trace.parent_id else None
