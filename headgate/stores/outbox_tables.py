"""The tables of deliveries, and how rows get into the outbox: in the transaction that changes a job.

A delivery that a process has is one whose `next_at` is ahead; if the process dies it is due again.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Double, Integer, LargeBinary, SmallInteger, Table, Text, text

from headgate.delivery_types import Told
from headgate.stores.schema import metadata

SETTLE_SECONDS = 1.0  # by then the ledger has the rows of what just ended, so that a delivery knows the cost
IS_DEAD = "outbox.state = 'dead'"  # as the index has it
AT_THE_END, EVERY_CHANGE = 1, 2  # when a job's row says that somebody is told

job_targets = Table(
    "job_targets",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("told_when", SmallInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("job_version", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("told", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("answer", Text, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)


def create(binary: str) -> tuple[str, ...]:
    """The statements that make them; dialects differ in what bytes are called."""
    return (
        "ALTER TABLE jobs ADD COLUMN told_when SMALLINT NOT NULL DEFAULT 0",
        """CREATE TABLE job_targets (
            job_id TEXT NOT NULL, number INTEGER NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL, address TEXT NOT
            NULL, lane TEXT NOT NULL, told_when SMALLINT NOT NULL, PRIMARY KEY (job_id, number))""",
        """CREATE TABLE outbox (
            id TEXT NOT NULL PRIMARY KEY, job_id TEXT NOT NULL, job_version BIGINT NOT NULL, tenant TEXT NOT NULL, kind
            TEXT NOT NULL, address TEXT NOT NULL, lane TEXT NOT NULL, told TEXT NOT NULL, state TEXT NOT NULL, attempts
            INTEGER NOT NULL, token BIGINT NOT NULL, created_at DOUBLE PRECISION NOT NULL, next_at DOUBLE PRECISION NOT
            NULL, ended_at DOUBLE PRECISION, answer TEXT NOT NULL)""",
        "CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending'",
        "CREATE INDEX outbox_job ON outbox (job_id)",
        "CREATE INDEX outbox_ended ON outbox (ended_at) WHERE state <> 'pending'",
        f"CREATE TABLE signing_keys (name TEXT NOT NULL PRIMARY KEY, key {binary} NOT NULL)",
    )


def tell(connection: Connection, job_id: str, version: int, told: Told, when: int) -> None:
    """One delivery for each who wants to hear of it. The version makes its id: telling twice changes nothing."""
    values = {
        "job_id": job_id, "version": version, "told": msgspec.json.encode(told).decode(), "at": told.at,
        "next_at": told.at + SETTLE_SECONDS, "told_when": when,
    }  # fmt: skip
    connection.execute(text(_TELL), values)


_TELL = (
    "INSERT INTO outbox (id, job_id, job_version, tenant, kind, address, lane, told, state, attempts, token, "
    "created_at, next_at, ended_at, answer) "
    "SELECT job_id || '.' || CAST(:version AS BIGINT) || '.' || number, job_id, :version, tenant, kind, address, lane, "
    ":told, 'pending', 0, 0, :at, :next_at, NULL, '' FROM job_targets "
    "WHERE job_id = :job_id AND told_when >= :told_when ON CONFLICT DO NOTHING"
)
