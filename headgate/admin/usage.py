"""What was used and what it cost, as JSON: totals by group, a caller's own, and the rows of the ledger.

Money is decimal text ("0.000082"), exact as the ledger keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from headgate.admin.endpoint import Input, Text, Visit
from headgate.admin.moments import Moment, moment
from headgate.admin.standing import LimitStanding, own_standings
from headgate.cache_types import Hit
from headgate.errors import Forbidden
from headgate.policy.pricing import format_usd
from headgate.route_types import Routed
from headgate.types import AttemptRecord, Frozen, RequestRecord, UsageRow

GROUPS = ("tenant", "user", "model", "key", "day")
PAGE_ROWS = 100
_SUMMED = tuple(name for name in UsageRow.__struct_fields__ if name != "group")


class UsageQuery(Input, frozen=True):
    """Which requests, and how to group them. `until` is exclusive."""

    by: Literal["tenant", "user", "model", "key", "day"] = "tenant"
    since: Moment | None = None
    until: Moment | None = None
    tenant: Text | None = None


class OwnUsageQuery(Input, frozen=True):
    """Which of the caller's requests: those of the key itself, of its user, or of its whole tenant."""

    scope: Literal["key", "user", "tenant"] = "key"
    since: Moment | None = None
    until: Moment | None = None


class LedgerQuery(Input, frozen=True):
    """A page of the ledger: so many rows, after the cursor that the page before gave as `next`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = PAGE_ROWS
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[0-9A-Za-z_.:-]+$")] | None = None


class Saved(Frozen, frozen=True):
    """What answers would have cost that no provider was asked for, by how they came, at the prices of their day."""

    exact: str
    semantic: str
    coalesced: str
    idempotent: str
    total: str


class Totals(Frozen, frozen=True):
    """Totals of one group of requests."""

    group: str
    requests: int
    failed: int
    refused: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: str
    duplicate_cost_usd: str  # what was paid for work that was done again, and is not charged
    saved_usd: Saved


class Usage(Frozen, frozen=True):
    """Totals by group, and of everything together."""

    by: str
    since: float | None
    until: float | None
    data: list[Totals]
    total: Totals


class OwnUsage(Frozen, frozen=True):
    """What a caller used: all of it, by day (UTC) and by model; and how the limits of its key stand.

    `limits` is null while the store of limits does not answer.
    """

    scope: str
    tenant: str
    user: str | None
    key_id: str
    since: float | None
    until: float | None
    total: Totals
    by_day: list[Totals]
    by_model: list[Totals]
    limits: list[LimitStanding] | None


class Attempt(Frozen, frozen=True):
    """One call to one deployment. Times are Unix seconds, durations seconds."""

    number: int
    id: str
    started_at: float
    seconds: float
    deployment: str
    provider: str
    endpoint: str
    upstream_model: str
    upstream_id: str
    key_fingerprint: str
    outcome: str
    status: int
    error: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    tokens_counted: str
    usage_raw: msgspec.Raw | None  # the provider's usage object, where it says more than these
    cost_usd: str
    price_version: str


class Request(Frozen, frozen=True):
    """One row of the ledger: a request with its attempts. Times are Unix seconds, durations seconds."""

    id: str  # the x-request-id of its answer
    started_at: float
    tenant: str
    user: str | None
    key_id: str
    session: str | None
    prompt_version: str | None
    tags: tuple[str, ...]
    route: str
    dialect: str
    model: str
    stream: bool
    outcome: str
    status: int
    error: str
    undelivered: bool
    deployment: str
    provider: str
    upstream_model: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    tokens_counted: str
    usage_raw: msgspec.Raw | None  # the provider's usage object, where it says more than these
    cost_usd: str
    price_version: str
    config_hash: str
    ttft_seconds: float | None
    itl_seconds: float | None
    e2e_seconds: float
    bytes_in: int
    bytes_out: int
    trace_id: str
    attempts: list[Attempt]
    routed: Routed | None  # how a router chose the model
    hit: str  # how it was answered without a provider: exact, semantic, coalesced, idempotent; else empty
    saved_usd: str  # what that answer would have cost


class LedgerPage(Frozen, frozen=True):
    """Rows in the order in which they came in; `next` asks for those after them and is null at the end."""

    data: list[Request]
    next: str | None


def totals(row: UsageRow) -> Totals:
    """A group's totals as they are shown."""
    shown = msgspec.structs.asdict(row)
    saved = {hit.value: shown[f"saved_{hit}_picousd"] for hit in Hit}
    shown["cost_usd"] = format_usd(row.cost_picousd)
    shown["duplicate_cost_usd"] = format_usd(row.duplicate_picousd)
    shown["saved_usd"] = Saved(
        **{hit: format_usd(picousd) for hit, picousd in saved.items()}, total=format_usd(sum(saved.values()))
    )
    return Totals(**{name: shown[name] for name in Totals.__struct_fields__})


