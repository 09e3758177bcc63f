"""Reconciliation by itself, every night, by whichever process comes first.

A process that finds the night's run due takes a lease, looks again whether it is still due, and runs it. One that fails
is tried again an hour later.
"""

from __future__ import annotations

import asyncio
import logging

from headgate.bills import Reconciliation
from headgate.errors import HeadgateError
from headgate.policy.pricing import format_usd
from headgate.ports import Clock, Leases
from headgate.reconciling.desk import Reconciler
from headgate.reconciling.plan import SECONDS_PER_DAY, BillingAccount, Order

log = logging.getLogger(__name__)

BY = "nightly"
LEASE = "reconcile"
LEASE_SECONDS = 1800.0
LOOK_SECONDS = 300.0  # how often the clock is looked at
RETRY_SECONDS = 3600.0
REPORTS_LOOKED_AT = 50  # of a provider, for the night's own among those made by hand


class Nightly:
    """The background task of one process."""

    def __init__(self, reconciler: Reconciler, leases: Leases, clock: Clock) -> None:
        self._reconciler = reconciler
        self._leases = leases
        self._clock = clock
        self._owner = clock.new_id("owner")

    async def run_forever(self) -> None:
        """Look every few minutes, at times of its own so that processes do not meet."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.5 + self._clock.random.random()))
            try:
                await self.look()
            except HeadgateError as error:
                log.warning("the bills were not compared: %s", error)
            except Exception:  # whatever it was, there is another night
                log.exception("the bills were not compared")

    async def look(self) -> list[Reconciliation]:
        """Run what is due, unless another process is at it. Raises DatabaseUnavailable."""
        if not self._is_night() or not self._reconciler.plan().asked():
            return []
        if await self._leases.take(LEASE, self._owner, LEASE_SECONDS) is None:
            return []
        try:
            reports = []
            for account in self._reconciler.plan().asked():
                if await self._is_due(account):
                    reports += await self._reconciler.run(Order(by=BY, provider=account.provider))
        finally:
            await self._leases.release(LEASE, self._owner)
        for report in reports:
            log.info(
                "the bill of %s was compared: %s USD billed, %s in the ledger, %s booked",
                report.provider,
                format_usd(report.billed_picousd),
                format_usd(report.ledger_picousd),
                format_usd(report.booked_picousd),
                extra={"reconciliation": report.id, "error": report.error},
            )
        return reports

    def _scheduled(self) -> float:
        """When tonight's run is due, in Unix seconds."""
        today = self._clock.now() // SECONDS_PER_DAY * SECONDS_PER_DAY
        return today + self._reconciler.plan().settings.at_hour * 3600

    def _is_night(self) -> bool:
        return self._clock.now() >= self._scheduled()

    async def _is_due(self, account: BillingAccount) -> bool:
        scheduled, now = self._scheduled(), self._clock.now()
        reports = await self._reconciler.adjustments.reports(REPORTS_LOOKED_AT, account.provider)
        tonight = [report for report in reports if report.by == BY and report.run_at >= scheduled]
        return not any(not report.error or report.run_at > now - RETRY_SECONDS for report in tonight)
