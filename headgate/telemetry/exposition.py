"""A snapshot as the text that Prometheus reads.

Owns the names, labels and meanings of the metric families; `docs/metrics.md` lists the same ones and a test compares.
The format itself is prometheus_client's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from headgate.telemetry.buckets import E2E_SECONDS, ITL_SECONDS, LOOP_LAG_SECONDS, TTFT_SECONDS, WAITED_SECONDS
from headgate.telemetry.cache_families import CACHE_FAMILIES
from headgate.telemetry.families import Family, HistogramFamily, Labels, number, single
from headgate.telemetry.job_families import JOB_FAMILIES
from headgate.telemetry.totals import Histogram, RequestTotals, Snapshot
from headgate.types import PICO_PER_USD, Outcome

CONTENT_TYPE = CONTENT_TYPE_LATEST

_COMPLETE = frozenset({Outcome.DONE.value, Outcome.CACHED.value})


def _requests(snapshot: Snapshot) -> Iterator[tuple[Labels, float]]:
    for (route, model, _, outcome, status), sums in snapshot.totals.requests.items():
        yield (route, model, outcome, str(status)), sums.requests


def _tokens(snapshot: Snapshot) -> Iterator[tuple[Labels, float]]:
    for (_, model, deployment, _, _), sums in snapshot.totals.requests.items():
        yield (model, deployment, "input"), sums.input_tokens
        yield (model, deployment, "cached_input"), sums.cached_input_tokens
        yield (model, deployment, "output"), sums.output_tokens
        yield (model, deployment, "reasoning"), sums.reasoning_tokens


def _estimated(snapshot: Snapshot) -> Iterator[tuple[Labels, float]]:
    for (_, _, deployment, _, _), sums in snapshot.totals.requests.items():
        if sums.estimated:
            yield (deployment,), sums.estimated


def _latency(
    histogram_of: Callable[[RequestTotals], Histogram], complete_only: bool = False
) -> Callable[[Snapshot], Iterator[tuple[Labels, Histogram]]]:
    def read(snapshot: Snapshot) -> Iterator[tuple[Labels, Histogram]]:
        for (_, model, deployment, outcome, _), sums in snapshot.totals.requests.items():
            if not complete_only or outcome in _COMPLETE:
                yield (model, deployment), histogram_of(sums)

    return read


FAMILIES: tuple[Family | HistogramFamily, ...] = (
    Family(
        "headgate_requests_total",
        "Settled requests of authenticated callers, refused ones too.",
        ("route", "model", "outcome", "status"),
        _requests,
    ),
    HistogramFamily(
        "headgate_ttft_seconds",
        "Streams: request sent to first content.",
        ("model", "deployment"),
        TTFT_SECONDS,
        _latency(lambda sums: sums.ttft),
    ),
    HistogramFamily(
        "headgate_itl_seconds",
        "Streams: gap between two content events.",
        ("model", "deployment"),
        ITL_SECONDS,
        _latency(lambda sums: sums.itl),
    ),
    HistogramFamily(
        "headgate_e2e_seconds",
        "Requests answered completely: request sent to last content.",
        ("model", "deployment"),
        E2E_SECONDS,
        _latency(lambda sums: sums.e2e, complete_only=True),
    ),
    Family(
        "headgate_tokens_total",
        "Tokens processed; cached_input is part of input, reasoning is part of output.",
        ("model", "deployment", "type"),
        _tokens,
    ),
    Family(
        "headgate_cost_usd_total",
        "Cost in USD as the ledger has it, failed attempts included.",
        ("model", "tenant"),
        lambda snapshot: ((key, cost / PICO_PER_USD) for key, cost in snapshot.totals.costs_picousd.items()),
    ),
    Family(
        "headgate_attempts_total",
        "Calls to deployments; error is empty when there was none.",
        ("deployment", "outcome", "error"),
        lambda snapshot: snapshot.totals.attempts.items(),
    ),
    Family(
        "headgate_refused_total",
        "Requests that headgate refused, by the code of the error table.",
        ("code",),
        lambda snapshot: single(snapshot.totals.refusals.items()),
    ),
    Family(
        "headgate_unenforced_refusals_total",
        "What limits with enforce: false would have refused, by the rule's name.",
        ("rule",),
        lambda snapshot: single(snapshot.totals.unenforced.items()),
    ),
    Family(
        "headgate_velocity_trips_total",
        "How often money was spent so fast that a breaker tripped, by its scope.",
        ("scope",),
        lambda snapshot: single(snapshot.totals.trips.items()),
    ),
    number(
        "headgate_unauthenticated_total",
        "Requests without a good key.",
        lambda snapshot: snapshot.totals.unauthenticated,
    ),
    Family(
        "headgate_empty_usage_total",
        "Requests whose tokens headgate counted itself, as the provider reported none.",
        ("deployment",),
        _estimated,
    ),
    Family(
        "headgate_missing_done_total",
        "Complete streams that ended without [DONE].",
        ("deployment",),
        lambda snapshot: single(snapshot.totals.missing_done.items()),
    ),
    Family(
        "headgate_router_decisions_total",
        "Requests of routers by the model that they were given to in the end, and what decided.",
        ("router", "model", "why"),
        lambda snapshot: snapshot.totals.routes.decisions.items(),
    ),
    Family(
        "headgate_router_escalations_total",
        "Answers that were not shown because a better model was asked, by what was wrong with them.",
        ("router", "doubt", "model"),
        lambda snapshot: snapshot.totals.routes.escalations.items(),
    ),
    Family(
        "headgate_router_shadow_runs_total",
        "Answers of cheaper models that were compared with the best one's: win, tie or lose.",
        ("router", "outcome"),
        lambda snapshot: snapshot.totals.routes.judged.items(),
    ),
    Family(
        "headgate_router_shadow_failures_total",
        "Shadow runs that came to nothing: the day's money is spent, the judge is down.",
        ("router", "reason"),
        lambda snapshot: snapshot.totals.routes.not_judged.items(),
    ),
    Family(
        "headgate_router_turns_total",
        "How often a router was closed because it lost too much, or opened again.",
        ("router", "state"),
        lambda snapshot: snapshot.totals.routes.turns.items(),
    ),
    Family(
        "headgate_router_loss",
        "What a router's cheaper models lose against its best one, -1 to 1, since it was opened or closed last.",
        ("router", "bound"),
        lambda snapshot: snapshot.gauges.router_losses.items(),
    ),
    Family(
        "headgate_router_closed",
        "1: the router gives everything to its best model.",
        ("router",),
        lambda snapshot: single(snapshot.gauges.routers_closed.items()),
    ),
    Family(
        "headgate_job_items",
        "Items of jobs: ready to begin, waiting for their time, leased by a worker, dead letters.",
        ("state",),
        lambda snapshot: single(snapshot.gauges.job_items.items()),
    ),
    number(
        "headgate_job_oldest_seconds",
        "How long the oldest item that is ready has waited for a worker; 0: none waits.",
        lambda snapshot: snapshot.gauges.job_oldest_seconds,
    ),
    Family(
        "headgate_deliveries",
        "What is told about jobs: pending, or dead, which was given up within the last 30 days.",
        ("state",),
        lambda snapshot: single(snapshot.gauges.deliveries.items()),
    ),
    number(
        "headgate_delivery_oldest_seconds",
        "How long the oldest pending delivery has been one; 0: there is none.",
        lambda snapshot: snapshot.gauges.delivery_oldest_seconds,
    ),
    Family(
        "headgate_background_limit",
        "Requests of everybody under way for a model up to which those of jobs may be added.",
        ("model",),
        lambda snapshot: single(snapshot.gauges.background_limit.items()),
    ),
    Family(
        "headgate_background_requests",
        "Requests of jobs: under_way, or held at the gate.",
        ("model", "state"),
        lambda snapshot: snapshot.gauges.background_requests.items(),
    ),
    Family(
        "headgate_background_held",
        "Processes whose gate holds requests of jobs back, by the reason.",
        ("model", "why"),
        lambda snapshot: snapshot.gauges.background_held_by.items(),
    ),
    *JOB_FAMILIES,
    *CACHE_FAMILIES,
    HistogramFamily(
        "headgate_event_loop_lag_seconds",
        "How late the event loop ran what was due, sampled twice a second in every worker.",
        (),
        LOOP_LAG_SECONDS,
        lambda snapshot: [((), snapshot.totals.loop_lag)],
    ),
    HistogramFamily(
        "headgate_waited_seconds",
        "Time in the waiting room, whatever came of it.",
        (),
        WAITED_SECONDS,
        lambda snapshot: [((), snapshot.totals.waited)],
    ),
    number(
        "headgate_waiting",
        "Requests in the waiting room.",
        lambda snapshot: snapshot.gauges.waiting,
    ),
    number(
        "headgate_in_flight",
        "Requests under way.",
        lambda snapshot: snapshot.gauges.in_flight,
    ),
    Family(
        "headgate_tokens_in_flight",
        "Estimated tokens of the requests under way.",
        ("deployment",),
        lambda snapshot: single(snapshot.gauges.tokens_in_flight.items()),
    ),
    Family(
        "headgate_breaker_state",
        "0 closed, 1 half-open, 2 open; of several workers the worst.",
        ("deployment",),
        lambda snapshot: single(snapshot.gauges.breaker_states.items()),
    ),
    number(
        "headgate_client_connections",
        "Open client connections.",
        lambda snapshot: snapshot.gauges.client_connections,
    ),
    number(
        "headgate_journal_backlog_bytes",
        "Rows on disk that wait for the database.",
        lambda snapshot: snapshot.gauges.journal_backlog_bytes,
    ),
    number(
        "headgate_ledger_healthy",
        "1 if every worker's last write to the database succeeded, else 0.",
        lambda snapshot: snapshot.gauges.ledger_healthy,
    ),
    number(
        "headgate_disk_healthy",
        "1 if every worker's server.data_dir takes rows, else 0: requests are refused.",
        lambda snapshot: snapshot.gauges.disk_healthy,
    ),
    number(
        "headgate_store_healthy",
        "1 if every worker reaches the store of limits and budgets, else 0.",
        lambda snapshot: snapshot.gauges.store_healthy,
    ),
    number(
        "headgate_store_queued",
        "Settlements and signs of life that the store does not have yet.",
        lambda snapshot: snapshot.gauges.store_queued,
    ),
    Family(
        "headgate_troubles_total",
        "What went wrong beside requests: store_lost, alert_dropped, request_not_noted.",
        ("kind",),
        lambda snapshot: single(snapshot.totals.troubles.items()),
    ),
    number(
        "headgate_workers",
        "Worker processes alive.",
        lambda snapshot: snapshot.gauges.workers,
    ),
    Family(
        "headgate_build_info",
        "Always 1; the version is in the label.",
        ("version",),
        lambda snapshot: [((snapshot.gauges.version,), 1)],
    ),
    number(
        "process_cpu_seconds_total",
        "CPU time of all workers, user and system.",
        lambda snapshot: snapshot.totals.cpu_seconds,
    ),
    number(
        "process_resident_memory_bytes",
        "Resident memory of all workers; pages they share are counted in each.",
        lambda snapshot: snapshot.gauges.resident_bytes,
    ),
)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield family.metric(self._snapshot)


def exposition(snapshot: Snapshot) -> bytes:
    """The text for `/metrics`, to be sent as CONTENT_TYPE."""
    return generate_latest(_SnapshotCollector(snapshot))
