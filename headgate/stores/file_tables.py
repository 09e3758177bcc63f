"""The tables of files and batches."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, Table, Text

from headgate.stores.owned import ONE
from headgate.stores.schema import metadata

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("user_name", Text),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    info={ONE: "file"},
)

file_pieces = Table(
    "file_pieces",
    metadata,
    Column("file_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Double, nullable=False),  # when it was written
    Column("data", LargeBinary, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),  # of its job too
    Column("tenant", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("facts", Text, nullable=False),  # JSON: all of it
    info={ONE: "batch"},
)


def create(binary: str) -> tuple[str, ...]:
    """The statements that make them; dialects differ in what bytes are called."""
    return (
        """CREATE TABLE files (
            id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, user_name TEXT, purpose TEXT NOT NULL, filename TEXT NOT
            NULL, bytes BIGINT NOT NULL, created_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION)""",
        "CREATE INDEX files_tenant ON files (tenant, id)",
        "CREATE INDEX files_expires ON files (expires_at) WHERE expires_at IS NOT NULL",
        f"""CREATE TABLE file_pieces (
            file_id TEXT NOT NULL, number INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, data {binary} NOT NULL,
            PRIMARY KEY (file_id, number))""",
        "CREATE INDEX file_pieces_at ON file_pieces (at, file_id, number)",
        """CREATE TABLE batches (
            id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, dialect TEXT NOT NULL, facts TEXT NOT NULL)""",
        "CREATE INDEX batches_tenant ON batches (tenant, dialect, id)",
    )
