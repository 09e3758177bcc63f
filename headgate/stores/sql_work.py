"""Jobs as workers see them, in SQL: claiming items, keeping them, and saying what became of them.

What a worker says of an item names the lease's token in the same UPDATE, so that one that lost it changes nothing any
more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, case, func, select, text, update

from headgate.errors import Draining
from headgate.job_types import Backlog, ItemEnd, ItemState, Lease, Owner, RetryRules
from headgate.policy import jobs as policy
from headgate.policy.jobs import OPEN
from headgate.ports import Clock
from headgate.provider_batch_types import BATCH_WORKER
from headgate.stores import duplicates, off_peak
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.inserts import inserter
from headgate.stores.job_counts import Shifts, database_now
from headgate.stores.jobs_tables import (
    ATTEMPT_COLUMNS,
    HAS_DEAD,
    IS_CHILD,
    IS_LEASED,
    IS_OPEN,
    IS_READY,
    IS_RESTING,
    SUMMED,
    TAKE,
    job_attempts,
    job_items,
    job_turns,
    jobs,
)
from headgate.types import RequestRecord

_LEASED = ItemState.LEASED.value
_SWEPT_AT_ONCE = 1000
_NAMED_AT_ONCE = 1000
LONGEST_LEASE_SECONDS = 3600.0  # the most that jobs.lease_seconds can be
LOOK_AGAIN_SECONDS = 15.0  # who waits for children is told when one is over, unless both happen in the same moment
_END = (
    "UPDATE job_items SET state = :state, error_code = :error_code, error = :error, next_at = :next_at, finished_at = "
    ":finished_at, result = :result, refusal = :refusal, retries = retries + :counted, "
    "ready = CASE WHEN held = 0 THEN :ready ELSE 0 END "
    "WHERE job_id = :job_id AND number = :number AND token = :token AND state = 'leased'"
)
_NAMES = msgspec.json.Decoder(list[str])


class SqlWork:
    """The port `Work` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._add_attempts = inserter(job_attempts, ATTEMPT_COLUMNS, database.dialect)

    async def claim(self, worker: str, request_ids: Sequence[str], seconds: float) -> list[Lease]:
        def work(connection: Connection) -> list[Lease]:
            found = _next_items(connection, len(request_ids))
            if not found:
                return []
            now = database_now(connection, self._clock)
            shifts = Shifts()
            for row in found:
                shifts.move(row.job_id, row.state, _LEASED)
            taken = [{"job_id": row.job_id, "number": row.number} for row in found]
            connection.execute(text(TAKE), [{**each, "worker": worker, "until": now + seconds} for each in taken])
            self._add_attempts(
                connection,
                [
                    (request_id, row.job_id, row.number, row.token + 1, worker, now, SUMMED)
                    for row, request_id in zip(found, request_ids, strict=False)
                ],
            )
            turn = max(row.turn for row in found)
            at = update(job_turns).where(job_turns.c.tenant == "", job_turns.c.turn < turn)
            connection.execute(at.values(turn=turn))
            shifts.write(connection, now)
            return _leases(connection, found, request_ids, now + seconds)

        return await self._database.run(self._database.jobs, work, writes=True)

    async def keep(self, worker: str, seconds: float) -> frozenset[tuple[str, int, int]]:
        mine = (job_items.c.worker == worker, text(IS_LEASED))

        def work(connection: Connection) -> frozenset[tuple[str, int, int]]:
            until = database_now(connection, self._clock) + seconds
            connection.execute(update(job_items).where(*mine).values(lease_until=until))
            kept = select(job_items.c.job_id, job_items.c.number, job_items.c.token).where(*mine)
            return frozenset((row.job_id, row.number, row.token) for row in connection.execute(kept))

        return await self._database.run(self._database.jobs, work, writes=True)

    async def finish(self, worker: str, ends: Sequence[ItemEnd]) -> list[bool]:
        mine = _held_of(worker, ends)

        def work(connection: Connection) -> list[bool]:
            now = database_now(connection, self._clock)
            ahead = now - self._clock.now()  # a machine's clock may be wrong: what counts is how long it would wait
            held = {tuple(row) for row in connection.execute(mine.with_for_update())}
            stands = [(end.job_id, end.number, end.token) in held for end in ends]
            shifts = Shifts()
            for end in (standing := list(compress(ends, stands))):
                shifts.move(end.job_id, _LEASED, end.state.value)
                shifts.kept(end.job_id, len(end.result))
                if end.error_code:
                    shifts.failed(end.job_id, end.error_code, clean(end.error))
            if values := [_values(end, now, ahead, _is_awaited(connection, end)) for end in standing]:
                connection.execute(text(_END), values)
            _tell_calls(connection, standing)
            shifts.write(connection, now)
            return stands

        return await self._database.run(self._database.jobs, work, writes=True)

    async def sweep(self, rules: RetryRules) -> int:
        def work(connection: Connection) -> int:
            now = database_now(connection, self._clock)
            shifts = Shifts()
            _bring_nearer(connection, now)
            changed = _expire(connection, shifts, now) + _take_back(connection, shifts, rules, now)
            changed += off_peak.turn_windows(connection, now)
            due_now = update(job_items).where(text(IS_RESTING), job_items.c.next_at <= now).values(ready=1)
            changed += connection.execute(due_now).rowcount
            shifts.write(connection, now)
            return changed

        return await self._database.run(self._database.jobs, work, writes=True)

    async def book_duplicates(self) -> list[RequestRecord]:
        database, now = self._database, self._clock.now()
        if not await database.run(database.reading, lambda connection: duplicates.are_open(connection, now)):
            return []
        return await database.run(database.jobs, lambda connection: duplicates.book(connection, now), writes=True)

    async def backlog(self) -> Backlog:
        def work(connection: Connection) -> Backlog:
            now, row = database_now(connection, self._clock), connection.execute(_what_waits()).one()
            waiting = int(row.held) + int(row.resting)
            age = 0.0 if row.oldest is None else max(0.0, now - row.oldest)
            return Backlog(max(0, int(row.begun) - waiting), waiting, int(row.leased), int(row.dead), age)

        return await self._database.run(self._database.reading, work)


