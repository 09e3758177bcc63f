"""Generated months, from the ledger in a database to the bill over HTTP: exactly the difference is found and booked,
every cause that can be known is told, and running again changes nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from headgate.assembly.bookkeeping import Bookkeeping, open_bookkeeping
from headgate.billing_ports import Adjustments
from headgate.bills import Adjustment, Cause, Reconciliation
from headgate.config.load import parse
from headgate.reconciling.plan import Order
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.types import RequestRecord
from tests.contract.stores import TurnedClock
from tests.reconciling.months import API_KEYS, KEY_IDS, MODELS, PRICES, Month, Place, month
from tests.reconciling.provider import ADMIN_KEY, DAY, Call, Provider, billing_api
from tests.scale import FULL
from tests.servers import PostgresqlServer

MONTHS = 50
SOME = 3
TOLD_TOGETHER = {Cause.ROUNDING: Cause.MISPRICED}


def config_of(made: Month, url: str) -> bytes:
    models = "".join(
        f"  {name}: {{price: {price(name)}, deployments: [{{provider: {made.kind}, model: {name}}}]}}\n"
        for name in MODELS[made.kind]
    )
    ids = f", key_ids: [{', '.join(KEY_IDS)}]" if made.by_key else ""
    return (
        "server: {ledger: {retention_days: 4000}}\nproviders:\n"
        f"  {made.kind}: {{kind: {made.kind}, base_url: 'https://api.example/v1', api_keys: [{', '.join(API_KEYS)}],\n"
        f"    billing: {{admin_key: {ADMIN_KEY}, base_url: '{url}'{ids}}}}}\nmodels:\n{models}"
    ).encode()


def price(model: str) -> str:
    named = {"input": PRICES[model].input, "output": PRICES[model].output, "cached_input": PRICES[model].cached_input}
    named |= {"cache_write": PRICES[model].cache_write, "cache_write_1h": PRICES[model].cache_write_1h}
    return f"{{{', '.join(f'{name}: {cost / 10**6:.6f}' for name, cost in named.items() if cost is not None)}}}"


class Office:
    """The ledger and the books of one month."""

    def __init__(self, made: Month, folder: Path, provider: Provider, url: str) -> None:
        self.month = made
        self.database = Database(url, folder)
        self.ledger = SqlLedger(self.database)
        self.clock = TurnedClock()
        self.clock.time = (made.days.stop + 5) * float(DAY)
        loaded = parse(config_of(made, provider.url), "headgate.yaml", {})
        self.books: Bookkeeping = open_bookkeeping(self.database, self.clock, lambda: loaded.config, {})
        self.adjustments: Adjustments = self.books.reconciler.adjustments

    async def run(self, *, attribute: bool = False) -> Reconciliation:
        self.clock.time += 60
        days = {"first_day": self.month.days[0], "last_day": self.month.days[-1]}
        (report,) = await self.books.reconciler.run(Order(by="test", attribute=attribute, **days))
        assert not report.error and not report.notes
        return report

    async def rows(self) -> list[Adjustment]:
        rows, after = await self.adjustments.page(1000)
        while after is not None:
            more, after = await self.adjustments.page(1000, after)
            rows += more
        return rows

    async def requests(self) -> list[RequestRecord]:
        rows, after = await self.ledger.page(1000)
        while after is not None:
            more, after = await self.ledger.page(1000, after)
            rows += more
        return rows


def by_place(made: Month, calls: list[Call]) -> tuple[dict[Place, int], dict[Place, int]]:
    """What the ledger has and what is billed, added up here from the rows themselves."""
    ledger: dict[Place, int] = defaultdict(int)
    billed: dict[Place, int] = defaultdict(int)
    for one in made.served:
        copies = 0 if one.lost else 2 if one.doubled else 1
        ledger[made.place(one, one.day)] += copies * one.value
        billed[made.place(one, one.billed_day)] += made.billed(one)
    assert sum(call.cost_picousd for call in calls) == sum(billed.values())
    return tuple({place: cost for place, cost in side.items() if place[0] in made.days} for side in (ledger, billed))


def booked(rows: list[Adjustment]) -> dict[Place, int]:
    """What stands on every account but the provider's, by place."""
    sums: dict[Place, int] = defaultdict(int)
    for row in rows:
        if not row.account.startswith("provider:"):
            sums[row.slot.day, row.slot.model, row.slot.key] += row.amount_picousd
    return sums


def check_books(rows: list[Adjustment], ledger: dict[Place, int], billed: dict[Place, int]) -> None:
    """Ledger and adjustments together are the bill, to the pico-dollar, and every booking adds up to zero."""
    stands = booked(rows)
    for place in {*ledger, *billed, *stands}:
        assert ledger.get(place, 0) + stands.get(place, 0) == billed.get(place, 0), place
    bookings: dict[str, int] = defaultdict(int)
    for row in rows:
        assert row.words and row.amount_picousd
        bookings[row.booking] += row.amount_picousd
    assert not any(bookings.values())


