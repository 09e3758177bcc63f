"""`headgate backup`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from headgate.assembly.where import Where
from headgate.commands.options import database_options
from headgate.config.load import load
from headgate.stores import backup as stores


@click.command()
@click.argument("directory", metavar="DIR")
@database_options
def backup(where: Where, directory: str) -> None:
    """Copy the data to a new directory DIR, with a server running or without one.

    To restore, stop the server and put the copy in the place of server.data_dir.
    """
    config = load(where.config_path, os.environ).config
    source = Path(where.data_dir or config.server.data_dir)
    stores.backup(source, Path(directory))
    click.echo(f"Copied {source} to {directory}.", err=True)
    if config.database != "sqlite":
        click.echo("The ledger and the keys are in PostgreSQL: run pg_dump now, after this copy.", err=True)
