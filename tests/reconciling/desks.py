"""A desk on stores in memory and a bill that the test writes."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.bills import DriftFound, StatementLine, Tokens
from headgate.errors import HeadgateError
from headgate.policy.amounts import value_picousd
from headgate.ports import Clock
from headgate.reconciling.desk import Reconciler
from headgate.reconciling.plan import SECONDS_PER_DAY, BillingAccount, Plan, Settings
from headgate.stores.memory import MemoryLedger
from headgate.stores.memory_billing import MemoryAdjustments, MemoryBillingRecords
from headgate.types import Price
from tests.contract.stores import TurnedClock
from tests.reconciling.months import Served, record_of

TODAY = 20_010
PRICE = Price(input=150_000, output=600_000)
MODEL = "gpt-4o-mini"
USED = Tokens(input=100, output=10)
VALUE = value_picousd(USED, PRICE)


def morning() -> TurnedClock:
    clock = TurnedClock()
    clock.time = TODAY * SECONDS_PER_DAY + 5 * 3600.0
    return clock


class WrittenBill:
    """The port `Statements` on lines that the test writes."""

    def __init__(self) -> None:
        self.source = "a bill of the test"
        self.lines: list[StatementLine] = []
        self.error: HeadgateError | None = None
        self.asked: list[tuple[int, int]] = []

    async def read(self, first_day: int, last_day: int) -> list[StatementLine]:
        self.asked.append((first_day, last_day))
        if self.error is not None:
            raise self.error
        return [line for line in self.lines if first_day <= line.day <= last_day]


class Desk:
    """Everything around one `Reconciler`, on the morning of `TODAY`."""

    def __init__(
        self,
        settings: Settings | None = None,
        providers: Sequence[str] = ("openai",),
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or morning()
        self.ledger = MemoryLedger()
        self.adjustments = MemoryAdjustments()
        self.settings = settings or Settings()
        self.bills = {provider: WrittenBill() for provider in providers}
        self.drift: list[DriftFound] = []
        records = MemoryBillingRecords(self.ledger)
        self.reconciler = Reconciler(records, self.adjustments, self.clock, self.plan, self.drift.append)

    @property
    def bill(self) -> WrittenBill:
        """Of the only provider."""
        (bill,) = self.bills.values()
        return bill

    def plan(self) -> Plan:
        accounts = [
            BillingAccount(name, {MODEL: PRICE}, frozenset({"f1"}), {"key_1": "f1"}, bill)
            for name, bill in self.bills.items()
        ]
        accounts.append(BillingAccount("silent", {}, frozenset(), {}))
        return Plan(self.settings, tuple(accounts))

    async def serve(self, day: int, count: int = 1, *, provider: str = "openai", tenant: str = "acme") -> None:
        """Requests of a day, in the ledger."""
        first = len(self.ledger)
        one = {"seconds": 1.0, "model": MODEL, "key": 0, "tenant": tenant, "tokens": USED}
        faults = {"lost": False, "doubled": False, "counted_at_end": False}
        rows = [
            record_of(Served(number, day * SECONDS_PER_DAY + 40_000.0, **one, **faults), provider, 0)
            for number in range(first, first + count)
        ]
        await self.ledger.write(rows)


def billed(day: int, count: int = 1, model: str = MODEL, cost: int | None = None) -> StatementLine:
    """So many of the requests that `serve` makes."""
    tokens = Tokens(input=count * USED.input, output=count * USED.output)
    return StatementLine(day, model, "", count, tokens, count * VALUE if cost is None else cost)
