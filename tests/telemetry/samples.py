"""Settled requests and metrics to test the telemetry with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headgate.telemetry.metrics import LiveGauges, Metrics
from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Route, Usage

STARTED_AT = 1_790_000_000.25
DEPLOYMENT = "openai/gpt-4o-mini"


def attempt(**changes: Any) -> AttemptRecord:
    plain = AttemptRecord(
        id="att_1",
        request_id="req_1",
        number=1,
        started_at=STARTED_AT + 0.01,
        deployment=DEPLOYMENT,
        provider="openai",
        endpoint="http://127.0.0.1:9100/v1",
        upstream_model="gpt-4o-mini",
        key_fingerprint="9f86d081",
        outcome=Outcome.DONE,
        status=200,
        upstream_id="up-1",
        usage=Usage(input=100, cached_input=40, output=60, reasoning=10, counted=Counted.REPORTED),
        cost_picousd=51_000_000,
        seconds=0.75,
    )
    return msgspec.structs.replace(plain, **changes)


def record(**changes: Any) -> RequestRecord:
    """A finished stream with one attempt."""
    plain = RequestRecord(
        id="req_1",
        started_at=STARTED_AT,
        tenant="acme",
        user="alice",
        key_id="key_1",
        route=Route.CHAT.value,
        dialect="openai",
        model="small",
        stream=True,
        outcome=Outcome.DONE,
        status=200,
        deployment=DEPLOYMENT,
        provider="openai",
        upstream_model="gpt-4o-mini",
        session="chat-7",
        usage=attempt().usage,
        cost_picousd=51_000_000,
        ttft_seconds=0.2,
        itl_seconds=0.012,
        e2e_seconds=0.8,
        attempts=(attempt(),),
    )
    return msgspec.structs.replace(plain, **changes)


def refusal(code: str, **changes: Any) -> RequestRecord:
    """A request that headgate said no to."""
    nothing = {
        "deployment": "",
        "provider": "",
        "upstream_model": "",
        "usage": Usage(),
        "cost_picousd": 0,
        "attempts": (),
    }
    timing = {"ttft_seconds": None, "itl_seconds": None, "e2e_seconds": 0.001}
    return record(**{"outcome": Outcome.REFUSED, "status": 404, "error": code, **nothing, **timing, **changes})


def metrics(max_series: int = 2000, is_model: Callable[[str], bool] = lambda name: True, **live: Any) -> Metrics:
    """Metrics of a quiet process; `live` replaces single gauges."""
    quiet: dict[str, Any] = {
        "version": "1.2.3",
        "in_flight": lambda: 0,
        "waiting": lambda: 0,
        "client_connections": lambda: 0,
        "journal_backlog_bytes": lambda: 0,
        "ledger_healthy": lambda: True,
        "breaker_states": dict,
        "tokens_in_flight": dict,
    }
    return Metrics(LiveGauges(**{**quiet, **live}), is_model, max_series)
