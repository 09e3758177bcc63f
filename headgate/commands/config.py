"""`headgate check` and `headgate config`."""

from __future__ import annotations

import asyncio
import os
import sys

import click
import msgspec

from headgate.admin.difference import Change, difference
from headgate.admin.moments import written
from headgate.commands.options import database_options, json_option
from headgate.config.json_schema import json_schema
from headgate.config.load import load
from headgate.config.problems import report
from headgate.errors import ConfigInvalid
from headgate.offline import Where, open_books

_WORDS = {"created": "was created on", "revoked": "was revoked on", "expires": "ends on"}


@click.command()
@click.argument("file")
def check(file: str) -> None:
    """Check a configuration file: exit code 0 if it can be used, 1 if it has errors."""
    try:
        problems, code = load(file, os.environ).notes, 0
    except ConfigInvalid as error:
        problems, code = error.problems, 1
    click.echo(report(problems))
    sys.exit(code)


@click.group()
def config() -> None:
    """The configuration: its schema, and what was changed at run time."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(msgspec.json.format(msgspec.json.encode(json_schema())))


@config.command()
@json_option
@database_options
def diff(where: Where, as_json: bool) -> None:
    """Show what run-time commands changed against the file."""
    changes = asyncio.run(_changes(where))
    if as_json:
        click.echo(msgspec.json.encode(changes))
        return
    for change in changes:
        name = f" '{change.name}'" if change.name else ""
        click.echo(
            f"key {change.key_id}{name} of {change.tenant} ({change.tier}) {_WORDS[change.change]} {written(change.at)}"
        )
    if not changes:
        click.echo("Nothing was changed at run time.")


async def _changes(where: Where) -> list[Change]:
    async with open_books(where, os.environ) as books:
        return difference(books.accounts.keys())
