"""`headgate budgets`: budgets of tiers and tenants, and what happens when they are spent."""

from __future__ import annotations

import click

from headgate.commands.settings import add_commands
from headgate.config.settable import Family


@click.group()
def budgets() -> None:
    """Budgets of tiers and tenants, in USD. A running server sees changes within 2 seconds.

    \b
    headgate budgets set --tenant acme tenant_month 3000
    headgate budgets set --tier free user_day 0.50
    headgate budgets set --tier free on_exceed "{degrade: small}"
    headgate budgets set --tier free more "[{per: model, window: day, tokens: 1_000_000}]"
    headgate budgets unset --tenant acme tenant_month
    """


add_commands(budgets, Family.BUDGETS)
