"""What is booked for the differences that were found: double entry, and only what is not booked yet.

Every booking has rows that add up to zero: what the provider's account has to pay less (the difference with its sign
turned), and what `unattributed`, or tenants, have to pay more. The ledger itself is never touched. Running again, or on
a statement that has changed since, books the difference to what stands there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from headgate.bills import UNATTRIBUTED, Adjustment, Booked, Cause, Finding, LedgerLine, Slot
from headgate.policy.amounts import apportion
from headgate.types import Frozen

Shares = Callable[[Slot], Mapping[str, int]]  # what each tenant paid where a slot's difference is to be shared
_CORRECTED = "The difference is gone, or has another cause now."


class Run(Frozen, frozen=True):
    """Which run books, and when (Unix seconds)."""

    id: str
    provider: str
    booked_at: float


def tenant_account(tenant: str) -> str:
    """The name of a tenant's account."""
    return f"tenant:{tenant}"


def provider_account(provider: str) -> str:
    """The name of a provider's account."""
    return f"provider:{provider}"


def wanted(findings: Iterable[Finding]) -> dict[Slot, tuple[int, str]]:
    """What is to stand in every slot, and why. A cause that a place has twice counts once, with both amounts."""
    slots: dict[Slot, tuple[int, str]] = {}
    for finding in findings:
        for part in finding.explanations:
            slot = Slot(finding.day, finding.model, finding.key, part.cause)
            before, words = slots.get(slot, (0, ""))
            slots[slot] = (before + part.cost_picousd, f"{words} {part.words}".strip())
    return slots


def shares_of(ledger: Sequence[LedgerLine]) -> Shares:
    """Pro rata to what tenants paid at the same place (day, model, key); else on that day. Empty: nobody paid."""
    places: dict[tuple[int, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    models: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    days: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in ledger:
        cost = max(0, line.amount.cost_picousd)
        for sums in (places[line.day, line.model, line.key], models[line.day, line.model], days[line.day]):
            sums[line.tenant] += cost

    def shares(slot: Slot) -> Mapping[str, int]:
        options = (
            places.get((slot.day, slot.model, slot.key), {}),
            models.get((slot.day, slot.model), {}) if not slot.key else {},
            days.get(slot.day, {}),
        )
        return next((dict(option) for option in options if sum(option.values())), {})

    return shares


def bookings(
    targets: Mapping[Slot, tuple[int, str]], booked: Booked, run: Run, shares: Shares | None = None
) -> list[Adjustment]:
    """The rows that bring what is booked to what is wanted.

    `shares` shares differences among tenants; without it what is new goes to `unattributed`, and what tenants were
    given earlier stays theirs. Ids follow from the run's, so that the same run gives the same rows.
    """
    standing: dict[Slot, dict[str, int]] = defaultdict(dict)
    ours = provider_account(run.provider)
    for (slot, account), amount in booked.amounts.items():
        if account != ours and amount:
            standing[slot][account] = amount
    rows: list[Adjustment] = []
    for slot in sorted({*targets, *standing}, key=lambda slot: (slot.day, slot.model, slot.key, slot.cause)):
        amount, words = targets.get(slot, (0, _CORRECTED))
        changes = _changes(amount, standing[slot], shares(slot) if shares is not None else None)
        if changes:
            booking = f"{run.id}.{len(rows)}"
            changes[ours] = -sum(changes.values())
            rows += [
                Adjustment(
                    f"{booking}.{number}", booking, run.id, run.booked_at, run.provider, slot, account, change, words
                )
                for number, (account, change) in enumerate(sorted(changes.items()))
                if change
            ]
    return rows


def _changes(amount: int, standing: Mapping[str, int], shares: Mapping[str, int] | None) -> dict[str, int]:
    """By account, without what stays."""
    if shares is None:
        change = amount - sum(standing.values())
        return {UNATTRIBUTED: change} if change else {}
    parts = {tenant_account(tenant): part for tenant, part in apportion(amount, shares).items()}
    target = parts or {UNATTRIBUTED: amount}
    accounts = {*target, *standing}
    changes = {account: target.get(account, 0) - standing.get(account, 0) for account in accounts}
    return {account: change for account, change in changes.items() if change}


def newly_found_picousd(rows: Sequence[Adjustment], provider: str) -> int:
    """How much money a run moved, whichever way: by model and key over all days, without what only changed days."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    ours = provider_account(provider)
    for row in rows:
        if row.account == ours and row.slot.cause is not Cause.LATE:
            sums[row.slot.model, row.slot.key] -= row.amount_picousd
    return sum(map(abs, sums.values()))
