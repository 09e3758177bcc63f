"""The table in which gates tell each other what they see: for building queries, and the statement that creates it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Integer, Table, Text

from headgate.stores.schema import metadata

gate_board = Table(
    "gate_board",
    metadata,
    Column("process", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("in_flight", Integer, nullable=False),
    Column("background", Integer, nullable=False),
    Column("streams", BigInteger, nullable=False),
    Column("ttft_seconds", Double),
    Column("usual_ttft_seconds", Double),
    Column("quiet_streams", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
)

CREATE = (
    """CREATE TABLE gate_board (
        process TEXT NOT NULL, model TEXT NOT NULL, in_flight INTEGER NOT NULL, background INTEGER NOT NULL, streams
        BIGINT NOT NULL, ttft_seconds DOUBLE PRECISION, usual_ttft_seconds DOUBLE PRECISION, quiet_streams BIGINT NOT
        NULL, at DOUBLE PRECISION NOT NULL, PRIMARY KEY (process, model))""",
)
