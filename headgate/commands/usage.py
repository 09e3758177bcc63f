"""`headgate usage`."""

from __future__ import annotations

import asyncio
import os

import click
import msgspec

from headgate.admin.moments import moment
from headgate.admin.usage import GROUPS, Totals, Usage, summed
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.options import database_options, json_option
from headgate.commands.tables import show


@click.command()
@click.option("--by", type=click.Choice(GROUPS), default="tenant", show_default=True, help="What the totals are of.")
@click.option("--since", metavar="TIME", help="A day (2026-11-01, UTC), or how long ago (7d); default: the beginning.")
@click.option("--until", metavar="TIME", help="The same; default: now.")
@click.option("--tenant", help="Of this tenant only.")
@json_option
@database_options
def usage(where: Where, by: str, since: str | None, until: str | None, tenant: str | None, as_json: bool) -> None:
    """Print what was used and what it cost."""
    answer = asyncio.run(_usage(where, by, since, until, tenant))
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    numbers = ("requests", "failed", "refused", "input", "cached", "written", "output", "reasoning", "USD", "saved USD")
    show((by, *numbers), map(_row, answer.data), numbers=numbers, total=_row(answer.total))
    saved = msgspec.structs.asdict(answer.total.saved_usd)
    if saved.pop("total") != "0":
        click.echo(
            f"Saved USD by answers without a provider: {', '.join(f'{how} {usd}' for how, usd in saved.items())}"
        )


async def _usage(where: Where, by: str, since: str | None, until: str | None, tenant: str | None) -> Usage:
    async with open_books(where, os.environ, must_exist=True) as books:
        now = books.clock.now()
        first, last = moment(since, now, "since"), moment(until, now, "until")
        rows = await books.ledger.usage(by, since=first, until=last, tenant=tenant)
        return summed(by, first, last, rows)


def _row(totals: Totals) -> tuple[str, ...]:
    counts = (
        totals.requests, totals.failed, totals.refused, totals.input_tokens, totals.cached_input_tokens,
        totals.cache_write_tokens + totals.cache_write_1h_tokens, totals.output_tokens, totals.reasoning_tokens,
    )  # fmt: skip
    return (totals.group or "(none)", *(f"{count:,}" for count in counts), totals.cost_usd, totals.saved_usd.total)
