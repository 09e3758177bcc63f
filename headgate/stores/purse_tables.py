"""The tables of what single jobs may cost: a purse for each job that has a limit, and what is held of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from headgate.stores.schema import metadata

job_purses = Table(
    "job_purses",
    metadata,
    Column("root_id", Text, primary_key=True),
    Column("limit_picousd", BigInteger, nullable=False),
    Column("taken_picousd", BigInteger, nullable=False),  # spent, and held
)

job_holds = Table(
    "job_holds",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("root_id", Text, nullable=False),
    Column("picousd", BigInteger, nullable=False),
)

CREATE = (
    """CREATE TABLE job_purses (
        root_id TEXT NOT NULL PRIMARY KEY, limit_picousd BIGINT NOT NULL, taken_picousd BIGINT NOT NULL)""",
    "CREATE TABLE job_holds (request_id TEXT NOT NULL PRIMARY KEY, root_id TEXT NOT NULL, picousd BIGINT NOT NULL)",
    "CREATE INDEX job_holds_root ON job_holds (root_id)",
)
