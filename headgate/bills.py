"""The vocabulary of bills: what a provider says was used, what the ledger says, and what is booked to make up for it.

Money is in pico-dollars, a day is the number of UTC days since 1970. A key is the fingerprint of a provider key, or the
provider's own id of one that headgate does not have; "" where it is not told.
"""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen

UNATTRIBUTED = "unattributed"  # the account of what the bill has and no tenant pays


class Tokens(Frozen, frozen=True, gc=False, omit_defaults=True):
    """Tokens by the classes that bills have. Every other input class is part of `input`."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0


class Amount(Frozen, frozen=True, gc=False):
    """What something adds up to. `requests` is None where a bill does not count them."""

    requests: int | None = 0
    tokens: Tokens = Tokens()
    cost_picousd: int = 0


class StatementLine(Frozen, frozen=True, gc=False):
    """What a provider says of one model on one day. What it does not tell is None.

    `other` names a charge that is not for tokens, such as a web search; such a line has no model.
    """

    day: int
    model: str
    key: str = ""
    requests: int | None = None
    tokens: Tokens | None = None
    cost_picousd: int | None = None
    other: str = ""


class LedgerLine(Frozen, frozen=True, gc=False):
    """Attempts of one tenant on one day with one model and key, added up. `estimated`: so many were not reported."""

    day: int
    model: str
    key: str
    tenant: str
    amount: Amount
    estimated: int = 0


class LedgerAttempt(Frozen, frozen=True, gc=False):
    """One attempt of the ledger, for what sums do not show. Times are Unix seconds."""

    id: str
    day: int
    model: str
    key: str
    started_at: float
    ended_at: float
    amount: Amount


class Cause(StrEnum):
    """Why a bill and the ledger differ."""

    MISSING = "missing"  # the provider has requests that the ledger does not have
    DOUBLED = "doubled"  # the ledger has a request of the provider's twice
    LATE = "late"  # around midnight: the provider counts it on the other day
    MISPRICED = "mispriced"  # the same tokens, another price
    UNKNOWN_MODEL = "unknown_model"  # a model that was never asked for through headgate
    UNKNOWN_KEY = "unknown_key"  # a key that headgate does not have
    NOT_TOKENS = "not_tokens"  # a charge that is not for tokens
    SURPLUS = "surplus"  # the ledger has requests that the provider does not bill
    TOKENS_DIFFER = "tokens_differ"  # the same requests, other numbers of tokens
    ROUNDING = "rounding"  # less than a bill can show
    UNEXPLAINED = "unexplained"  # the bill does not tell enough


class Explanation(Frozen, frozen=True):
    """One cause of a difference with its part of the money. The parts of a difference add up to it exactly."""

    cause: Cause
    cost_picousd: int  # billed - in the ledger
    words: str
    requests: int | None = None
    tokens: Tokens | None = None


class Finding(Frozen, frozen=True):
    """One day of one model and key where bill and ledger are not the same."""

    day: int
    model: str
    key: str
    ledger: Amount
    billed: Amount
    explanations: tuple[Explanation, ...]

    @property
    def difference_picousd(self) -> int:
        """What the bill has more than the ledger."""
        return self.billed.cost_picousd - self.ledger.cost_picousd


class Slot(Frozen, frozen=True, gc=False):
    """What a booking is about: at most one amount stands there for each account."""

    day: int
    model: str
    key: str
    cause: Cause


class Adjustment(Frozen, frozen=True):
    """One row: an amount on one account. The rows of one `booking` add up to zero; no row is ever changed.

    `account` is `provider:NAME`, `unattributed` or `tenant:NAME`. Above zero: the account has to pay more.
    """

    id: str
    booking: str
    run: str
    booked_at: float
    provider: str
    slot: Slot
    account: str
    amount_picousd: int
    words: str


class Reconciliation(Frozen, frozen=True):
    """What one run for one provider found and booked. An `error` says why there was nothing to find."""

    id: str
    run_at: float
    provider: str
    source: str  # where the statement came from
    first_day: int
    last_day: int
    by: str = ""  # nightly, the command line or the admin API
    attributed: bool = False
    dry_run: bool = False
    ledger_picousd: int = 0
    billed_picousd: int = 0
    booked_picousd: int = 0  # by this run, over all slots
    drift_picousd: int = 0  # what is new in this run, whichever way, without what only moved to another day
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""


class DriftFound(Frozen, frozen=True):
    """A run found more than the configured threshold: for whoever tells people."""

    provider: str
    run: str
    first_day: int
    last_day: int
    drift_picousd: int
    ledger_picousd: int
    billed_picousd: int
    words: str  # a sentence that says how much, and the largest causes


class Booked(Frozen, frozen=True):
    """What stands booked for a provider and days: sums by slot and account. `version` changes with every booking."""

    amounts: dict[tuple[Slot, str], int]
    version: int