def check_causes(report: Reconciliation, made: Month) -> None:
    found: dict[tuple[Place, Cause], int] = defaultdict(int)
    for finding in report.findings:
        assert sum(part.cost_picousd for part in finding.explanations) == finding.difference_picousd
        for part in finding.explanations:
            cause = TOLD_TOGETHER.get(part.cause, part.cause)
            found[(finding.day, finding.model, finding.key), cause] += part.cost_picousd
    expected = made.expected()
    unknowable = {place for place, cause in expected if cause is Cause.UNEXPLAINED}
    for place in {place for place, _ in {*found, *expected}} - unknowable:
        for cause in Cause:
            assert found.get((place, cause), 0) == expected.get((place, cause), 0), (place, cause)
    for place in unknowable:
        assert found.get((place, Cause.DOUBLED), 0) == expected.get((place, Cause.DOUBLED), 0)


async def scenario(made: Month, folder: Path, provider: Provider, url: str = "sqlite") -> set[Cause]:
    office = Office(made, folder, provider, url)
    try:
        await office.ledger.write(made.records())
        before = await office.requests()
        provider.calls = made.calls()
        ledger, billed = by_place(made, provider.calls)
        report = await office.run()
        rows = await office.rows()
        assert (report.ledger_picousd, report.billed_picousd) == (sum(ledger.values()), sum(billed.values()))
        assert report.booked_picousd == report.billed_picousd - report.ledger_picousd
        check_books(rows, ledger, billed)
        check_causes(report, made)

        again = await office.run()
        assert await office.rows() == rows and again.booked_picousd == again.drift_picousd == 0

        changed = made.served[len(made.served) // 2]
        place = made.place(changed, changed.billed_day)
        said = provider.calls[changed.number]
        provider.calls.append(said)  # the provider finds one more of these, at that day's price
        billed[place] = billed.get(place, 0) + said.cost_picousd
        corrected = await office.run()
        assert corrected.booked_picousd == said.cost_picousd
        check_books(await office.rows(), ledger, billed)

        shared = await office.run(attribute=True)
        assert shared.booked_picousd == 0
        await check_shares(office, ledger, billed)
        assert await office.requests() == before, "the ledger is never edited"
        return {part.cause for finding in report.findings for part in finding.explanations}
    finally:
        await office.database.aclose()


async def check_shares(office: Office, ledger: dict[Place, int], billed: dict[Place, int]) -> None:
    """Tenants have it all, exactly, and a night that shares nothing takes nothing back."""
    rows = await office.rows()
    check_books(rows, ledger, billed)
    left: dict[Place, int] = defaultdict(int)
    for row in rows:
        if row.account == "unattributed":
            left[row.slot.day, row.slot.model, row.slot.key] += row.amount_picousd
    paid = {day for (day, _, _), cost in ledger.items() if cost}
    assert not any(amount for (day, _, _), amount in left.items() if day in paid)
    await office.run()
    assert await office.rows() == rows


def seeds() -> list[object]:
    return [pytest.param(seed, marks=pytest.mark.full) if seed >= SOME else seed for seed in range(MONTHS)]


@pytest.mark.parametrize("seed", seeds() if FULL else range(SOME))
def test_a_month_is_reconciled_exactly(seed: int, tmp_path: Path) -> None:
    with billing_api() as provider:
        causes = asyncio.run(scenario(month(seed), tmp_path, provider))
    assert causes & {Cause.MISSING, Cause.DOUBLED, Cause.MISPRICED, Cause.LATE}


@pytest.mark.server
def test_a_month_is_reconciled_exactly_on_postgresql(postgresql_server: PostgresqlServer, tmp_path: Path) -> None:
    with billing_api() as provider:
        assert asyncio.run(scenario(month(1), tmp_path, provider, postgresql_server.new_database()))


def test_the_months_have_every_fault() -> None:
    """Else the tests above would show less than they say."""
    found: dict[str, int] = defaultdict(int)
    for seed in range(MONTHS):
        made = month(seed)
        for one in made.served:
            found["lost"] += one.lost
            found["doubled"] += one.doubled and not one.lost
            found["late"] += one.is_late
        found["mispriced days"] += len(made.factors)
        found["with keys"] += made.by_key
        found[made.kind] += 1
        told = {cause for _, cause in made.expected()}
        found["not knowable"] += Cause.UNEXPLAINED in told
        found["knowable"] += Cause.LATE in told
    assert min(found[name] for name in ("lost", "doubled", "late", "mispriced days")) > 100
    assert min(found[name] for name in ("with keys", "openai", "anthropic", "knowable")) >= 10
