"""`headgate alerts`."""

from __future__ import annotations

import asyncio
import os
import sys

import click
import msgspec

from headgate.alerts.trial import Tried, try_all
from headgate.assembly.offline import open_channels
from headgate.commands.options import config_option, json_option
from headgate.errors import NotFound


@click.group()
def alerts() -> None:
    """Whom headgate tells when something happens."""


@alerts.command()
@json_option
@config_option
def test(config_path: str | None, as_json: bool) -> None:
    """Send a test alert to every channel and print what each answered: exit code 1 if one did not take it."""
    results = asyncio.run(_tried(config_path))
    if as_json:
        click.echo(msgspec.json.encode(results))
    else:
        for result in results:
            click.echo(f"{result.channel}: {'' if result.delivered else 'NOT DELIVERED: '}{result.answer}")
    sys.exit(0 if all(result.delivered for result in results) else 1)


async def _tried(config_path: str | None) -> list[Tried]:
    async with open_channels(config_path, os.environ) as telling:
        if not telling.channels:
            raise NotFound("The configuration has no alerts: add an entry below `alerts:`, as docs/alerts.md shows.")
        return await try_all(telling.channels, telling.clock)
