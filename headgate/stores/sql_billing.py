"""The ledger's attempts in SQL as a bill sees them. Reads `requests` and `other_attempts`, changes nothing.

A day is asked for on its own, so that other readers of the database get their turn in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    union_all,
)

from headgate.bills import Amount, LedgerAttempt, LedgerLine, Tokens
from headgate.stores import locks
from headgate.stores.database import Database
from headgate.stores.groups import SECONDS_PER_DAY
from headgate.stores.schema import other_attempts, requests
from headgate.stores.totals import joined, sums
from headgate.types import Counted

SUMMED = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "cost_picousd",
)  # fmt: skip
# An attempt may begin on the day after its request came; nobody waits longer than that.
_DAYS_BEFORE = 1


class SqlBillingRecords:
    """The port `BillingRecords` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first_day(self, provider: str) -> int | None:
        oldest = select(requests.c.day).where(requests.c.provider == provider).order_by(requests.c.day).limit(1)
        return await self._database.run(
            self._database.reading, lambda connection: connection.execute(oldest).scalar_one_or_none()
        )

    async def lines(self, provider: str, day: int) -> list[LedgerLine]:
        return await self._database.run(self._database.reading, lambda connection: _lines(connection, provider, day))

    async def doubles(self, provider: str, day: int) -> list[LedgerAttempt]:
        def work(connection: Connection) -> list[LedgerAttempt]:
            locks.see_one_moment(connection)
            used = _used(provider, day)
            again = (
                select(used.c.upstream_id)
                .where(used.c.upstream_id != "")
                .group_by(used.c.upstream_id)
                .having(func.count() > 1)
            )
            found = select(used).where(used.c.upstream_id.in_(again)).order_by(used.c.started_at, used.c.id)
            return list(_repeated(connection.execute(found).all(), day))

        return await self._database.run(self._database.reading, work)

    async def around_midnight(self, provider: str, day: int, seconds: float) -> list[LedgerAttempt]:
        used = _used(provider, day)
        early = used.c.started_at < day * SECONDS_PER_DAY + seconds
        late = used.c.started_at + used.c.seconds >= (day + 1) * SECONDS_PER_DAY - seconds
        found = select(used).where(or_(early, late)).order_by(used.c.started_at, used.c.id)
        return await self._database.run(
            self._database.reading,
            lambda connection: [_attempt(row, day) for row in connection.execute(found)],
        )


def _lines(connection: Connection, provider: str, day: int) -> list[LedgerLine]:
    used = _used(provider, day)
    group = (used.c.upstream_model, used.c.key_fingerprint, used.c.tenant)
    estimated = case((used.c.counted != Counted.REPORTED, 1), else_=0)
    numbers = sums(used.c[name] for name in SUMMED)
    found = select(*group, func.count(), func.sum(estimated), *numbers).group_by(*group).order_by(*group)
    lines = []
    for model, key, tenant, count, guessed, *parts in connection.execute(found):
        *tokens, cost = joined(parts)
        lines.append(LedgerLine(day, model, key, tenant, Amount(count, Tokens(*tokens), cost), int(guessed)))
    return lines


def _used(provider: str, day: int) -> Subquery:
    """Every attempt that began on this day and used tokens, from whichever table it is in."""
    begin, end = day * SECONDS_PER_DAY, (day + 1) * SECONDS_PER_DAY
    days = requests.c.day.between(day - _DAYS_BEFORE, day)
    told = _columns(requests.c, requests.c.attempt_started_at, requests.c.attempt_seconds)
    told_id = (requests.c.id + "." + cast(requests.c.attempt, Text)).label("id")
    first: Select[Any] = select(told_id, requests.c.tenant, *told).where(
        and_(
            days,
            requests.c.attempt > 0,
            requests.c.provider == provider,
            requests.c.attempt_started_at >= begin,
            requests.c.attempt_started_at < end,
            _tokens(requests.c),
        )
    )
    columns = _columns(other_attempts.c, other_attempts.c.started_at, other_attempts.c.seconds)
    second: Select[Any] = (
        select(other_attempts.c.id, requests.c.tenant, *columns)
        .join(requests, requests.c.id == other_attempts.c.request_id)
        .where(
            and_(
                days,
                other_attempts.c.provider == provider,
                other_attempts.c.started_at >= begin,
                other_attempts.c.started_at < end,
                _tokens(other_attempts.c),
            )
        )
    )
    return union_all(first, second).subquery("used")


def _columns(table: Any, started_at: ColumnElement[float], seconds: ColumnElement[float]) -> Iterator[Any]:
    yield from (table.upstream_model, table.key_fingerprint, table.upstream_id, table.counted)
    yield from (started_at.label("started_at"), seconds.label("seconds"))
    yield from (table[name] for name in SUMMED)


def _tokens(table: Any) -> ColumnElement[bool]:
    return or_(table.input_tokens > 0, table.output_tokens > 0)


def _repeated(rows: Any, day: int) -> Iterator[LedgerAttempt]:
    """All but the first of each provider's request id, model and key."""
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        one = (row.upstream_model, row.key_fingerprint, row.upstream_id)
        if one in seen:
            yield _attempt(row, day)
        seen.add(one)


def _attempt(row: Row[Any], day: int) -> LedgerAttempt:
    tokens = Tokens(*(getattr(row, name) for name in SUMMED[:-1]))
    return LedgerAttempt(
        id=row.id,
        day=day,
        model=row.upstream_model,
        key=row.key_fingerprint,
        started_at=row.started_at,
        ended_at=row.started_at + row.seconds,
        amount=Amount(1, tokens, row.cost_picousd),
    )
