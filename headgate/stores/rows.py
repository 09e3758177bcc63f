"""Records as rows of the ledger's tables and back. The order of the columns is `schema.py`'s, without `sequence`."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from headgate.stores.groups import SECONDS_PER_DAY
from headgate.stores.schema import attempts, requests
from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Usage

Value = str | int | float | None

REQUEST_COLUMNS = tuple(column.name for column in requests.columns if column.name != "sequence")
ATTEMPT_COLUMNS = tuple(column.name for column in attempts.columns)


def request_row(record: RequestRecord) -> tuple[Value, ...]:
    """By hand, because this is done for every request."""
    usage = record.usage
    return (
        record.id,
        int(record.started_at // SECONDS_PER_DAY),
        record.started_at,
        record.tenant,
        record.user,
        record.key_id,
        record.route,
        record.dialect,
        record.model,
        1 if record.stream else 0,
        record.outcome.value,
        record.status,
        record.error,
        record.deployment,
        record.provider,
        record.upstream_model,
        record.session,
        record.prompt_version,
        msgspec.json.encode(record.tags).decode() if record.tags else "[]",
        usage.input,
        usage.cached_input,
        usage.output,
        usage.reasoning,
        usage.counted.value,
        record.cost_picousd,
        record.price_version,
        record.config_hash,
        record.ttft_seconds,
        record.itl_seconds,
        record.e2e_seconds,
        record.bytes_in,
        record.bytes_out,
        record.trace_id,
        1 if record.undelivered else 0,
    )


def attempt_row(attempt: AttemptRecord) -> tuple[Value, ...]:
    usage = attempt.usage
    return (
        attempt.request_id,
        attempt.number,
        attempt.id,
        attempt.started_at,
        attempt.deployment,
        attempt.provider,
        attempt.endpoint,
        attempt.upstream_model,
        attempt.key_fingerprint,
        attempt.outcome.value,
        attempt.status,
        attempt.error,
        attempt.upstream_id,
        usage.input,
        usage.cached_input,
        usage.output,
        usage.reasoning,
        usage.counted.value,
        attempt.cost_picousd,
        attempt.price_version,
        attempt.seconds,
    )


def _usage(row: Row[Any]) -> Usage:
    return Usage(
        input=row.input_tokens,
        cached_input=row.cached_input_tokens,
        output=row.output_tokens,
        reasoning=row.reasoning_tokens,
        counted=Counted(row.counted),
    )


def attempt_record(row: Row[Any]) -> AttemptRecord:
    return AttemptRecord(
        id=row.id,
        request_id=row.request_id,
        number=row.number,
        started_at=row.started_at,
        deployment=row.deployment,
        provider=row.provider,
        endpoint=row.endpoint,
        upstream_model=row.upstream_model,
        key_fingerprint=row.key_fingerprint,
        outcome=Outcome(row.outcome),
        status=row.status,
        error=row.error,
        upstream_id=row.upstream_id,
        usage=_usage(row),
        cost_picousd=row.cost_picousd,
        price_version=row.price_version,
        seconds=row.seconds,
    )


def request_record(row: Row[Any], attempts: tuple[AttemptRecord, ...]) -> RequestRecord:
    return RequestRecord(
        id=row.id,
        started_at=row.started_at,
        tenant=row.tenant,
        user=row.user_name,
        key_id=row.key_id,
        route=row.route,
        dialect=row.dialect,
        model=row.model,
        stream=bool(row.stream),
        outcome=Outcome(row.outcome),
        status=row.status,
        error=row.error,
        deployment=row.deployment,
        provider=row.provider,
        upstream_model=row.upstream_model,
        session=row.session,
        prompt_version=row.prompt_version,
        tags=msgspec.json.decode(row.tags, type=tuple[str, ...]),
        usage=_usage(row),
        cost_picousd=row.cost_picousd,
        price_version=row.price_version,
        config_hash=row.config_hash,
        ttft_seconds=row.ttft_seconds,
        itl_seconds=row.itl_seconds,
        e2e_seconds=row.e2e_seconds,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        trace_id=row.trace_id,
        undelivered=bool(row.undelivered),
        attempts=attempts,
    )
