"""One reconciliation from end to end: read the bill, read the ledger, compare, book, report.

What differs and why is decided in `policy/`; here the two sides are fetched and what was decided is booked. Running
twice, or beside another process, books nothing twice: bookings are the difference to what stands booked, and a process
that was overtaken looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from headgate.billing_ports import Adjustments, BillingRecords
from headgate.bills import Adjustment, DriftFound, LedgerAttempt, LedgerLine, Reconciliation, StatementLine
from headgate.errors import BillMalformed, Conflict, HeadgateError, InvalidRequest
from headgate.policy.adjusting import Run, bookings, newly_found_picousd, shares_of, wanted
from headgate.policy.pricing import format_usd
from headgate.policy.reconciling import MIDNIGHT_SECONDS, Evidence, Terms, differing, explain
from headgate.policy.statements import Place, cells
from headgate.ports import Clock
from headgate.reconciling.naming import renamed
from headgate.reconciling.plan import BillingAccount, Order, Plan, day_text, last_closed_day, period
from headgate.types import Frozen
from headgate.wire.bills.exports import read_export

log = logging.getLogger(__name__)

TRIES = 5  # when somebody else books at the same time
MOST_PICOUSD = 2**63 - 1  # what a row holds
CAUSES_TOLD = 3


class Side(Frozen, frozen=True):
    """The ledger's side of some days, in the statement's names."""

    lines: tuple[LedgerLine, ...]
    renames: dict[str, str]

    def attempts(self, found: Sequence[LedgerAttempt]) -> list[LedgerAttempt]:
        """Single attempts, in the same names."""
        return [msgspec.structs.replace(one, model=self.renames.get(one.model, one.model)) for one in found]


class Reconciler:
    """Compares and books. `alert` is told when a run finds more than the configured threshold."""

    def __init__(
        self,
        records: BillingRecords,
        adjustments: Adjustments,
        clock: Clock,
        plan: Callable[[], Plan],
        alert: Callable[[DriftFound], None],
    ) -> None:
        self._records = records
        self._clock = clock
        self._alert = alert
        self.plan = plan
        self.adjustments = adjustments

    async def run(self, order: Order) -> list[Reconciliation]:
        """Compare the bills that can be asked for, or the one of the order's provider.

        A bill that cannot be had is a report with its error, and the others go on. Raises InvalidRequest or
        DatabaseUnavailable.
        """
        plan = self.plan()
        accounts = plan.asked()
        if order.provider is not None:
            accounts = [plan.account(order.provider)]
        if any(account.statements is None for account in accounts) or not accounts:
            whose = f"providers.{order.provider}" if order.provider else "No provider"
            raise InvalidRequest(
                f"{whose} has {'no' if order.provider else 'a'} block billing in the configuration, so there is no "
                "bill to ask for. Add billing: {admin_key: ..}, or give an export with headgate reconcile --file.",
                param="provider",
            )
        reports = []
        for account in accounts:
            days = period(order, plan.settings, self._clock.now(), await self._records.first_day(account.provider))
            reports.append(await self._asked(account, days, order, plan))
        return reports

    async def run_export(self, order: Order, content: bytes, source: str) -> Reconciliation:
        """Compare an export of the bill of the order's provider, by default all closed days that it has.

        Raises BillMalformed, InvalidRequest or DatabaseUnavailable.
        """
        plan = self.plan()
        account = plan.account(order.provider or "")
        lines = read_export(content, source)
        if not lines:
            raise BillMalformed(f"{source} has no row that says anything.")
        now = self._clock.now()
        closed = last_closed_day(now, plan.settings)
        first, last = min(line.day for line in lines), min(max(line.day for line in lines), closed)
        if first > closed:
            raise InvalidRequest(
                f"{source} begins on {day_text(first)}, and no day after {day_text(closed)} is closed."
            )
        told = msgspec.structs.replace(
            order,
            first_day=order.first_day if order.first_day is not None else first,
            last_day=order.last_day if order.last_day is not None else last,
        )
        days = period(told, plan.settings, now, None)
        return await self._compared(account, _started(account, source, days, told, self._clock), lines, told, plan)

    async def _asked(self, account: BillingAccount, days: range, order: Order, plan: Plan) -> Reconciliation:
        assert account.statements is not None
        report = _started(account, account.statements.source, days, order, self._clock)
        if not days:
            note = "There is no closed day with requests of this provider yet."
            return msgspec.structs.replace(report, notes=(note,))
        try:
            lines = await account.statements.read(days[0], days[-1])
            return await self._compared(account, report, lines, order, plan)
        except HeadgateError as error:
            log.warning("the bill of %s was not compared: %s", account.provider, error)
            failed = msgspec.structs.replace(report, error=str(error))
            if not order.dry_run:
                await self.adjustments.note(failed)
            return failed

    async def _compared(
        self,
        account: BillingAccount,
        report: Reconciliation,
        statement: Sequence[StatementLine],
        order: Order,
        plan: Plan,
    ) -> Reconciliation:
        days = range(report.first_day, report.last_day + 1)
        told = _with_our_keys([line for line in statement if line.day in days], account)
        side = await self._ledger(account, days, told)
        told = [msgspec.structs.replace(line, model=side.renames.get(line.model, line.model)) for line in told]
        places = cells(side.lines, told, account.prices)
        models = {*account.prices, *(line.model for line in side.lines)}
        keys = account.fingerprints | {line.key for line in side.lines}
        terms = Terms(days, account.prices, frozenset(models), keys)
        evidence = await self._evidence(account.provider, differing(places), days, side)
        findings = explain(places, evidence, terms)
        report = msgspec.structs.replace(
            report,
            ledger_picousd=sum(cell.ledger.cost_picousd for cell in places.values()),
            billed_picousd=sum(cell.billed.cost_picousd for cell in places.values()),
            findings=tuple(findings),
            notes=_notes(told, statement, account),
        )
        booked = await self._book(report, side, order)
        self._tell(booked, plan)
        return booked

    async def _ledger(self, account: BillingAccount, days: range, told: Sequence[StatementLine]) -> Side:
        lines: list[LedgerLine] = []
        for day in days:
            lines += await self._records.lines(account.provider, day)
        renames = renamed(
            {line.model for line in lines}, {line.model for line in told if line.model}, account.prices.keys()
        )
        ours = [msgspec.structs.replace(line, model=renames.get(line.model, line.model)) for line in lines]
        return Side(tuple(ours), renames)

    async def _evidence(self, provider: str, places: Sequence[Place], days: range, side: Side) -> Evidence:
        """Single attempts of the days that differ, and of those beside them."""
        differ = {day for day, _, _ in places}
        beside = {day + step for day in differ for step in (-1, 0, 1)}
        doubles: list[LedgerAttempt] = []
        around: list[LedgerAttempt] = []
        for day in sorted(differ):
            doubles += await self._records.doubles(provider, day)
        for day in sorted(beside & {*range(days.start - 1, days.stop + 1)}):
            around += await self._records.around_midnight(provider, day, MIDNIGHT_SECONDS)
        copies = {copy.id for copy in doubles}
        once = [one for one in around if one.id not in copies]
        return Evidence(tuple(side.attempts(doubles)), tuple(side.attempts(once)))

    async def _book(self, report: Reconciliation, side: Side, order: Order) -> Reconciliation:
        run = Run(report.id, report.provider, report.run_at)
        shares = shares_of(side.lines) if order.attribute else None
        for _ in range(TRIES):
            booked = await self.adjustments.booked(report.provider, report.first_day, report.last_day)
            rows = bookings(wanted(report.findings), booked, run, shares)
            _check_amounts(rows)
            done = msgspec.structs.replace(
                report,
                booked_picousd=-sum(row.amount_picousd for row in rows if row.account.startswith("provider:")),
                drift_picousd=newly_found_picousd(rows, report.provider),
            )
            if order.dry_run:
                return done
            try:
                await self.adjustments.book(rows, done, booked.version)
            except Conflict:
                continue
            return done
        raise Conflict(f"Others kept booking for {report.provider}. Run it again.")

    def _tell(self, report: Reconciliation, plan: Plan) -> None:
        settings, drift = plan.settings, report.drift_picousd
        above = settings.alert_above_picousd is not None and drift > settings.alert_above_picousd
        share = settings.alert_above_share
        base = max(abs(report.billed_picousd), abs(report.ledger_picousd))
        if not report.dry_run and (above or (share is not None and drift > share * base)):
            self._alert(_drift(report))


def _started(account: BillingAccount, source: str, days: range, order: Order, clock: Clock) -> Reconciliation:
    return Reconciliation(
        id=clock.new_id("rec"),
        run_at=clock.now(),
        by=order.by,
        provider=account.provider,
        source=source,
        first_day=days.start,
        last_day=days.stop - 1,
        attributed=order.attribute,
        dry_run=order.dry_run,
    )


def _with_our_keys(lines: Sequence[StatementLine], account: BillingAccount) -> list[StatementLine]:
    """With the fingerprints of keys in place of the provider's ids of them.

    Without keys, if the bill has none that we know: then nobody has said which id is which key.
    """
    keys = {line.key: account.keys.get(line.key, line.key) for line in lines}
    if not account.fingerprints & {*keys.values()}:
        keys = dict.fromkeys(keys, "")
    return [line if keys[line.key] == line.key else msgspec.structs.replace(line, key=keys[line.key]) for line in lines]


def _notes(
    told: Sequence[StatementLine], statement: Sequence[StatementLine], account: BillingAccount
) -> tuple[str, ...]:
    notes = []
    if len(told) < len(statement):
        notes.append(f"{len(statement) - len(told)} lines of the statement are of other days and were left out.")
    if any(line.key for line in statement) and not any(line.key for line in told):
        notes.append("Keys were not compared: the statement has none of those in billing.key_ids.")
    if told and not any(line.cost_picousd is not None for line in told):
        notes.append("The statement has no amounts: its tokens were valued at the configured prices.")
    if told and not any(line.tokens is not None for line in told):
        notes.append("The statement has no tokens: only amounts were compared.")
    unpriced = sorted({line.model for line in told if line.model and line.model not in account.prices})
    if unpriced:
        notes.append(f"There is no price for {', '.join(unpriced)}: differences of tokens are valued as billed.")
    return tuple(notes)


def _check_amounts(rows: Sequence[Adjustment]) -> None:
    for row in rows:
        if abs(row.amount_picousd) > MOST_PICOUSD:
            raise BillMalformed(
                f"A difference of {format_usd(row.amount_picousd)} USD on {day_text(row.slot.day)} for "
                f"{row.slot.model} is more than a row can hold. Something is wrong with the statement or the ledger."
            )


def _drift(report: Reconciliation) -> DriftFound:
    causes: dict[str, int] = {}
    for finding in report.findings:
        for part in finding.explanations:
            causes[part.cause] = causes.get(part.cause, 0) + part.cost_picousd
    largest = sorted(causes.items(), key=lambda item: -abs(item[1]))[:CAUSES_TOLD]
    told = ", ".join(f"{cause} {format_usd(cost)}" for cause, cost in largest)
    days = f"{day_text(report.first_day)} to {day_text(report.last_day)}"
    words = (
        f"The bill of {report.provider} for {days} differs from the ledger by {format_usd(report.drift_picousd)} USD "
        f"that were not known before ({told})."
    )
    return DriftFound(
        provider=report.provider,
        run=report.id,
        first_day=report.first_day,
        last_day=report.last_day,
        drift_picousd=report.drift_picousd,
        ledger_picousd=report.ledger_picousd,
        billed_picousd=report.billed_picousd,
        words=words,
    )