def _what_waits() -> Select[Any]:
    """In one statement, which sees one moment. Only what rests is counted: ready is what of all that has to be done
    neither rests nor is held, and the rows of jobs say how much that is."""
    begun = jobs.c.queued + jobs.c.retrying
    numbers = {"begun": begun, "held": case((off_peak.holds(), begun), else_=0), "leased": jobs.c.leased}
    sums = [func.coalesce(func.sum(each), 0).label(name) for name, each in numbers.items()]
    resting = select(func.count()).select_from(job_items).where(text(IS_RESTING)).scalar_subquery()
    oldest = select(func.min(job_items.c.next_at)).where(text(IS_READY)).scalar_subquery()
    dead = select(func.coalesce(func.sum(jobs.c.dead), 0)).where(text(HAS_DEAD)).scalar_subquery()
    those = (resting.label("resting"), oldest.label("oldest"), dead.label("dead"))
    return select(*sums, *those).where(jobs.c.finished_at.is_(None))


def _next_items(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """Those whose turn it is, and which no other worker is taking right now."""
    query = select(job_items).where(text(IS_READY)).order_by(job_items.c.rank, job_items.c.turn)
    return connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all()


def _leases(connection: Connection, found: Sequence[Row[Any]], request_ids: Sequence[str], until: float) -> list[Lease]:
    whose = select(jobs.c.id, jobs.c.kind, jobs.c.tenant, jobs.c.key_id, jobs.c.user_name, jobs.c.root_id)
    named = whose.where(jobs.c.id.in_({row.job_id for row in found}))
    of = {
        row.id: (row.kind, Owner(row.tenant, row.key_id, row.user_name), row.root_id)
        for row in connection.execute(named)
    }
    return [
        Lease(
            job_id=row.job_id,
            number=row.number,
            token=row.token + 1,
            kind=of[row.job_id][0],
            owner=of[row.job_id][1],
            request=row.request.encode(),
            request_id=request_id,
            until=until,
            deadline_at=row.deadline_at,
            retries=row.retries,
            lost=len(_NAMES.decode(row.lost_to)),
            label=row.label,
            root_id=of[row.job_id][2],
        )
        for row, request_id in zip(found, request_ids, strict=False)
    ]


def _held_of(worker: str, ends: Sequence[ItemEnd]) -> Select[Any]:
    """Which items a worker has, those of `ends` at least. A batch at a provider has thousands more, all of one job:
    they are looked up by their key, and not among all that are leased."""
    held = select(job_items.c.job_id, job_items.c.number, job_items.c.token).where(job_items.c.worker == worker)
    if not worker.startswith(BATCH_WORKER) or not 0 < len(ends) <= _NAMED_AT_ONCE:
        return held.where(text(IS_LEASED))
    its = (job_items.c.job_id == ends[0].job_id, job_items.c.number.in_([end.number for end in ends]))
    return held.where(*its, job_items.c.state + "" == _LEASED)


def _tell_calls(connection: Connection, ends: Sequence[ItemEnd]) -> None:
    """Which calls are done again: those of a worker that was stopped, and those that were lost before one succeeded."""
    stopped = [end for end in ends if (end.may_be_paid or end.error_code == Draining.code) and end.state in OPEN]
    duplicates.lose(connection, [(end.job_id, end.number, end.token) for end in stopped])
    done = [end for end in ends if end.state is ItemState.SUCCEEDED]
    duplicates.repeat(connection, [(end.job_id, end.number, end.token) for end in done])


def _is_awaited(connection: Connection, end: ItemEnd) -> bool:
    """Whether a job is not over that the item waits for."""
    if not end.awaits_children:
        return False
    its = (text(IS_CHILD), jobs.c.parent_id == end.job_id, jobs.c.parent_number == end.number)
    open_ones = select(jobs.c.id).where(*its, jobs.c.finished_at.is_(None)).limit(1)
    return connection.execute(open_ones).first() is not None


def _values(end: ItemEnd, now: float, ahead: float, is_awaited: bool) -> dict[str, Any]:
    return {
        "job_id": end.job_id, "number": end.number, "token": end.token, "state": end.state.value,
        "error_code": end.error_code, "error": clean(end.error), "ready": int(end.awaits_children and not is_awaited),
        "next_at": now + LOOK_AGAIN_SECONDS * is_awaited if end.awaits_children else end.next_at + ahead,
        "finished_at": None if end.state in OPEN else now,
        "result": clean(end.result.decode(errors="replace")), "counted": int(end.counts_as_retry),
        "refusal": clean(msgspec.json.encode(end.refusal).decode()) if end.refusal else "",
    }  # fmt: skip


def _expire(connection: Connection, shifts: Shifts, now: float) -> int:
    """Items whose deadline has come; who has one finds out when it keeps its leases."""
    late = select(job_items.c.job_id, job_items.c.number, job_items.c.state).where(
        job_items.c.deadline_at <= now, text(IS_OPEN)
    )
    found = connection.execute(late.limit(_SWEPT_AT_ONCE).with_for_update(skip_locked=True)).all()
    for row in found:
        _set(connection, row, state=ItemState.EXPIRED.value, ready=0, finished_at=now, error_code="expired")
        shifts.move(row.job_id, row.state, ItemState.EXPIRED.value)
    return len(found)


def _bring_nearer(connection: Connection, now: float) -> None:
    """After a clock was set back: leases that end later than any that a worker asks for, so that they run out some day.

    A worker that lives says anew until when it has them. Batches at providers have longer ones.
    """
    latest = now + LONGEST_LEASE_SECONDS
    ahead = (text(IS_LEASED), job_items.c.lease_until > latest, job_items.c.worker.not_like(f"{BATCH_WORKER}%"))
    connection.execute(update(job_items).where(*ahead).values(lease_until=latest))


def _take_back(connection: Connection, shifts: Shifts, rules: RetryRules, now: float) -> int:
    """Items whose worker let the lease run out."""
    lost = select(job_items).where(text(IS_LEASED), job_items.c.lease_until < now)
    found = connection.execute(lost.limit(_SWEPT_AT_ONCE).with_for_update(skip_locked=True)).all()
    held = [(row.job_id, row.number, row.token) for row in found]
    duplicates.repeat(connection, held)
    duplicates.lose(connection, held)
    for row in found:
        lost_to = sorted({*_NAMES.decode(row.lost_to), row.worker})
        verdict = policy.after_loss(len(lost_to), rules)
        state = policy.TRANSITIONS[ItemState.LEASED, verdict.event]
        over = state not in OPEN
        values = {"ready": 0, "next_at": now, "lost_to": msgspec.json.encode(lost_to).decode()}
        _set(connection, row, state=state.value, finished_at=now if over else None, **values)
        shifts.move(row.job_id, _LEASED, state.value)
        if over:
            _set(connection, row, error_code="poison", error=verdict.reason)
            shifts.failed(row.job_id, "poison", verdict.reason)
    return len(found)


def _set(connection: Connection, row: Any, **values: Any) -> None:
    its = (job_items.c.job_id == row.job_id, job_items.c.number == row.number)
    connection.execute(update(job_items).where(*its).values(**values))