def sum_of(rows: Sequence[UsageRow]) -> UsageRow:
    """All groups together."""
    return UsageRow("total", **{name: sum(getattr(row, name) for row in rows) for name in _SUMMED})


def summed(by: str, since: float | None, until: float | None, rows: Sequence[UsageRow]) -> Usage:
    """The answer to a question for usage."""
    return Usage(by, since, until, [totals(row) for row in rows], totals(sum_of(rows)))


async def usage(visit: Visit, query: UsageQuery) -> Usage:
    """Totals of requests, tokens and cost by tenant, user, model, key or day (UTC)."""
    since, until = _between(query.since, query.until, visit)
    rows = await visit.services.ledger.usage(query.by, since=since, until=until, tenant=query.tenant)
    return summed(query.by, since, until, rows)


async def own_usage(visit: Visit, query: OwnUsageQuery) -> OwnUsage:
    """What the caller's key, user or tenant has used and what it cost, and what is left of the key's limits."""
    caller, ledger = visit.caller(), visit.services.ledger
    if query.scope == "user" and caller.user is None:
        raise Forbidden("This key is not bound to a user; ask for scope=key or scope=tenant.", param="scope")
    since, until = _between(query.since, query.until, visit)
    user = caller.user if query.scope == "user" else None
    key_id = caller.key_id if query.scope == "key" else None

    async def by(group: str) -> list[UsageRow]:
        return await ledger.usage(group, since=since, until=until, tenant=caller.tenant, user=user, key_id=key_id)

    days, models = await by("day"), await by("model")
    return OwnUsage(
        scope=query.scope,
        tenant=caller.tenant,
        user=caller.user,
        key_id=caller.key_id,
        since=since,
        until=until,
        total=totals(sum_of(days)),
        by_day=[totals(row) for row in days],
        by_model=[totals(row) for row in models],
        limits=await own_standings(visit.services, caller),
    )


async def ledger_page(visit: Visit, query: LedgerQuery) -> LedgerPage:
    """Requests with their attempts, oldest first, refused ones too."""
    records, following = await visit.services.ledger.page(query.limit, query.after)
    return LedgerPage([request(record) for record in records], following)


def request(record: RequestRecord) -> Request:
    """A row of the ledger as it is shown."""
    shown = msgspec.structs.asdict(record) | _tokens_and_cost(record)
    shown["attempts"] = [attempt(one) for one in record.attempts]
    shown["saved_usd"] = format_usd(record.saved_picousd)
    shown["routed"] = msgspec.json.decode(record.routed, type=Routed) if record.routed else None
    return Request(**{name: shown[name] for name in Request.__struct_fields__})


def attempt(record: AttemptRecord) -> Attempt:
    """An attempt as it is shown."""
    shown = msgspec.structs.asdict(record) | _tokens_and_cost(record)
    return Attempt(**{name: shown[name] for name in Attempt.__struct_fields__})


def _tokens_and_cost(record: RequestRecord | AttemptRecord) -> dict[str, int | str | msgspec.Raw | None]:
    used = record.usage
    return {
        "input_tokens": used.input,
        "cached_input_tokens": used.cached_input,
        "cache_write_tokens": used.cache_write,
        "cache_write_1h_tokens": used.cache_write_1h,
        "output_tokens": used.output,
        "reasoning_tokens": used.reasoning,
        "tokens_counted": used.counted.value,
        "usage_raw": _json(used.raw),
        "cost_usd": format_usd(record.cost_picousd),
    }


def _json(raw: bytes) -> msgspec.Raw | None:
    """A provider's words as JSON inside ours; as a text, should a database have changed them beyond that."""
    if not raw:
        return None
    try:
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return msgspec.Raw(msgspec.json.encode(raw.decode("utf-8", "replace")))
    return msgspec.Raw(raw)


def _between(since: str | None, until: str | None, visit: Visit) -> tuple[float | None, float | None]:
    now = visit.services.clock.now()
    return moment(since, now, "since"), moment(until, now, "until")
