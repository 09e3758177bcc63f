"""What transactions on one PostgreSQL database need so that they do not come between each other.

Advisory locks are held until the end of the transaction. SQLite needs none of this: it has one writer at a time, and a
transaction sees one moment.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

MIGRATIONS = 0x68656164_67617465  # "headgate" in ASCII, so that nobody else's lock is hit
LEDGER = MIGRATIONS + 1
ADJUSTMENTS = MIGRATIONS + 2
LEASES = MIGRATIONS + 3
DEAD_LETTERS = MIGRATIONS + 4
FILES = MIGRATIONS + 5
WAIT = "10s"  # a holder that vanished without a word is noticed by the server's keep-alives, not here


def of_tree(root_id: str) -> int:
    """Whoever submits work below a job, and whoever commands all of it, wait for each other."""
    return int.from_bytes(hashlib.sha256(root_id.encode()).digest()[:8], signed=True)


def share(connection: Connection, number: int) -> None:
    """Together with others who share it; waits for who holds it alone."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT}'"))
        connection.execute(select(func.pg_advisory_xact_lock_shared(number)))


def hold(connection: Connection, number: int) -> None:
    """Alone; waits for everybody else, and statements after it see what they committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT}'"))
        connection.execute(select(func.pg_advisory_xact_lock(number)))


def rows(connection: Connection, query: Select[Any]) -> None:
    """All rows that a query finds; after that nobody else changes them. Waits for who does."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.count()).select_from(query.with_for_update().subquery()))


def see_one_moment(connection: Connection) -> None:
    """First in a transaction: all its statements see what was committed before it, and nothing later."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
