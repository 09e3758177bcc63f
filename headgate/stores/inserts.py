"""How many rows get into a table at once, with as little work for Python as each database allows.

Rows that are there already stay as they are. The columns are named, so that a later release may have added some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import msgspec
from sqlalchemy import Connection, Table

from headgate.stores.rows import Values

Insert = Callable[[Connection, Sequence[Values]], None]

# Few sizes, so that the driver keeps its statements prepared. Binding the values of the largest holds the interpreter
# lock for 0.3 ms when caches are warm.
STATEMENT_ROWS = (128, 16, 4, 1)
JSON_ROWS = 500  # encoding so many holds the interpreter lock for a millisecond


def inserter(table: Table, columns: Sequence[str], dialect: str) -> Insert:
    """A function that adds rows, whose values are in the order of `columns`, to the table."""
    return _as_values(table, columns) if dialect == "sqlite" else _as_json(table, columns)


def _as_values(table: Table, columns: Sequence[str]) -> Insert:
    """SQLite: many rows in one statement, which runs without the interpreter lock once its values are bound."""
    row = f"({', '.join('?' * len(columns))})"
    start = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "
    texts = {size: f"{start}{', '.join([row] * size)} ON CONFLICT DO NOTHING" for size in STATEMENT_ROWS}

    def insert(connection: Connection, rows: Sequence[Values]) -> None:
        done = 0
        for size in _pieces(len(rows)):
            connection.exec_driver_sql(texts[size], tuple(chain.from_iterable(rows[done : done + size])))
            done += size

    return insert


def _as_json(table: Table, columns: Sequence[str]) -> Insert:
    text = insert_of_json(table, columns)

    def insert(connection: Connection, rows: Sequence[Values]) -> None:
        for values in as_json(columns, rows):
            connection.exec_driver_sql(text, (values,))

    return insert


def insert_of_json(table: Table, columns: Sequence[str]) -> str:
    """PostgreSQL: many rows as one JSON value. Its driver takes ten times as long to adapt the values one by one."""
    names = ", ".join(columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} "
        f"FROM json_populate_recordset(NULL::{table.name}, %s::json) ON CONFLICT DO NOTHING"
    )


def as_json(columns: Sequence[str], rows: Sequence[Values]) -> Iterator[str]:
    """The rows as such values, not too long ones."""
    for start in range(0, len(rows), JSON_ROWS):
        named = [dict(zip(columns, row, strict=True)) for row in rows[start : start + JSON_ROWS]]
        yield msgspec.json.encode(named).decode()


def _pieces(count: int) -> Iterator[int]:
    """The sizes of statements that add up to `count` rows, large ones first."""
    for size in STATEMENT_ROWS:
        while count >= size:
            yield size
            count -= size
