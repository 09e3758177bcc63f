"""A copy of `data_dir` that is whole, taken while gateways run on it. What restores it is copying it back.

Notes of what is under way become rows of the journal, rows move from the journal into the database, and nothing goes
the other way; so they are copied in this order. What moved in between is in both copies, which the ledger counts once.
Knows files, no rows.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from headgate.errors import Conflict, DatabaseUnavailable, NotFound
from headgate.stores import underway
from headgate.stores.database import SQLITE_FILE
from headgate.stores.journal import SUFFIX

JOURNAL_DIRECTORY = "journal"


def backup(data_dir: Path, target: Path) -> None:
    """Copy everything that outlives a process: journal, SQLite database and the small files beside them.

    With PostgreSQL the rest is `pg_dump`'s, run after this. `target` appears only when it is complete, and on the
    disk. Raises NotFound (no such `data_dir`), Conflict (`target` exists) or DatabaseUnavailable; OSError when the
    disk is full.
    """
    if not data_dir.is_dir():
        raise NotFound(f"There is no data directory {str(data_dir)!r}.")
    if target.exists():
        raise Conflict(f"{str(target)!r} exists already; a backup goes to a new folder.")
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / JOURNAL_DIRECTORY).mkdir(mode=0o700, parents=True)
    for suffix in (underway.SUFFIX, SUFFIX):
        for path in sorted((data_dir / JOURNAL_DIRECTORY).glob(f"*{suffix}")):
            _copy(path, unfinished / JOURNAL_DIRECTORY / path.name)
    for file in sorted(data_dir.iterdir()):
        if file.is_file() and not file.name.startswith(SQLITE_FILE):
            _copy(file, unfinished / file.name)
    if (data_dir / SQLITE_FILE).exists():
        _copy_database(data_dir / SQLITE_FILE, unfinished / SQLITE_FILE)
    for path in (*unfinished.rglob("*"), unfinished):
        _sync(path)
    unfinished.rename(target)
    _sync(target.parent)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)  # a segment whose rows have all moved into the database meanwhile


def _copy_database(source: Path, target: Path) -> None:
    """As of one moment, while others go on writing."""
    target.touch(mode=0o600)
    try:
        reader, writer = sqlite3.connect(source), sqlite3.connect(target)
        try:
            reader.backup(writer)
        finally:
            reader.close()
            writer.close()
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"The database could not be copied: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
