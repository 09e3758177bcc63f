"""What reconciliation works with, as the configuration in force says: accounts, days, thresholds."""

from __future__ import annotations

from datetime import date

from headgate.billing_ports import Statements
from headgate.errors import InvalidRequest
from headgate.policy.adjusting import provider_account
from headgate.types import Frozen, Price

SECONDS_PER_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


class BillingAccount(Frozen, frozen=True):
    """One provider. Without `statements` only exports of its bill can be compared."""

    provider: str
    prices: dict[str, Price]  # by the provider's name of a model
    fingerprints: frozenset[str]  # of the keys that headgate has
    keys: dict[str, str]  # the provider's id of a key -> its fingerprint
    statements: Statements | None = None

    @property
    def account(self) -> str:
        """Its name in bookings."""
        return provider_account(self.provider)


class Settings(Frozen, frozen=True):
    """The block `reconcile`. Days are numbers of UTC days since 1970."""

    at_hour: int = 4
    wait_days: int = 2
    days: int = 7
    since_day: int | None = None
    retention_days: int = 90
    alert_above_picousd: int | None = None
    alert_above_share: float | None = None


class Plan(Frozen, frozen=True):
    """Everything that a run needs to know of the configuration."""

    settings: Settings
    accounts: tuple[BillingAccount, ...]

    def account(self, provider: str) -> BillingAccount:
        """Raises InvalidRequest."""
        for account in self.accounts:
            if account.provider == provider:
                return account
        known = ", ".join(account.provider for account in self.accounts) or "none"
        raise InvalidRequest(f"There is no provider '{provider}' in the configuration: {known}.", param="provider")

    def asked(self) -> list[BillingAccount]:
        """The accounts whose bill can be asked for."""
        return [account for account in self.accounts if account.statements is not None]


class Order(Frozen, frozen=True):
    """What is to be compared and done. Days are inclusive; None: as the settings say."""

    by: str  # who asks
    provider: str | None = None
    first_day: int | None = None
    last_day: int | None = None
    attribute: bool = False  # share differences among tenants
    dry_run: bool = False  # book and keep nothing


def day_number(text: str, param: str) -> int:
    """The day of 2026-11-01. Raises InvalidRequest."""
    try:
        return date.fromisoformat(text.strip()).toordinal() - _EPOCH
    except ValueError:
        raise InvalidRequest(f"'{text}' is not a day. Write it as 2026-11-01.", param=param) from None


def day_text(day: int) -> str:
    """As in 2026-11-01."""
    return date.fromordinal(day + _EPOCH).isoformat()


def last_closed_day(now: float, settings: Settings) -> int:
    """The newest day of which the bill is expected to be complete."""
    return int(now // SECONDS_PER_DAY) - settings.wait_days - 1


def period(order: Order, settings: Settings, now: float, oldest: int | None) -> range:
    """The days that are compared; `oldest` is the ledger's oldest day. May be empty. Raises InvalidRequest."""
    closed = last_closed_day(now, settings)
    kept = int(now // SECONDS_PER_DAY) - settings.retention_days
    for day, param in ((order.last_day, "until"), (order.first_day, "since")):
        if day is not None and day > closed:
            raise InvalidRequest(
                f"{day_text(day)} is not closed yet: bills come late, so {day_text(closed)} is the last day "
                f"that is compared today (reconcile.wait_days: {settings.wait_days}).",
                param=param,
            )
    last = closed if order.last_day is None else order.last_day
    if order.first_day is not None:
        if order.first_day > last:
            raise InvalidRequest(
                f"{day_text(order.first_day)} is after {day_text(last)}, the last day to be compared.", param="since"
            )
        if order.first_day < kept:
            raise InvalidRequest(
                f"The ledger has single attempts since {day_text(kept)} only (server.ledger.retention_days: "
                f"{settings.retention_days}).",
                param="since",
            )
        return range(order.first_day, last + 1)
    floor = settings.since_day if settings.since_day is not None else oldest
    first = max(last - settings.days + 1, kept, floor if floor is not None else last + 1)
    return range(first, last + 1)
