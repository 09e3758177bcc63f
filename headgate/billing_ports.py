"""The ports of reconciling: providers' bills, the ledger as a bill sees it, and what is booked for the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.bills import Adjustment, Booked, LedgerAttempt, LedgerLine, Reconciliation, StatementLine


class Statements(Protocol):
    """What a provider says was used and what it costs: its own reports, or an export of them."""

    source: str  # where it comes from, for reports

    async def read(self, first_day: int, last_day: int) -> list[StatementLine]:
        """Every line of these days (UTC, both inclusive), models as the provider names them.

        Raises UpstreamAuth, UpstreamUnreachable, ConnectTimeout, BillUnavailable or BillMalformed.
        """


class BillingRecords(Protocol):
    """The ledger's attempts as a bill sees them: by the day on which they began, and only those that used tokens.

    Raises DatabaseUnavailable.
    """

    async def first_day(self, provider: str) -> int | None:
        """The oldest day of which there are rows; None: there are none."""

    async def lines(self, provider: str, day: int) -> list[LedgerLine]:
        """Sums by model, key and tenant."""

    async def doubles(self, provider: str, day: int) -> list[LedgerAttempt]:
        """Attempts that repeat the provider's request id of an earlier one of that day, model and key."""

    async def around_midnight(self, provider: str, day: int, seconds: float) -> list[LedgerAttempt]:
        """Attempts of a day that began this shortly after its first midnight, or ended this shortly before its last
        one or later."""


class Adjustments(Protocol):
    """What is booked beside the ledger, and the reports of who booked it. Rows are only ever added.

    Raises DatabaseUnavailable.
    """

    async def booked(self, provider: str, first_day: int, last_day: int) -> Booked:
        """What stands booked for these days, both inclusive."""

    async def book(self, rows: Sequence[Adjustment], report: Reconciliation, version: int) -> None:
        """Add rows and their report, all or none. Raises Conflict if somebody has booked for the provider since
        `version`."""

    async def note(self, report: Reconciliation) -> None:
        """Add the report of a run that booked nothing because it failed."""

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Adjustment], str | None]:
        """Rows oldest first, and the cursor of the next page or None. Raises InvalidRequest for a bad cursor."""

    async def reports(self, limit: int, provider: str | None = None) -> list[Reconciliation]:
        """The newest ones, the newest first."""
