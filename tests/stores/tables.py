"""SQLite databases that begin with the tables of this release: copies of one, as migrating takes 15 ms each time."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from sqlalchemy import create_engine

from headgate.stores.database import SQLITE_FILE
from headgate.stores.migrations import migrate


def with_tables(folder: Path) -> Path:
    """The folder, with a database in it if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / SQLITE_FILE).exists():
        (folder / SQLITE_FILE).write_bytes(_migrated())
    return folder


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SQLITE_FILE
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection)
        engine.dispose()
        return path.read_bytes()
