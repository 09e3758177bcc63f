"""Calls that were paid for twice because a worker was lost: which they are, and what the ledger says of them.

Of an item's calls that were lost with their workers, none is charged once it is done, and one as long as it is not. The
others become duplicates: `job_attempts.fate` says so in the transaction that decides it, and the row of the ledger
follows as soon as it is there, which may be much later: the dead process's journal may be on a machine that is away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, text, update

from headgate.stores import job_costs, locks
from headgate.stores.jobs_tables import BOOKED, DUPLICATE, IS_DUPLICATE, KEPT, LOST, job_attempts
from headgate.stores.rows import request_record
from headgate.stores.schema import other_attempts, requests
from headgate.types import Outcome, RequestRecord

LOOKED_FOR_SECONDS = 7 * 86_400.0  # a row that has not come by then never will: no provider had been asked
_AT_ONCE = 500
_PAID = (Outcome.DONE.value, Outcome.PROVISIONAL.value, Outcome.DISCONNECTED.value)
_ITS = "job_id = :job_id AND number = :number"
_LOSE = f"UPDATE job_attempts SET fate = '{LOST}' WHERE {_ITS} AND token = :token AND fate = ''"
_REPEAT = f"UPDATE job_attempts SET fate = '{DUPLICATE}' WHERE {_ITS} AND token < :token AND fate = '{LOST}'"

Held = tuple[str, int, int]  # job, number and token


def lose(connection: Connection, held: Sequence[Held]) -> None:
    """Nothing came of these leases, and their items are done again."""
    if held:
        connection.execute(text(_LOSE), _named(held))


def repeat(connection: Connection, held: Sequence[Held]) -> None:
    """There is something to charge for since these leases: what was lost before them is a duplicate."""
    if again := [each for each in held if each[2] > 1]:
        connection.execute(text(_REPEAT), _named(again))


def keep(connection: Connection, request_ids: Sequence[str]) -> None:
    """What came of these calls is kept with a step: they are not made again."""
    if request_ids:
        kept = update(job_attempts).where(job_attempts.c.request_id.in_(request_ids)).values(fate=KEPT)
        connection.execute(kept)


def are_open(connection: Connection, now: float) -> bool:
    """Whether the ledger may not say of all duplicates that they are."""
    return connection.execute(_open(now).limit(1)).first() is not None


def book(connection: Connection, now: float) -> list[RequestRecord]:
    """Say so in those rows of the ledger that are there; returns them as they were, without their attempts."""
    locks.share(connection, locks.LEDGER)  # none of them is folded into a total meanwhile
    wanted = select(requests).where(requests.c.id.in_(_open(now))).limit(_AT_ONCE)
    found = connection.execute(wanted).all()
    if not found:
        return []
    paid = [row for row in found if row.outcome in _PAID]
    ids, all_ids = [row.id for row in paid], [row.id for row in found]
    connection.execute(update(requests).where(requests.c.id.in_(ids)).values(outcome=Outcome.DUPLICATE.value))
    others = (other_attempts.c.request_id.in_(ids), other_attempts.c.outcome.in_(_PAID))
    connection.execute(update(other_attempts).where(*others).values(outcome=Outcome.DUPLICATE.value))
    connection.execute(update(job_attempts).where(job_attempts.c.request_id.in_(all_ids)).values(fate=BOOKED))
    job_costs.move_to_duplicates(connection, ids)
    return [request_record(row._asdict(), ()) for row in paid]


def _open(now: float) -> Any:
    return select(job_attempts.c.request_id).where(
        text(IS_DUPLICATE), job_attempts.c.started_at > now - LOOKED_FOR_SECONDS
    )


def _named(held: Sequence[Held]) -> list[dict[str, str | int]]:
    return [{"job_id": job_id, "number": number, "token": token} for job_id, number, token in held]
