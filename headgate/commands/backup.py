"""`headgate backup`: a copy of the data directory that another start can begin with, taken beside a running server.

The journal is copied before the database: a row that moves from one to the other in between is in both copies, and the
ledger takes it once.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click

from headgate.admin.admin_key import FILE_NAME as ADMIN_KEY_FILE
from headgate.commands.options import database_options
from headgate.config.load import load
from headgate.errors import Conflict, NotFound
from headgate.offline import JOURNAL_DIRECTORY, Where
from headgate.stores.database import SQLITE_FILE


@click.command()
@click.argument("directory", metavar="DIR")
@database_options
def backup(where: Where, directory: str) -> None:
    """Copy the data to a new directory DIR, with a server running or without one.

    To restore, stop the server and put the copy in the place of server.data_dir.
    """
    config = load(where.config_path, os.environ).config
    source = Path(where.data_dir or config.server.data_dir)
    copied = copy_data(source, Path(directory))
    click.echo(f"Copied {', '.join(copied)} from {source} to {directory}.", err=True)
    if config.database != "sqlite":
        click.echo("The ledger and the keys are in PostgreSQL: back it up with pg_dump, after this.", err=True)


def copy_data(source: Path, target: Path) -> list[str]:
    """Copy what a start needs; returns the names. Raises NotFound, Conflict, or OSError."""
    if not source.is_dir():
        raise NotFound(f"There is no data directory '{source}'.")
    if target.exists() and any(target.iterdir()):
        raise Conflict(f"'{target}' is not empty. Give a new directory.")
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)
    copied = []
    if (source / JOURNAL_DIRECTORY).is_dir():
        _copy_journal(source / JOURNAL_DIRECTORY, target / JOURNAL_DIRECTORY)
        copied.append(JOURNAL_DIRECTORY)
    if (source / SQLITE_FILE).exists():
        _copy_database(source / SQLITE_FILE, target / SQLITE_FILE)
        copied.append(SQLITE_FILE)
    if (source / ADMIN_KEY_FILE).exists():
        shutil.copy2(source / ADMIN_KEY_FILE, target / ADMIN_KEY_FILE)
        copied.append(ADMIN_KEY_FILE)
    return copied


def _copy_journal(source: Path, target: Path) -> None:
    target.mkdir()
    for segment in source.iterdir():
        try:
            shutil.copy2(segment, target / segment.name)
        except FileNotFoundError:
            continue  # its rows have moved to the database, which is copied next


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
