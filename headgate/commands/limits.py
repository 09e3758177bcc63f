"""`headgate limits`: limits, features and trip wires of everybody, of tiers and of tenants."""

from __future__ import annotations

import click

from headgate.commands.settings import add_commands
from headgate.config.settable import Family


@click.group()
def limits() -> None:
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
    """


add_commands(limits, Family.LIMITS)
