"""Adding up usage: the rows that are still there and the days that were folded, as one answer.

Sums are exact. SQLite stops with an error when a sum passes 64 bits, and 2**63 pico-dollars are only 9.2 million USD;
so every number is summed in two parts, what is above and what is below `PART`, and put together in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from headgate.cache_types import Hit
from headgate.policy.metered import KEY, USER
from headgate.stores import locks
from headgate.stores.groups import GROUPS, LIVE_GROUPS, SECONDS_PER_DAY, WHO, day_of, group_name
from headgate.stores.schema import daily_totals, requests
from headgate.types import Outcome, UsageRow

PART = 10**9
SUMMED = (
    "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "cost_picousd", "cache_write_tokens",
    "cache_write_1h_tokens",
)  # fmt: skip
SAVED = {f"saved_{hit}_picousd": hit for hit in Hit}  # columns of folded days; of a row it is one number
NUMBERS = (*SUMMED, *SAVED)
SEEKS = 400  # so many days are looked up one by one for a tenant, rather than read through for all tenants


class Question(msgspec.Struct, frozen=True):
    """What is asked: how to group, and what to count. Times are Unix seconds, `until` is exclusive."""

    by: str
    since: float | None = None
    until: float | None = None
    tenant: str | None = None
    user: str | None = None
    key_id: str | None = None
    without: Sequence[str] = ()  # ids of requests; at most 10,000


def usage(connection: Connection, question: Question) -> list[UsageRow]:
    """One row for each group, sorted by its name."""
    locks.see_one_moment(connection)  # a row that is folded meanwhile is a row or a total, never both or neither
    groups: dict[str, list[int]] = {}
    for row in (*_sum_rows(connection, question), *_sum_days(connection, question)):
        name = group_name(row[0])
        numbers = joined(row[1:])
        before = groups.get(name)
        groups[name] = numbers if before is None else [a + b for a, b in zip(before, numbers, strict=True)]
    return [UsageRow(name, *numbers) for name, numbers in sorted(groups.items())]


def sums(columns: Iterable[ColumnElement[int]]) -> list[ColumnElement[int]]:
    """Two parts of the sum of each column. Division and remainder truncate alike in SQLite and PostgreSQL."""
    part = literal_column(str(PART), BigInteger)
    return [func.sum(half) for column in columns for half in (column.op("/")(part), column.op("%")(part))]


def numbers_of_rows() -> list[ColumnElement[int]]:
    """Of rows that are not folded, what a day has columns for, in the order of `NUMBERS`."""
    row = requests.c
    return [
        *(row[name] for name in SUMMED),
        *(case((row.hit == hit, row.saved_picousd), else_=literal(0, BigInteger)) for hit in SAVED.values()),
    ]


def joined(parts: Sequence[int]) -> list[int]:
    """The whole sums again, in the order of the columns."""
    return [int(high) * PART + int(low) for high, low in zip(parts[::2], parts[1::2], strict=True)]


def _sum_rows(connection: Connection, question: Question) -> Sequence[Row[Any]]:
    first, last = connection.execute(
        select(select(func.min(requests.c.day)).scalar_subquery(), select(func.max(requests.c.day)).scalar_subquery())
    ).one()
    if first is None:
        return ()
    wanted = _wanted(requests, question)
    if question.without:
        wanted.append(requests.c.id.not_in(question.without))
    if question.since is not None:
        wanted.append(requests.c.started_at >= question.since)
        first = max(first, day_of(question.since))
    if question.until is not None:
        wanted.append(requests.c.started_at < question.until)
        last = min(last, day_of(question.until))
    if question.tenant is not None and last - first < SEEKS:
        wanted.append(requests.c.day.in_(range(first, last + 1)))
    else:
        wanted.append(requests.c.day.between(first, last))
    return _sum(connection, question, wanted, literal(1, BigInteger), numbers_of_rows())


def _sum_days(connection: Connection, question: Question) -> Sequence[Row[Any]]:
    """A folded day counts as a whole, when its midnight lies in the range: ranges side by side count nothing twice."""
    if question.by in LIVE_GROUPS:
        return ()
    wanted = _wanted(daily_totals, question)
    if question.since is not None:
        wanted.append(daily_totals.c.day >= -(-question.since // SECONDS_PER_DAY))
    if question.until is not None:
        wanted.append(daily_totals.c.day < -(-question.until // SECONDS_PER_DAY))
    numbers = [daily_totals.c[name] for name in NUMBERS]
    return _sum(connection, question, wanted, daily_totals.c.requests, numbers)


def _wanted(table: Table, question: Question) -> list[ColumnElement[bool]]:
    filters = {"tenant": question.tenant, "user_name": question.user, "key_id": question.key_id}
    return [table.c[name] == value for name, value in filters.items() if value is not None]


def _sum(
    connection: Connection,
    question: Question,
    wanted: list[ColumnElement[bool]],
    count: ColumnElement[int],
    numbers: Sequence[ColumnElement[int]],
) -> Sequence[Row[Any]]:
    table = daily_totals if count is daily_totals.c.requests else requests
    group = _group(table, question.by)
    counts = [
        count,
        *(case((table.c.outcome == outcome, count), else_=0) for outcome in (Outcome.FAILED, Outcome.REFUSED)),
    ]
    is_duplicate = table.c.outcome == Outcome.DUPLICATE
    charged = [case((is_duplicate, 0), else_=number) for number in numbers]
    paid_twice = case((is_duplicate, table.c.cost_picousd), else_=0)
    summed = sums([*counts, *charged[: len(SUMMED)], paid_twice, *charged[len(SUMMED) :]])
    return connection.execute(select(group, *summed).where(and_(True, *wanted)).group_by(group)).all()


def _group(table: Table, by: str) -> ColumnElement[Any]:
    if by == "tags":
        return table.c.tags
    if by not in (WHO, "session"):
        return table.c[GROUPS[by]]
    user = table.c.user_name
    alike = or_(*[func.substr(user, 1, len(before)) == before for before in (KEY, USER)])
    name = case(
        (func.coalesce(user, "") == "", literal(KEY).concat(table.c.key_id)),
        (alike, literal(USER).concat(user)),
        else_=user,
    )
    if by == WHO:
        return name
    written = func.replace(func.replace(name, "%", "%25"), " ", "%20")  # as `policy.metered.session_name`
    return written.concat(" ").concat(table.c.session)
