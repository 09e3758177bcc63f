"""Records as rows of the ledger's tables and back: what the journal keeps, and what the database is given as it is.

The order of a row's values is that of the columns in `schema.py`, without `sequence`. It only ever grows at its end,
so that a release finds the columns that it knows at the front of a newer release's row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headgate.stores.groups import SECONDS_PER_DAY
from headgate.stores.schema import other_attempts, requests
from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Usage

Value = str | int | float
Values = tuple[Value, ...]

REQUEST_COLUMNS = tuple(column.name for column in requests.columns if column.name != "sequence")
ATTEMPT_COLUMNS = tuple(column.name for column in other_attempts.columns)

# Both SQLite and msgspec's JSON take NaN for NULL, and Python's driver for SQLite binds it without the 0.4 us that
# it spends on every None, looking for somebody who adapts it.
NULL = math.nan

# What rows of releases before lack at their end.
ADDED_TO_REQUESTS: Values = (0, 0, "", "", "", 0)
ADDED_TO_ATTEMPTS: Values = (0, 0, "")

MAX_RAW_BYTES = 4096  # of a provider's usage object: the largest seen has 1,100; a longer one is not kept

UNTOLD = AttemptRecord("", "", 0, 0.0, "", "", "", "", "", Outcome.DONE, 0)


class Rows(msgspec.Struct):
    """What one transaction adds to the ledger."""

    requests: list[Values] = msgspec.field(default_factory=list)
    attempts: list[Values] = msgspec.field(default_factory=list)  # those that no row of a request tells
    undelivered: list[str] = msgspec.field(default_factory=list)  # ids of requests whose last write was not taken

    def add(self, following: Rows) -> None:
        """Make one of these and those that come behind them."""
        self.requests += following.requests
        self.attempts += following.attempts
        self.undelivered += following.undelivered


def rows_of(records: Sequence[RequestRecord], undelivered: Sequence[str] = ()) -> Rows:
    told = [told_attempt(record) for record in records]
    return Rows(
        [request_row(record, attempt) for record, attempt in zip(records, told, strict=True)],
        [row for record, attempt in zip(records, told, strict=True) for row in other_rows(record, attempt)],
        list(undelivered),
    )


def records_of(rows: Rows) -> list[RequestRecord]:
    """The way back, for a ledger that has no tables."""
    attempts: dict[str, list[AttemptRecord]] = {}
    for values in rows.attempts:
        attempt = attempt_record(dict(zip(ATTEMPT_COLUMNS, values, strict=True)))
        attempts.setdefault(attempt.request_id, []).append(attempt)
    named = [
        {name: None if value != value else value for name, value in zip(REQUEST_COLUMNS, values, strict=True)}
        for values in rows.requests
    ]
    return [request_record(row, attempts.get(str(row["id"]), ())) for row in named]


def told_attempt(record: RequestRecord) -> AttemptRecord:
    """The last attempt, if the request's row needs to add only a little to tell all of it; else `UNTOLD`."""
    if not record.attempts:
        return UNTOLD
    last = record.attempts[-1]
    same = (
        (last.usage is record.usage or last.usage == record.usage)
        and last.cost_picousd == record.cost_picousd
        and last.outcome is record.outcome
        and last.error == record.error
        and last.deployment == record.deployment
        and last.provider == record.provider
        and last.upstream_model == record.upstream_model
        and last.price_version == record.price_version
        and last.request_id == record.id
        and last.number > 0
        and last.id == f"{record.id}.{last.number}"
    )
    return last if same else UNTOLD


def other_rows(record: RequestRecord, told: AttemptRecord) -> list[Values]:
    """The attempts that the request's row does not tell."""
    return [attempt_row(attempt) for attempt in record.attempts if attempt is not told]


