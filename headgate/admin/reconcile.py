"""Reconciliation as operators see it: run it, read its reports and what it booked.

Money is decimal text in USD; differences are what the bill has more than the ledger. Days are texts, UTC.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from headgate.admin.audit import auditor
from headgate.admin.endpoint import Input, Name, Visit
from headgate.bills import Adjustment, Amount, Explanation, Finding, Reconciliation, Tokens
from headgate.policy.pricing import format_usd
from headgate.reconciling.plan import Order, day_number, day_text
from headgate.types import Frozen

BY = "admin API"

Day = Annotated[str, msgspec.Meta(max_length=20, description="A day in UTC, inclusive: `2026-11-01`.")]


class RunReconcile(Input, frozen=True):
    """Compare what providers bill with the ledger and book the difference, for closed days."""

    provider: Name | None = None  # default: all that can be asked
    since: Day | None = None
    until: Day | None = None
    attribute: bool = False  # share the differences among tenants
    dry_run: bool = False  # say what would be booked


class ReportsQuery(Input, frozen=True):
    """Which reports; the newest come first."""

    provider: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class AdjustmentsQuery(Input, frozen=True):
    """A page of adjustments: so many rows, after the cursor that the page before gave as `next`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[0-9A-Za-z]+$")] | None = None


class AmountShown(Frozen, frozen=True):
    """One side of a difference. `requests` is null where bills do not count them."""

    requests: int | None
    tokens: Tokens
    cost_usd: str


class CauseShown(Frozen, frozen=True):
    """One cause of a difference, with its part of it."""

    cause: str
    cost_usd: str
    requests: int | None
    tokens: Tokens | None
    words: str


class FindingShown(Frozen, frozen=True):
    """A day of a model (and key, where bills tell keys) where bill and ledger differ; the causes add up to it."""

    day: str
    model: str
    key: str
    ledger: AmountShown
    billed: AmountShown
    difference_usd: str
    causes: list[CauseShown]


class Report(Frozen, frozen=True):
    """What one run found and booked for one provider. `run_at` is Unix seconds; `drift_usd` is what was new in it."""

    id: str
    run_at: float
    by: str
    provider: str
    source: str
    since: str
    until: str
    attributed: bool
    dry_run: bool
    ledger_usd: str
    billed_usd: str
    difference_usd: str
    booked_usd: str
    drift_usd: str
    findings: list[FindingShown]
    notes: list[str]
    error: str


class ReportList(Frozen, frozen=True):
    """Reports of runs, one for each provider."""

    data: list[Report]


class AdjustmentShown(Frozen, frozen=True):
    """One row: what an account has to pay more. The rows of one booking add up to zero."""

    id: str
    booking: str
    run: str
    booked_at: float
    provider: str
    day: str
    model: str
    key: str
    cause: str
    account: str
    amount_usd: str
    words: str


class AdjustmentPage(Frozen, frozen=True):
    """Rows in the order in which they were booked; `next` asks for those after them and is null at the end."""

    data: list[AdjustmentShown]
    next: str | None


def order_of(command: RunReconcile, by: str) -> Order:
    """Raises InvalidRequest for what is no day."""
    return Order(
        by=by,
        provider=command.provider,
        first_day=day_number(command.since, "since") if command.since is not None else None,
        last_day=day_number(command.until, "until") if command.until is not None else None,
        attribute=command.attribute,
        dry_run=command.dry_run,
    )


async def run_reconcile(visit: Visit, command: RunReconcile) -> ReportList:
    """Compare providers' bills with the ledger now and book the difference. Running it again books nothing twice."""
    reports = await visit.services.reconciler.run(order_of(command, BY))
    if not command.dry_run:
        await auditor(visit).note(command)
    return ReportList([shown(report) for report in reports])


async def list_reports(visit: Visit, query: ReportsQuery) -> ReportList:
    """What the last runs found, those of every night and those on demand."""
    reports = await visit.services.reconciler.adjustments.reports(query.limit, query.provider)
    return ReportList([shown(report) for report in reports])


async def list_adjustments(visit: Visit, query: AdjustmentsQuery) -> AdjustmentPage:
    """What is booked beside the ledger, oldest first: double entry, and every row says why."""
    rows, following = await visit.services.reconciler.adjustments.page(query.limit, query.after)
    return AdjustmentPage([_row(row) for row in rows], following)


def shown(report: Reconciliation) -> Report:
    """A report as it is shown."""
    return Report(
        id=report.id,
        run_at=report.run_at,
        by=report.by,
        provider=report.provider,
        source=report.source,
        since=day_text(report.first_day),
        until=day_text(report.last_day),
        attributed=report.attributed,
        dry_run=report.dry_run,
        ledger_usd=format_usd(report.ledger_picousd),
        billed_usd=format_usd(report.billed_picousd),
        difference_usd=format_usd(report.billed_picousd - report.ledger_picousd),
        booked_usd=format_usd(report.booked_picousd),
        drift_usd=format_usd(report.drift_picousd),
        findings=[_finding(finding) for finding in report.findings],
        notes=list(report.notes),
        error=report.error,
    )


def _finding(finding: Finding) -> FindingShown:
    return FindingShown(
        day=day_text(finding.day),
        model=finding.model,
        key=finding.key,
        ledger=_amount(finding.ledger),
        billed=_amount(finding.billed),
        difference_usd=format_usd(finding.difference_picousd),
        causes=[_cause(part) for part in finding.explanations],
    )


def _amount(amount: Amount) -> AmountShown:
    return AmountShown(amount.requests, amount.tokens, format_usd(amount.cost_picousd))


def _cause(part: Explanation) -> CauseShown:
    return CauseShown(part.cause.value, format_usd(part.cost_picousd), part.requests, part.tokens, part.words)


def _row(row: Adjustment) -> AdjustmentShown:
    return AdjustmentShown(
        id=row.id,
        booking=row.booking,
        run=row.run,
        booked_at=row.booked_at,
        provider=row.provider,
        day=day_text(row.slot.day),
        model=row.slot.model,
        key=row.slot.key,
        cause=row.slot.cause.value,
        account=row.account,
        amount_usd=format_usd(row.amount_picousd),
        words=row.words,
    )
