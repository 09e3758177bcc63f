"""The tables of batches at providers: for building queries, and the statements that create them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, SmallInteger, Table, Text

from headgate.stores.schema import metadata

provider_batches = Table(
    "provider_batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("user_name", Text),
    Column("model", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("deadline_at", Double),
    Column("stage", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("sent_at", Double, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("has_files", SmallInteger, nullable=False, server_default="0"),  # 1: its provider may have some of it
)

provider_batch_items = Table(
    "provider_batch_items",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),  # of the ledger's row, and of the line in the provider's batch
    Column("job_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
)

CREATE = (
    "ALTER TABLE jobs ADD COLUMN execution TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN execution_reason TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE provider_batches (
        id TEXT NOT NULL PRIMARY KEY, job_id TEXT NOT NULL, kind TEXT NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT
        NULL, user_name TEXT, model TEXT NOT NULL, deployment TEXT NOT NULL, key_fingerprint TEXT NOT NULL, deadline_at
        DOUBLE PRECISION, stage TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL, sent_at DOUBLE PRECISION NOT NULL,
        provider_id TEXT NOT NULL, size INTEGER NOT NULL)""",
    "CREATE INDEX provider_batches_open ON provider_batches (created_at) WHERE stage <> 'over'",
    """CREATE TABLE provider_batch_items (
        batch_id TEXT NOT NULL, request_id TEXT NOT NULL, job_id TEXT NOT NULL, number INTEGER NOT NULL, token BIGINT
        NOT NULL, PRIMARY KEY (batch_id, request_id))""",
)

FILES = (
    "ALTER TABLE provider_batches ADD COLUMN has_files SMALLINT NOT NULL DEFAULT 0",
    "UPDATE provider_batches SET has_files = 1 WHERE stage NOT IN ('prepared', 'over')",
)
