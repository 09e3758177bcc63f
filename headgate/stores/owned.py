"""Rows that belong to a tenant: who asks for another tenant's finds none."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, select

from headgate.errors import NotFound

ONE = "one"  # in a table's `info`: what one of its rows is called


def owned_row(
    connection: Connection,
    table: Table,
    row_id: str,
    tenant: str | None,
    *only: ColumnElement[bool],
    for_update: bool = False,
) -> Row[Any]:
    """The row of that id, for which `only` holds; a tenant of None: whoever's it is. `table` has the columns `id` and
    `tenant`. Raises NotFound."""
    query = select(table).where(table.c.id == row_id, *only)
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no {table.info[ONE]} '{row_id}'.", param=f"{table.info[ONE]}_id")
    return row
