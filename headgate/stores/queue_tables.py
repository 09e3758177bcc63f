"""The tables of queues: messages in SQL, dead letters, and where jobs came from that were taken from a queue."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, Table, Text

from headgate.stores.schema import metadata

queue_messages = Table(
    "queue_messages",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),  # JSON
    Column("dedupe_id", Text, nullable=False),
    Column("sent_at", Double, nullable=False),
    Column("visible_at", Double, nullable=False),  # of one that is leased: when the lease runs out
    Column("token", BigInteger, nullable=False),  # grows with every delivery; 0: nobody has had it
    Column("leased", Integer, nullable=False),
    Column("deliveries", Integer, nullable=False),
)

queue_sent = Table(
    "queue_sent",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("dedupe_id", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("source", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)

IS_PLACED = "dead_letters.position <> ''"  # as the index below has it


def create(sequence: str, binary: str) -> tuple[str, ...]:
    """The statements that make them; dialects differ in numbers that grow by themselves and in bytes."""
    return (
        f"""CREATE TABLE queue_messages (
            sequence {sequence}, queue TEXT NOT NULL, body {binary} NOT NULL, headers TEXT NOT NULL, dedupe_id TEXT NOT
            NULL, sent_at DOUBLE PRECISION NOT NULL, visible_at DOUBLE PRECISION NOT NULL, token BIGINT NOT NULL, leased
            INTEGER NOT NULL, deliveries INTEGER NOT NULL)""",
        "CREATE INDEX queue_messages_next ON queue_messages (queue, visible_at, sequence)",
        """CREATE TABLE queue_sent (
            queue TEXT NOT NULL, dedupe_id TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, PRIMARY KEY (queue, dedupe_id))
            """,
        "CREATE INDEX queue_sent_at ON queue_sent (at)",
        f"""CREATE TABLE dead_letters (
            id {sequence}, source TEXT NOT NULL, position TEXT NOT NULL, body {binary} NOT NULL, reason TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL)""",
        "CREATE UNIQUE INDEX dead_letters_position ON dead_letters (source, position) WHERE position <> ''",
        "ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
        "CREATE UNIQUE INDEX jobs_origin ON jobs (origin) WHERE origin <> ''",
    )
