"""What is counted, as plain values that can be added and sent from one process to another.

Owns the shape of the numbers and how two of them become one. Must not know where they come from (`metrics.py`), where
they are kept (`directory.py`) or how they are shown (`exposition.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from operator import add
from typing import TypeVar

import msgspec

from headgate.telemetry.buckets import E2E_SECONDS, ITL_SECONDS, LOOP_LAG_SECONDS, TTFT_SECONDS, WAITED_SECONDS

K = TypeVar("K", bound=Hashable)

RequestKey = tuple[str, str, str, str, int]  # route, model, deployment, outcome, HTTP status
CostKey = tuple[str, str]  # model, tenant
AttemptKey = tuple[str, str, str]  # deployment, outcome, error code


class Histogram(msgspec.Struct, array_like=True):
    """Observations by bucket, not cumulated; one count more than there are bounds. `sum` is in seconds."""

    counts: list[int]
    sum: float = 0.0

    @classmethod
    def of(cls, bounds: Sequence[float]) -> Histogram:
        """An empty one."""
        return cls([0] * (len(bounds) + 1))

    def add(self, other: Histogram) -> None:
        self.counts = list(map(add, self.counts, other.counts))
        self.sum += other.sum


class RequestTotals(msgspec.Struct, array_like=True):
    """Sums over the settled requests of one RequestKey. Cached input is part of the input, reasoning of the output."""

    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: int = 0  # requests whose usage was counted here because the provider reported none
    ttft: Histogram = msgspec.field(default_factory=lambda: Histogram.of(TTFT_SECONDS))
    itl: Histogram = msgspec.field(default_factory=lambda: Histogram.of(ITL_SECONDS))
    e2e: Histogram = msgspec.field(default_factory=lambda: Histogram.of(E2E_SECONDS))

    def add(self, other: RequestTotals) -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.cached_input_tokens += other.cached_input_tokens
        self.output_tokens += other.output_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.estimated += other.estimated
        self.ttft.add(other.ttft)
        self.itl.add(other.itl)
        self.e2e.add(other.e2e)


class CacheTotals(msgspec.Struct):
    """What became of requests that were looked for among the answers that are kept."""

    found: dict[str, int] = {}  # by kind: exact, semantic, coalesced, idempotent
    missed: int = 0
    kept: int = 0
    not_kept: dict[str, int] = {}  # by reason
    saved_picousd: int = 0  # what the answers that were found would have cost

    def add(self, other: CacheTotals) -> None:
        _add_counts(self.found, other.found)
        self.missed += other.missed
        self.kept += other.kept
        _add_counts(self.not_kept, other.not_kept)
        self.saved_picousd += other.saved_picousd


class SemanticTotals(msgspec.Struct):
    """What became of questions that were looked for by their meaning."""

    decided: dict[tuple[str, str], int] = {}  # by model and reason
    verified: dict[tuple[str, str, str], int] = {}  # by model, served or missed, right or wrong

    def add(self, other: SemanticTotals) -> None:
        _add_counts(self.decided, other.decided)
        _add_counts(self.verified, other.verified)


class RouteTotals(msgspec.Struct):
    """What routers chose, and what became of it."""

    decisions: dict[tuple[str, ...], int] = {}  # by router, model and why
    escalations: dict[tuple[str, ...], int] = {}  # by router, doubt and the model that was asked then
    judged: dict[tuple[str, ...], int] = {}  # shadow runs by router and outcome of the cheaper model
    not_judged: dict[tuple[str, ...], int] = {}  # shadow runs that came to nothing, by router and reason
    turns: dict[tuple[str, ...], int] = {}  # by router and what it was turned to: closed or open

    def add(self, other: RouteTotals) -> None:
        for name in self.__struct_fields__:
            _add_counts(getattr(self, name), getattr(other, name))


class JobTotals(msgspec.Struct):
    """What workers did."""

    claimed: int = 0
    ended: dict[str, int] = {}  # by how
    calls: int = 0
    cost_picousd: int = 0
    duplicates: int = 0
    duplicate_picousd: int = 0

    def add(self, other: JobTotals) -> None:
        self.claimed += other.claimed
        _add_counts(self.ended, other.ended)
        self.calls += other.calls
        self.cost_picousd += other.cost_picousd
        self.duplicates += other.duplicates
        self.duplicate_picousd += other.duplicate_picousd


class Totals(msgspec.Struct):
    """Everything that only ever grows."""

    requests: dict[RequestKey, RequestTotals] = {}
    costs_picousd: dict[CostKey, int] = {}
    attempts: dict[AttemptKey, int] = {}
    refusals: dict[str, int] = {}  # by error code
    unenforced: dict[str, int] = {}  # refusals of limits that are only tried, by rule
    trips: dict[str, int] = {}  # of spend velocity, by scope
    missing_done: dict[str, int] = {}  # by deployment
    unauthenticated: int = 0
    troubles: dict[str, int] = {}  # beside requests, by kind
    loop_lag: Histogram = msgspec.field(default_factory=lambda: Histogram.of(LOOP_LAG_SECONDS))
    waited: Histogram = msgspec.field(default_factory=lambda: Histogram.of(WAITED_SECONDS))
    cpu_seconds: float = 0.0
    cache: CacheTotals = msgspec.field(default_factory=CacheTotals)
    semantic: SemanticTotals = msgspec.field(default_factory=SemanticTotals)
    routes: RouteTotals = msgspec.field(default_factory=RouteTotals)
    jobs: JobTotals = msgspec.field(default_factory=JobTotals)

    def add(self, other: Totals) -> None:
        for key, totals in other.requests.items():
            self.requests.setdefault(key, RequestTotals()).add(totals)
        _add_counts(self.costs_picousd, other.costs_picousd)
        _add_counts(self.attempts, other.attempts)
        _add_counts(self.refusals, other.refusals)
        _add_counts(self.unenforced, other.unenforced)
        _add_counts(self.trips, other.trips)
        _add_counts(self.missing_done, other.missing_done)
        self.unauthenticated += other.unauthenticated
        _add_counts(self.troubles, other.troubles)
        self.loop_lag.add(other.loop_lag)
        self.waited.add(other.waited)
        self.cpu_seconds += other.cpu_seconds
        self.cache.add(other.cache)
        self.semantic.add(other.semantic)
        self.routes.add(other.routes)
        self.jobs.add(other.jobs)


class Gauges(msgspec.Struct):
    """The state of one process now, or of several together."""

    version: str = ""  # of headgate
    workers: int = 0
    in_flight: int = 0
    waiting: int = 0
    client_connections: int = 0
    journal_backlog_bytes: int = 0
    ledger_healthy: bool = True
    disk_healthy: bool = True
    store_healthy: bool = True
    store_queued: int = 0
    resident_bytes: int = 0
    breaker_states: dict[str, int] = {}  # by deployment: 0 closed, 1 half-open, 2 open
    tokens_in_flight: dict[str, int] = {}  # by deployment
    cache_entries: int = 0  # of all processes together, if they share a store
    cache_bytes: int = 0
    cache_evicted: int = 0
    semantic_off: dict[str, int] = {}  # by model: scopes that do not serve
    router_losses: dict[tuple[str, ...], float] = {}  # by router and bound: low, mean, high
    routers_closed: dict[str, int] = {}  # 1: it gives everything to its best model
    job_items: dict[str, int] = {}  # by state, in the database that all processes share
    job_oldest_seconds: float = 0.0
    job_under_way: int = 0
    job_concurrency: int = 0
    intake_messages: dict[str, int] = {}  # by what became of them: taken, duplicate, refused
    intake_depth: int = 0
    intake_oldest_seconds: float = 0.0
    deliveries: dict[str, int] = {}  # by state, in that database too
    delivery_oldest_seconds: float = 0.0
    background_limit: dict[str, int] = {}  # by model: requests under way up to which jobs may add theirs
    background_requests: dict[tuple[str, str], int] = {}  # by model and state: under_way, held
    background_held_by: dict[tuple[str, str], int] = {}  # by model and reason: processes whose gate is shut

    def add(self, other: Gauges) -> None:
        """Amounts are summed; of states the worst is kept, for half a breaker is no number."""
        self.workers += other.workers
        self.in_flight += other.in_flight
        self.waiting += other.waiting
        self.client_connections += other.client_connections
        self.journal_backlog_bytes += other.journal_backlog_bytes
        self.ledger_healthy = self.ledger_healthy and other.ledger_healthy
        self.disk_healthy = self.disk_healthy and other.disk_healthy
        self.store_healthy = self.store_healthy and other.store_healthy
        self.store_queued += other.store_queued
        self.resident_bytes += other.resident_bytes
        for deployment, state in other.breaker_states.items():
            self.breaker_states[deployment] = max(state, self.breaker_states.get(deployment, 0))
        for model, scopes in other.semantic_off.items():  # all replicas know of the same ones
            self.semantic_off[model] = max(scopes, self.semantic_off.get(model, 0))
        _add_counts(self.tokens_in_flight, other.tokens_in_flight)
        self.cache_entries = max(self.cache_entries, other.cache_entries)
        self.cache_bytes = max(self.cache_bytes, other.cache_bytes)
        self.cache_evicted = max(self.cache_evicted, other.cache_evicted)
        self.router_losses.update(other.router_losses)  # of all processes together
        for router, closed in other.routers_closed.items():
            self.routers_closed[router] = max(closed, self.routers_closed.get(router, 0))
        for place, items in other.job_items.items():
            self.job_items[place] = max(items, self.job_items.get(place, 0))
        self.job_under_way += other.job_under_way
        self.job_concurrency += other.job_concurrency
        _add_counts(self.intake_messages, other.intake_messages)
        self.intake_depth = max(self.intake_depth, other.intake_depth)
        self.intake_oldest_seconds = max(self.intake_oldest_seconds, other.intake_oldest_seconds)
        _add_counts(self.background_limit, other.background_limit)
        _add_counts(self.background_requests, other.background_requests)
        _add_counts(self.background_held_by, other.background_held_by)
        self.job_oldest_seconds = max(self.job_oldest_seconds, other.job_oldest_seconds)
        for place, count in other.deliveries.items():
            self.deliveries[place] = max(count, self.deliveries.get(place, 0))
        self.delivery_oldest_seconds = max(self.delivery_oldest_seconds, other.delivery_oldest_seconds)


class Snapshot(msgspec.Struct):
    """The numbers of one process at one moment, or of several together."""

    number: int = 0  # counts the snapshots of a process, so that an older one is never taken for news
    totals: Totals = msgspec.field(default_factory=Totals)
    gauges: Gauges = msgspec.field(default_factory=Gauges)

    def add(self, other: Snapshot) -> None:
        self.totals.add(other.totals)
        self.gauges.add(other.gauges)


def encode(snapshot: Snapshot) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """Raises msgspec.MsgspecError when the bytes are not a snapshot of this release."""
    return msgspec.msgpack.decode(data, type=Snapshot)


def _add_counts(into: dict[K, int], counts: dict[K, int]) -> None:
    for key, count in counts.items():
        into[key] = into.get(key, 0) + count
