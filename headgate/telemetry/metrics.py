"""Counts every settled request, at the price of a few list increments.

Owns the accumulators of one process and the bound on how many there are. Must not know of the gateway (what is live is
asked through `LiveGauges`), of Prometheus, or of other processes.
"""

from __future__ import annotations

import resource
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from operator import add
from pathlib import Path

import msgspec

from headgate.cache_types import CacheSize
from headgate.job_types import Backlog
from headgate.policy.background import GateState
from headgate.telemetry import totals
from headgate.telemetry.buckets import E2E_SECONDS, LOOP_LAG_SECONDS, TTFT_SECONDS, WAITED_SECONDS
from headgate.telemetry.cache_counts import CacheCounts
from headgate.telemetry.job_counts import JobCounts
from headgate.telemetry.route_counts import RouteCounts
from headgate.telemetry.semantic_counts import SemanticCounts
from headgate.telemetry.totals import AttemptKey, CostKey, Gauges, RequestKey, RequestTotals, Snapshot, Totals
from headgate.types import Counted, Outcome, RequestRecord

MAX_SERIES = 2000
OTHER = "other"  # the label of everything beyond MAX_SERIES
UNKNOWN = "unknown"  # the label of a model that is not configured: callers make such names up

_MEMORY = Path("/proc/self/statm")


class LiveGauges(msgspec.Struct, frozen=True, kw_only=True):
    """Where the present state is asked, when somebody looks at the metrics."""

    version: str  # of headgate
    in_flight: Callable[[], int]
    waiting: Callable[[], int]  # in the waiting room
    client_connections: Callable[[], int]
    journal_backlog_bytes: Callable[[], int]
    ledger_healthy: Callable[[], bool]
    disk_healthy: Callable[[], bool] = lambda: True
    store: Callable[[], tuple[bool, int]] = lambda: (True, 0)  # of limits: whether it answers, and what waits for it
    troubles: Callable[[], Mapping[str, int]] = dict  # since the start, by kind
    breaker_states: Callable[[], Mapping[str, int]]  # by deployment: 0 closed, 1 half-open, 2 open
    tokens_in_flight: Callable[[], Mapping[str, int]]  # by deployment
    cache_size: Callable[[], CacheSize] = lambda: CacheSize(0, 0)
    semantic_off: Callable[[], Mapping[str, int]] = dict  # by model: scopes that do not serve
    router_losses: Callable[[], Mapping[tuple[str, ...], float]] = dict
    routers_closed: Callable[[], Mapping[str, int]] = dict
    backlog: Callable[[], Backlog] = Backlog
    work: Callable[[], tuple[int, int]] = lambda: (0, 0)  # items under way, and how many a worker would have
    background: Callable[[], Mapping[str, GateState]] = dict  # by model


