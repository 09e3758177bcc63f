"""`headgate limits`: limits, features and trip wires of everybody, of tiers and of tenants."""

from __future__ import annotations

import asyncio
import os

import click

from headgate.admin.published import page
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.options import database_options
from headgate.commands.resetting import reset
from headgate.commands.settings import add_commands
from headgate.config.load import load
from headgate.config.schema import Config
from headgate.config.settable import Family
from headgate.errors import InvalidRequest


@click.group(invoke_without_command=True)
@click.option("--markdown", is_flag=True, help="Print the page about limits that you show your customers.")
@click.option("--for", "tenant", metavar="TENANT", help="The page of one tenant, with limits of its own.")
@click.option("--as-in-file", is_flag=True, help="The page without what was changed at run time: opens no database.")
@database_options
@click.pass_context
def limits(context: click.Context, where: Where, markdown: bool, tenant: str | None, as_in_file: bool) -> None:
    """Limits and features of everybody, tiers and tenants. A running server sees changes within 2 seconds.

    \b
    headgate limits set requests_per_minute 6000               everybody together
    headgate limits set --tier free requests_per_minute 30
    headgate limits set --tier free per_user.tokens_per_minute 20000
    headgate limits set --tier free velocity.usd_per_5_minutes 2
    headgate limits set --tier free enforce false              try it first
    headgate limits set --tenant acme requests_per_minute none
    headgate limits set --tenant acme tier pro
    headgate limits unset --tier free enforce
    headgate limits --markdown > limits.md                     publish them
    """
    if context.invoked_subcommand is not None:
        if markdown:
            raise InvalidRequest("--markdown prints a page and takes no command beside it.")
        return
    if not markdown:
        click.echo(context.get_help())
        return
    config = load(where.config_path, os.environ).config if as_in_file else asyncio.run(_in_force(where))
    click.echo(page(config, tenant), nl=False)


async def _in_force(where: Where) -> Config:
    async with open_books(where, os.environ) as books:
        return books.settings.in_force.config


limits.add_command(reset)
add_commands(limits, Family.LIMITS)
