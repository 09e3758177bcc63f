"""What is counted, and what Prometheus gets to read of it."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate.telemetry.buckets import E2E_SECONDS, ITL_SECONDS, LOOP_LAG_SECONDS, TTFT_SECONDS
from headgate.telemetry.exposition import FAMILIES, exposition
from headgate.telemetry.metrics import Metrics
from headgate.types import Counted, Outcome, Usage
from tests.telemetry.samples import DEPLOYMENT, attempt, metrics, record, refusal

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Name and labels -> value, as Prometheus's own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(counted: Metrics, name: str, **labels: str) -> float:
    return samples(exposition(counted.snapshot()))[name, frozenset(labels.items())]


@pytest.mark.parametrize("bounds", [TTFT_SECONDS, ITL_SECONDS, E2E_SECONDS, LOOP_LAG_SECONDS])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) <= 18


def test_a_stream_is_counted_in_every_family_it_touches() -> None:
    counted = metrics()
    itl_counts = [0] * (len(ITL_SECONDS) + 1)
    itl_counts[ITL_SECONDS.index(0.01)] = 40
    itl_counts[ITL_SECONDS.index(0.015)] = 19
    counted.settled(record(), itl_counts)
    counted.settled(record(), itl_counts)
    labels = {"model": "small", "deployment": DEPLOYMENT}
    route = {"route": "chat/completions", "model": "small"}
    assert value(counted, "headgate_requests_total", **route, outcome="done", status="200") == 2
    assert value(counted, "headgate_ttft_seconds_count", **labels) == 2
    assert value(counted, "headgate_ttft_seconds_sum", **labels) == pytest.approx(0.4)
    assert value(counted, "headgate_ttft_seconds_bucket", **labels, le="0.15") == 0
    assert value(counted, "headgate_ttft_seconds_bucket", **labels, le="0.25") == 2
    assert value(counted, "headgate_itl_seconds_bucket", **labels, le="0.01") == 80
    assert value(counted, "headgate_itl_seconds_bucket", **labels, le="+Inf") == 118
    assert value(counted, "headgate_itl_seconds_sum", **labels) == pytest.approx(118 * 0.012)
    assert value(counted, "headgate_e2e_seconds_bucket", **labels, le="1.0") == 2
    for kind, tokens in {"input": 200, "cached_input": 80, "output": 120, "reasoning": 20}.items():
        assert value(counted, "headgate_tokens_total", **labels, type=kind) == tokens
    assert value(counted, "headgate_cost_usd_total", model="small", tenant="acme") == pytest.approx(0.000102)
    assert value(counted, "headgate_attempts_total", deployment=DEPLOYMENT, outcome="done", error="") == 2


def test_a_bound_belongs_to_its_bucket() -> None:
    counted = metrics()
    counted.settled(record(ttft_seconds=0.25, e2e_seconds=600.0), ())
    counted.settled(record(ttft_seconds=61.0, e2e_seconds=600.1), ())
    labels = {"model": "small", "deployment": DEPLOYMENT}
    assert value(counted, "headgate_ttft_seconds_bucket", **labels, le="0.25") == 1
    assert value(counted, "headgate_ttft_seconds_bucket", **labels, le="60.0") == 1
    assert value(counted, "headgate_ttft_seconds_bucket", **labels, le="+Inf") == 2
    assert value(counted, "headgate_e2e_seconds_bucket", **labels, le="600.0") == 1


def test_only_streams_have_a_ttft_and_only_complete_answers_an_e2e() -> None:
    counted = metrics()
    counted.settled(record(stream=False), ())
    counted.settled(record(outcome=Outcome.FAILED, status=502, stream=False), ())
    found = samples(exposition(counted.snapshot()))
    labels = frozenset({"model": "small", "deployment": DEPLOYMENT}.items())
    assert ("headgate_ttft_seconds_count", labels) not in found
    assert found["headgate_e2e_seconds_count", labels] == 1


def test_every_attempt_counts_by_itself() -> None:
    counted = metrics()
    failed = attempt(outcome=Outcome.FAILED, status=500, error="upstream_error")
    counted.settled(record(attempts=(failed, failed, attempt(number=3))), ())
    name = "headgate_attempts_total"
    assert value(counted, name, deployment=DEPLOYMENT, outcome="failed", error="upstream_error") == 2
    assert value(counted, name, deployment=DEPLOYMENT, outcome="done", error="") == 1


def test_refusals_are_counted_whether_a_record_exists_or_not() -> None:
    counted = metrics()
    counted.settled(refusal("feature_not_allowed", status=403), ())
    counted.refused("feature_not_allowed")
    counted.refused("overloaded")
    counted.unauthenticated()
    assert value(counted, "headgate_refused_total", code="feature_not_allowed") == 2
    assert value(counted, "headgate_refused_total", code="overloaded") == 1
    assert value(counted, "headgate_unauthenticated_total") == 1


def test_what_the_provider_left_out_is_counted() -> None:
    counted = metrics()
    counted.settled(record(usage=Usage(input=9, output=3, counted=Counted.ESTIMATED)), ())
    counted.settled(record(), ())
    counted.missing_done(DEPLOYMENT)
    assert value(counted, "headgate_empty_usage_total", deployment=DEPLOYMENT) == 1
    assert value(counted, "headgate_missing_done_total", deployment=DEPLOYMENT) == 1


def test_gauges_are_read_when_somebody_looks() -> None:
    in_flight = [3]
    counted = metrics(
        in_flight=lambda: in_flight[0],
        ledger_healthy=lambda: False,
        disk_healthy=lambda: False,
        store=lambda: (False, 7),
        troubles=lambda: {"store_lost": 2},
        breaker_states=lambda: {DEPLOYMENT: 2},
        tokens_in_flight=lambda: {DEPLOYMENT: 900},
    )
    assert value(counted, "headgate_in_flight") == 3
    in_flight[0] = 4
    assert value(counted, "headgate_in_flight") == 4
    assert value(counted, "headgate_ledger_healthy") == 0 == value(counted, "headgate_disk_healthy")
    assert value(counted, "headgate_store_healthy") == 0 and value(counted, "headgate_store_queued") == 7
    assert value(counted, "headgate_troubles_total", kind="store_lost") == 2
    assert value(counted, "headgate_breaker_state", deployment=DEPLOYMENT) == 2
    assert value(counted, "headgate_tokens_in_flight", deployment=DEPLOYMENT) == 900
    assert value(counted, "headgate_build_info", version="1.2.3") == 1
    assert value(counted, "process_resident_memory_bytes") > 1_000_000
    assert value(counted, "process_cpu_seconds_total") > 0


def test_invented_models_share_one_label() -> None:
    counted = metrics(is_model=lambda name: name == "small")
    for number in range(50):
        counted.settled(refusal("model_not_found", model=f"made-up-{number}"), ())
    counted.settled(record(), ())
    name = "headgate_requests_total"
    route = "chat/completions"
    assert value(counted, name, route=route, model="unknown", outcome="refused", status="404") == 50
    assert value(counted, name, route=route, model="small", outcome="done", status="200") == 1
    assert len(counted.snapshot().totals.requests) == 2


def test_label_sets_beyond_the_bound_are_counted_together() -> None:
    counted = metrics(max_series=10)
    for number in range(500):
        tried = attempt(deployment=f"deployment-{number}")
        counted.settled(record(model=f"model-{number}", tenant=f"tenant-{number}", attempts=(tried,)), ())
    totals = counted.snapshot().totals
    assert len(totals.requests) == len(totals.costs_picousd) == len(totals.attempts) == 11
    assert sum(sums.requests for sums in totals.requests.values()) == 500
    assert totals.costs_picousd["other", "other"] == 490 * 51_000_000
    assert value(counted, "headgate_attempts_total", deployment="other", outcome="done", error="") == 490


def test_memory_does_not_grow_with_requests() -> None:
    counted = metrics()
    streamed = record()
    counted.settled(streamed, [1] * (len(ITL_SECONDS) + 1))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5000):
        counted.settled(streamed, [1] * (len(ITL_SECONDS) + 1))
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 5_000


def test_a_snapshot_is_a_copy() -> None:
    counted = metrics()
    counted.settled(record(), ())
    taken = counted.snapshot()
    counted.settled(record(), ())
    assert [sums.requests for sums in taken.totals.requests.values()] == [1]


def test_the_document_lists_every_family() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in rows}
    assert documented == {family.name: (family.kind, family.labels, family.meaning) for family in FAMILIES}