def request_row(record: RequestRecord, told: AttemptRecord) -> Values:
    """By hand, because this is done for every request."""
    usage, user, session, version = record.usage, record.user, record.session, record.prompt_version
    ttft_seconds, itl_seconds = record.ttft_seconds, record.itl_seconds
    return (
        record.id,
        int(record.started_at // SECONDS_PER_DAY),
        record.started_at,
        record.tenant,
        NULL if user is None else user,
        record.key_id,
        record.route,
        record.dialect,
        record.model,
        1 if record.stream else 0,
        str(record.outcome),  # the driver for SQLite looks long at what is not quite a string
        record.status,
        record.error,
        record.deployment,
        record.provider,
        record.upstream_model,
        NULL if session is None else session,
        NULL if version is None else version,
        msgspec.json.encode(record.tags).decode() if record.tags else "[]",
        usage.input,
        usage.cached_input,
        usage.output,
        usage.reasoning,
        str(usage.counted),
        record.cost_picousd,
        record.price_version,
        record.config_hash,
        NULL if ttft_seconds is None else ttft_seconds,
        NULL if itl_seconds is None else itl_seconds,
        record.e2e_seconds,
        record.bytes_in,
        record.bytes_out,
        record.trace_id,
        1 if record.undelivered else 0,
        told.number,
        told.started_at,
        told.seconds,
        told.status,
        told.endpoint,
        told.key_fingerprint,
        told.upstream_id,
        usage.cache_write,
        usage.cache_write_1h,
        _raw_text(usage.raw) if usage.raw else "",
        record.routed,
        str(record.hit),
        record.saved_picousd,
    )


def attempt_row(attempt: AttemptRecord) -> Values:
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
        str(attempt.outcome),
        attempt.status,
        attempt.error,
        attempt.upstream_id,
        usage.input,
        usage.cached_input,
        usage.output,
        usage.reasoning,
        str(usage.counted),
        attempt.cost_picousd,
        attempt.price_version,
        attempt.seconds,
        usage.cache_write,
        usage.cache_write_1h,
        _raw_text(usage.raw),
    )


def attempt_record(row: Mapping[str, Any]) -> AttemptRecord:
    """`row` maps the names of columns to values."""
    return AttemptRecord(
        id=row["id"],
        request_id=row["request_id"],
        number=row["number"],
        started_at=row["started_at"],
        deployment=row["deployment"],
        provider=row["provider"],
        endpoint=row["endpoint"],
        upstream_model=row["upstream_model"],
        key_fingerprint=row["key_fingerprint"],
        outcome=Outcome(row["outcome"]),
        status=row["status"],
        error=row["error"],
        upstream_id=row["upstream_id"],
        usage=_usage(row),
        cost_picousd=row["cost_picousd"],
        price_version=row["price_version"],
        seconds=row["seconds"],
    )


def request_record(row: Mapping[str, Any], others: Sequence[AttemptRecord]) -> RequestRecord:
    """`row` maps the names of columns to values; `others` are the attempts that it does not tell."""
    usage = _usage(row)
    return RequestRecord(
        id=row["id"],
        started_at=row["started_at"],
        tenant=row["tenant"],
        user=row["user_name"],
        key_id=row["key_id"],
        route=row["route"],
        dialect=row["dialect"],
        model=row["model"],
        stream=bool(row["stream"]),
        outcome=Outcome(row["outcome"]),
        status=row["status"],
        error=row["error"],
        deployment=row["deployment"],
        provider=row["provider"],
        upstream_model=row["upstream_model"],
        session=row["session"],
        prompt_version=row["prompt_version"],
        tags=msgspec.json.decode(row["tags"], type=tuple[str, ...]),
        usage=usage,
        cost_picousd=row["cost_picousd"],
        price_version=row["price_version"],
        config_hash=row["config_hash"],
        ttft_seconds=row["ttft_seconds"],
        itl_seconds=row["itl_seconds"],
        e2e_seconds=row["e2e_seconds"],
        bytes_in=row["bytes_in"],
        bytes_out=row["bytes_out"],
        trace_id=row["trace_id"],
        undelivered=bool(row["undelivered"]),
        routed=row["routed"],
        hit=row["hit"],
        saved_picousd=row["saved_picousd"],
        attempts=(*others, _told(row, usage)) if row["attempt"] else tuple(others),
    )


def _told(row: Mapping[str, Any], usage: Usage) -> AttemptRecord:
    return AttemptRecord(
        id=f"{row['id']}.{row['attempt']}",
        request_id=row["id"],
        number=row["attempt"],
        started_at=row["attempt_started_at"],
        deployment=row["deployment"],
        provider=row["provider"],
        endpoint=row["endpoint"],
        upstream_model=row["upstream_model"],
        key_fingerprint=row["key_fingerprint"],
        outcome=Outcome(row["outcome"]),
        status=row["attempt_status"],
        error=row["error"],
        upstream_id=row["upstream_id"],
        usage=usage,
        cost_picousd=row["cost_picousd"],
        price_version=row["price_version"],
        seconds=row["attempt_seconds"],
    )


def _usage(row: Mapping[str, Any]) -> Usage:
    return Usage(
        input=row["input_tokens"],
        cached_input=row["cached_input_tokens"],
        output=row["output_tokens"],
        reasoning=row["reasoning_tokens"],
        counted=Counted(row["counted"]),
        cache_write=row["cache_write_tokens"],
        cache_write_1h=row["cache_write_1h_tokens"],
        raw=row["usage_raw"].encode(),
    )


def _raw_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace") if len(raw) <= MAX_RAW_BYTES else ""