class Metrics:
    """Implements `ports.Observer`; one per process.

    `is_model` says whether a name is configured, so that invented names cannot use up the room for real ones. At most
    `max_series` label sets are kept of requests, of costs and of attempts each; the rest is counted under "other".
    """

    def __init__(self, live: LiveGauges, is_model: Callable[[str], bool], max_series: int = MAX_SERIES) -> None:
        self._live = live
        self._is_model = is_model
        self._max_series = max_series
        self._snapshots = 0
        self._totals = Totals()
        self.cache = CacheCounts(self._totals.cache)
        self.semantic = SemanticCounts(self._totals.semantic)
        self.routes = RouteCounts(self._totals.routes)
        self.jobs = JobCounts(self._totals.jobs)
        self._requests = self._totals.requests
        self._costs = self._totals.costs_picousd
        self._attempts = self._totals.attempts

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """Count one request. `itl_counts` is as long as ITL_SECONDS plus one, or empty."""
        key = (record.route, record.model, record.deployment, record.outcome, record.status)
        sums = self._requests.get(key) or self._sums_of(key)
        sums.requests += 1
        usage = record.usage
        if usage.input or usage.output:
            sums.input_tokens += usage.input
            sums.cached_input_tokens += usage.cached_input
            sums.output_tokens += usage.output
            sums.reasoning_tokens += usage.reasoning
            if usage.counted is Counted.ESTIMATED:
                sums.estimated += 1
        e2e = sums.e2e
        e2e.counts[bisect_left(E2E_SECONDS, record.e2e_seconds)] += 1
        e2e.sum += record.e2e_seconds
        if record.stream and record.ttft_seconds is not None:
            ttft = sums.ttft
            ttft.counts[bisect_left(TTFT_SECONDS, record.ttft_seconds)] += 1
            ttft.sum += record.ttft_seconds
        if itl_counts and record.itl_seconds is not None:
            itl = sums.itl
            itl.counts = list(map(add, itl.counts, itl_counts))
            itl.sum += record.itl_seconds * sum(itl_counts)
        if record.cost_picousd:
            self._count_cost(record.model, record.tenant, record.cost_picousd)
        for attempt in record.attempts:
            self._count_attempt((attempt.deployment, attempt.outcome, attempt.error))
        if record.routed:
            self.routes.routed(record.routed)
        if record.hit and record.outcome is Outcome.CACHED:
            self.cache.found(record.hit, record.saved_picousd)
        if record.outcome is Outcome.REFUSED:
            self.refused(record.error)

    def refused(self, code: str) -> None:
        """headgate said no with this code of the error table. `settled` calls it for every refusal it is told of."""
        refusals = self._totals.refusals
        refusals[code] = refusals.get(code, 0) + 1

    def unenforced(self, rule: str) -> None:
        """A limit that is only tried would have refused a request."""
        counts = self._totals.unenforced
        counts[rule] = counts.get(rule, 0) + 1

    def tripped(self, scope: str) -> None:
        """A velocity tripped."""
        counts = self._totals.trips
        counts[scope] = counts.get(scope, 0) + 1

    def unauthenticated(self) -> None:
        """A request without a good key: counted here and written nowhere."""
        self._totals.unauthenticated += 1

    def missing_done(self, deployment: str) -> None:
        """A stream that was complete, but ended without the `[DONE]` its dialect asks for."""
        counts = self._totals.missing_done
        counts[deployment] = counts.get(deployment, 0) + 1

    def loop_lagged(self, seconds: float) -> None:
        """The event loop ran something this much later than it was due."""
        lag = self._totals.loop_lag
        lag.counts[bisect_left(LOOP_LAG_SECONDS, seconds)] += 1
        lag.sum += seconds

    def waited(self, seconds: float) -> None:
        """A request was in the waiting room for so long, whatever came of it."""
        waited = self._totals.waited
        waited.counts[bisect_left(WAITED_SECONDS, seconds)] += 1
        waited.sum += seconds

    def snapshot(self) -> Snapshot:
        """A copy of all numbers as they are now, which another thread may work on."""
        times = resource.getrusage(resource.RUSAGE_SELF)
        self._totals.cpu_seconds = times.ru_utime + times.ru_stime
        self._totals.troubles = dict(self._live.troubles())
        self._snapshots += 1
        return totals.decode(totals.encode(Snapshot(self._snapshots, self._totals, self._gauges())))

    def _gauges(self) -> Gauges:
        live = self._live
        cache, jobs = live.cache_size(), live.backlog()
        under_way, concurrency = live.work()
        store_healthy, store_queued = live.store()
        gates = live.background()
        return Gauges(
            version=live.version,
            workers=1,
            in_flight=live.in_flight(),
            waiting=live.waiting(),
            client_connections=live.client_connections(),
            journal_backlog_bytes=live.journal_backlog_bytes(),
            ledger_healthy=live.ledger_healthy(),
            disk_healthy=live.disk_healthy(),
            store_healthy=store_healthy,
            store_queued=store_queued,
            resident_bytes=_resident_bytes(),
            breaker_states=dict(live.breaker_states()),
            tokens_in_flight=dict(live.tokens_in_flight()),
            cache_entries=cache.entries,
            cache_bytes=cache.bytes,
            cache_evicted=cache.evicted,
            semantic_off=dict(live.semantic_off()),
            router_losses=dict(live.router_losses()),
            routers_closed=dict(live.routers_closed()),
            job_items=jobs.by_state,
            job_oldest_seconds=jobs.oldest_age_seconds,
            job_under_way=under_way,
            job_concurrency=concurrency,
            intake_messages={} if jobs.intake is None else jobs.intake.by_fate,
            intake_depth=0 if jobs.intake is None else jobs.intake.depth,
            intake_oldest_seconds=0.0 if jobs.intake is None else jobs.intake.oldest_age_seconds or 0.0,
            deliveries={"pending": jobs.outbox.pending, "dead": jobs.outbox.dead},
            delivery_oldest_seconds=jobs.outbox.oldest_age_seconds,
            background_limit={model: gate.limit for model, gate in gates.items()},
            background_requests={
                (model, state): getattr(gate, state) for model, gate in gates.items() for state in ("under_way", "held")
            },
            background_held_by={(model, gate.why): 1 for model, gate in gates.items() if gate.held},
        )

    def _sums_of(self, key: RequestKey) -> RequestTotals:
        """The accumulator for a key that has none of its own yet, or is not to have one."""
        route, model, deployment, outcome, status = key
        if not self._is_model(model):
            key = (route, UNKNOWN, deployment, outcome, status)
        if key not in self._requests and len(self._requests) >= self._max_series:
            key = (route, OTHER, OTHER, outcome, status)
        return self._requests.setdefault(key, RequestTotals())

    def _count_cost(self, model: str, tenant: str, cost_picousd: int) -> None:
        key: CostKey = (model, tenant)
        if key not in self._costs and len(self._costs) >= self._max_series:
            key = (OTHER, OTHER)
        self._costs[key] = self._costs.get(key, 0) + cost_picousd

    def _count_attempt(self, key: AttemptKey) -> None:
        if key not in self._attempts and len(self._attempts) >= self._max_series:
            key = (OTHER, key[1], key[2])
        self._attempts[key] = self._attempts.get(key, 0) + 1


def _resident_bytes() -> int:
    """Memory held by this process; 0 where the system does not say (it is read from Linux's /proc)."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
