"""`headgate audit`."""

from __future__ import annotations

import asyncio
import os

import click
import msgspec

from headgate.admin.audit import Audited, Trail, shown
from headgate.admin.moments import written
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.options import database_options, json_option
from headgate.commands.tables import show


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@click.option("--after", metavar="CURSOR", help="Older ones than this: the `next` of --json.")
@json_option
@database_options
def audit(where: Where, limit: int, after: str | None, as_json: bool) -> None:
    """Print who changed what at run time, the newest first."""
    trail = asyncio.run(_trail(where, limit, after))
    if as_json:
        click.echo(msgspec.json.encode(trail))
        return
    show(("at", "by", "command", "of", "before", "after"), map(_row, trail.data))


async def _trail(where: Where, limit: int, after: str | None) -> Trail:
    async with open_books(where, os.environ, must_exist=True) as books:
        entries, following = await books.settings.store.trail(limit, after)
        return Trail([shown(entry) for entry in entries], following)


def _row(entry: Audited) -> tuple[str, ...]:
    return (written(entry.at), entry.by, entry.command, entry.subject, _text(entry.before), _text(entry.after))


def _text(value: msgspec.Raw | None) -> str:
    """Of a key its state, which is what commands change."""
    if value is None:
        return ""
    plain = msgspec.json.decode(value)
    return str(plain["state"]) if isinstance(plain, dict) and "state" in plain else bytes(value).decode()
