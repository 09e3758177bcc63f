"""`headgate reconcile`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from headgate.admin.reconcile import Report, ReportList, RunReconcile, order_of, shown
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.auditing import audited
from headgate.commands.options import database_options, json_option
from headgate.commands.tables import show

BY = "command line"
_COLUMNS = ("day", "model", "key", "cause", "in the ledger", "billed", "difference", "why")


@click.command()
@click.option("--provider", metavar="NAME", help="Of this provider only; default: all with a block billing.")
@click.option("--file", metavar="PATH", help="An export of the provider's bill, CSV or JSON, instead of its own API.")
@click.option("--since", metavar="DAY", help="The first day, such as 2026-11-01 (UTC); default: reconcile.days ago.")
@click.option("--until", metavar="DAY", help="The last day; default: the last closed one.")
@click.option("--attribute", is_flag=True, help="Share the differences among tenants, pro rata to what they paid.")
@click.option("--dry-run", is_flag=True, help="Say what differs and book nothing.")
@json_option
@database_options
def reconcile(where: Where, file: str | None, as_json: bool, **options: object) -> None:
    """Compare what providers bill with the ledger, by day, model and key, and book the difference.

    The ledger is never changed: differences become adjustments, and running again books only what is new. Exit code 1
    if a bill could not be read.
    """
    command = msgspec.convert(options, RunReconcile)
    if file is not None and command.provider is None:
        raise click.UsageError("--file needs --provider: whose bill it is.")
    listed = asyncio.run(_run(where, command, file))
    if as_json:
        click.echo(msgspec.json.encode(listed))
    else:
        for report in listed.data:
            _print(report)
    failed = [f"{report.provider}: {report.error}" for report in listed.data if report.error]
    if failed:
        sys.exit("\n".join(failed))


async def _run(where: Where, command: RunReconcile, file: str | None) -> ReportList:
    async with open_books(where, os.environ) as books:
        order = order_of(command, BY)
        if file is None:
            reports = await books.reconciler.run(order)
        else:
            content = await asyncio.to_thread(Path(file).read_bytes)
            reports = [await books.reconciler.run_export(order, content, Path(file).name)]
        if not command.dry_run:
            with audited(books) as auditor:
                await auditor.note(command)
        return ReportList([shown(report) for report in reports])


def _print(report: Report) -> None:
    click.echo(f"{report.provider}, {report.since} to {report.until}, from {report.source}")
    if report.error:
        return
    for note in report.notes:
        click.echo(note)
    if not report.findings:
        click.echo("Nothing differs.")
    else:
        total = ("total", "", "", "", report.ledger_usd, report.billed_usd, report.difference_usd, "")
        numbers = ("in the ledger", "billed", "difference")
        show(_COLUMNS, _rows(report), numbers=numbers, total=total)
    verb = "would be booked" if report.dry_run else "booked"
    click.echo(f"{report.booked_usd} USD {verb}, {report.drift_usd} of differences not known before.")


def _rows(report: Report) -> list[Sequence[str]]:
    """One row for each cause; what it is a part of stands at the first."""
    rows: list[Sequence[str]] = []
    for finding in report.findings:
        about = (finding.day, finding.model, finding.key)
        sides = (finding.ledger.cost_usd, finding.billed.cost_usd)
        for number, part in enumerate(finding.causes):
            left, right = (about, sides) if number == 0 else (("", "", ""), ("", ""))
            rows.append((*left, part.cause, *right, part.cost_usd, part.words))
    return rows
