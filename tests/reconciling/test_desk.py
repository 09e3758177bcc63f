"""Which days are compared, what becomes of bills that cannot be had, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from headgate.bills import Adjustment, Booked, Cause, Reconciliation
from headgate.errors import BillMalformed, BillUnavailable, Conflict, InvalidRequest
from headgate.reconciling.naming import renamed
from headgate.reconciling.plan import Order, Settings, day_number
from headgate.stores.memory_billing import MemoryAdjustments
from tests.reconciling.desks import MODEL, TODAY, VALUE, Desk, billed

ORDER = Order(by="test")
CLOSED = TODAY - 3  # two whole days have passed since its end


def test_only_closed_days_are_compared() -> None:
    async def scenario() -> None:
        desk = Desk()
        for day in range(TODAY - 20, TODAY):
            await desk.serve(day)
        desk.bill.lines = [billed(day) for day in range(TODAY - 20, TODAY)]
        (report,) = await desk.reconciler.run(ORDER)
        assert (report.first_day, report.last_day) == (CLOSED - 6, CLOSED)
        assert desk.bill.asked == [(CLOSED - 6, CLOSED)]
        assert report.findings == () and report.ledger_picousd == report.billed_picousd == 7 * VALUE

    asyncio.run(scenario())


def test_what_was_served_before_the_ledger_began_is_not_missing() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.serve(CLOSED - 1)
        desk.bill.lines = [billed(day) for day in range(CLOSED - 9, CLOSED)]
        (report,) = await desk.reconciler.run(ORDER)
        assert (report.first_day, report.findings) == (CLOSED - 1, ())
        since = Desk(Settings(since_day=CLOSED - 2))
        await since.serve(CLOSED - 1)
        since.bill.lines = desk.bill.lines
        (report,) = await since.reconciler.run(ORDER)
        assert [finding.day for finding in report.findings] == [CLOSED - 2]

    asyncio.run(scenario())


def test_with_nothing_to_compare_the_bill_is_not_asked_for() -> None:
    async def scenario() -> None:
        desk = Desk()
        (report,) = await desk.reconciler.run(ORDER)
        assert "no closed day" in report.notes[0] and desk.bill.asked == []
        await desk.serve(TODAY - 1)
        (report,) = await desk.reconciler.run(ORDER)
        assert "no closed day" in report.notes[0] and desk.bill.asked == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "order, said",
    [
        (Order("test", last_day=CLOSED + 1), "is not closed yet: bills come late, so 2024-10-11 is the last day"),
        (Order("test", first_day=CLOSED + 1), "is not closed yet: bills come late, so 2024-10-11 is the last day"),
        (Order("test", first_day=CLOSED, last_day=CLOSED - 1), "2024-10-11 is after 2024-10-10, the last day to be"),
        (Order("test", first_day=TODAY - 91), "single attempts since 2024-07-16 only"),
        (Order("test", provider="nobody"), "There is no provider 'nobody' in the configuration: openai, silent"),
        (Order("test", provider="silent"), "providers.silent has no block billing"),
    ],
)
def test_orders_that_cannot_be_carried_out(order: Order, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        asyncio.run(Desk().reconciler.run(order))


def test_without_any_bill_to_ask_for_that_is_said() -> None:
    with pytest.raises(InvalidRequest, match="No provider has a block billing"):
        asyncio.run(Desk(providers=()).reconciler.run(ORDER))


def test_a_bill_that_cannot_be_had_does_not_stop_the_others() -> None:
    async def scenario() -> None:
        desk = Desk(providers=("openai", "azure-like"))
        for provider in desk.bills:
            await desk.serve(CLOSED, provider=provider)
        desk.bills["openai"].error = BillUnavailable("organization/costs answered 503.")
        desk.bills["azure-like"].lines = [billed(CLOSED)]
        failed, done = await desk.reconciler.run(ORDER)
        assert failed.error == "organization/costs answered 503." and failed.findings == ()
        assert done.error == "" and done.billed_picousd == VALUE
        assert [report.id for report in await desk.adjustments.reports(5)] == [done.id, failed.id]
        assert await desk.adjustments.page(10) == ([], None)

    asyncio.run(scenario())


def test_a_dry_run_says_all_and_keeps_nothing() -> None:
    async def scenario() -> None:
        desk = Desk(Settings(alert_above_picousd=0))
        await desk.serve(CLOSED)
        desk.bill.lines = [billed(CLOSED, 3)]
        (report,) = await desk.reconciler.run(msgspec.structs.replace(ORDER, dry_run=True))
        assert report.booked_picousd == 2 * VALUE and report.findings[0].explanations[0].cause is Cause.MISSING
        assert (await desk.adjustments.reports(5), await desk.adjustments.page(5)) == ([], ([], None))
        assert desk.drift == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "settings, alerts",
    [
        (Settings(alert_above_picousd=2 * VALUE - 1), 1),
        (Settings(alert_above_picousd=2 * VALUE), 0),
        (Settings(alert_above_share=0.6), 1),
        (Settings(alert_above_share=0.7), 0),
        (Settings(), 0),
    ],
)
def test_drift_above_a_threshold_is_told_once(settings: Settings, alerts: int) -> None:
    async def scenario() -> None:
        desk = Desk(settings)
        await desk.serve(CLOSED)
        desk.bill.lines = [billed(CLOSED, 3)]
        (report,) = await desk.reconciler.run(ORDER)
        await desk.reconciler.run(ORDER)
        assert len(desk.drift) == alerts
        for drift in desk.drift:
            assert (drift.provider, drift.run, drift.drift_picousd) == ("openai", report.id, 2 * VALUE)
            assert "by 0.000042 USD that were not known before (missing 0.000042)" in drift.words

    asyncio.run(scenario())


def test_versions_that_bills_name_are_the_models_that_were_asked_for() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.serve(CLOSED)
        desk.bill.lines = [billed(CLOSED, 2, "gpt-4o-mini-2024-07-18"), billed(CLOSED, 1, "gpt-5")]
        (report,) = await desk.reconciler.run(ORDER)
        causes = {finding.model: finding.explanations[0].cause for finding in report.findings}
        assert causes == {MODEL: Cause.MISSING, "gpt-5": Cause.UNKNOWN_MODEL}
        assert "There is no price for gpt-5" in report.notes[0]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "ledger, statement, configured, expected",
    [
        ({"gpt-4o"}, {"gpt-4o"}, {"gpt-4o"}, {}),
        ({"gpt-4o"}, {"gpt-4o-2024-08-06"}, {"gpt-4o"}, {"gpt-4o-2024-08-06": "gpt-4o"}),
        (set(), {"gpt-4o-2024-08-06"}, {"gpt-4o"}, {"gpt-4o-2024-08-06": "gpt-4o"}),
        (set(), {"gpt-4o-2024-08-06"}, {"gpt-4o-2024-08-06"}, {}),
        ({"gpt-4o-2024-08-06"}, {"gpt-4o-2024-08-06", "gpt-4o-2024-05-13"}, {"gpt-4o-2024-08-06"}, {}),
        (
            {"gpt-4o", "gpt-4o-2024-05-13"},
            {"gpt-4o-2024-08-06", "gpt-4o-2024-05-13"},
            {"gpt-4o", "gpt-4o-2024-05-13"},
            {"gpt-4o-2024-05-13": "gpt-4o", "gpt-4o-2024-08-06": "gpt-4o"},
        ),
        ({"gpt-4o"}, {"gpt-5"}, {"gpt-4o"}, {}),
        (
            {"claude-sonnet-4-5"},
            {"claude-sonnet-4-5-20250929"},
            set(),
            {"claude-sonnet-4-5-20250929": "claude-sonnet-4-5"},
        ),
    ],
)
def test_which_names_mean_the_same(ledger: set, statement: set, configured: set, expected: dict) -> None:
    assert renamed(ledger, statement, configured) == expected


def test_an_export_is_compared_for_the_days_that_it_has() -> None:
    async def scenario() -> None:
        desk = Desk()
        for day in range(CLOSED - 3, TODAY):
            await desk.serve(day)
        rows = [f"{day_text},{MODEL},1,100,10,0.000042" for day_text in ("2024-10-09", "2024-10-10", "2024-10-13")]
        export = "\n".join(["day,model,requests,input_tokens,output_tokens,cost_usd", *rows]).encode()
        with pytest.raises(BillMalformed, match="no row"):
            await desk.reconciler.run_export(Order("test", provider="silent"), b"day,model,cost_usd\n", "empty.csv")
        report = await desk.reconciler.run_export(Order("test", provider="openai"), export, "october.csv")
        assert (report.first_day, report.last_day) == (day_number("2024-10-09", ""), CLOSED)
        assert [part.cause for finding in report.findings for part in finding.explanations] == [
            Cause.MISPRICED, Cause.MISPRICED, Cause.SURPLUS,
        ]  # fmt: skip
        assert report.notes == ("1 lines of the statement are of other days and were left out.",)
        late = b"day,model,cost_usd\n2024-10-13,x,1\n"
        with pytest.raises(InvalidRequest, match="begins on 2024-10-13, and no day after 2024-10-11 is closed"):
            await desk.reconciler.run_export(Order("test", provider="openai"), late, "late.csv")

    asyncio.run(scenario())


@pytest.mark.parametrize("key, compared", [("key_1", True), ("f1", True), ("key_else", False)])
def test_keys_are_compared_only_if_the_bill_has_one_of_ours(key: str, compared: bool) -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.serve(CLOSED)
        desk.bill.lines = [msgspec.structs.replace(billed(CLOSED, 2), key=key)]
        (report,) = await desk.reconciler.run(ORDER)
        keys = {finding.key for finding in report.findings}
        assert "f1" in keys if compared else keys == {""}
        assert ("Keys were not compared" in "".join(report.notes)) is not compared

    asyncio.run(scenario())


class Overtaken(MemoryAdjustments):
    """Somebody else books first, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def book(self, rows: Sequence[Adjustment], report: Reconciliation, version: int) -> None:
        if self.times:
            self.times -= 1
            other = msgspec.structs.replace(report, id=f"{report.id}-other-{self.times}")
            await super().book([], other, version)
            raise Conflict("Somebody else has booked for openai meanwhile.")
        await super().book(rows, report, version)

    async def booked(self, provider: str, first_day: int, last_day: int) -> Booked:
        await asyncio.sleep(0)
        return await super().booked(provider, first_day, last_day)


def test_who_is_overtaken_looks_again() -> None:
    async def scenario(times: int) -> list[Reconciliation]:
        desk = Desk()
        desk.reconciler.adjustments = Overtaken(times)
        await desk.serve(CLOSED)
        desk.bill.lines = [billed(CLOSED, 3)]
        return await desk.reconciler.run(ORDER)

    (report,) = asyncio.run(scenario(2))
    assert report.booked_picousd == 2 * VALUE and not report.error
    (report,) = asyncio.run(scenario(100))
    assert "Others kept booking" in report.error


def test_two_at_once_book_once() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.serve(CLOSED)
        desk.bill.lines = [billed(CLOSED, 3)]
        await asyncio.gather(*(desk.reconciler.run(ORDER) for _ in range(5)))
        rows, _ = await desk.adjustments.page(100)
        assert [row.amount_picousd for row in rows] == [-2 * VALUE, 2 * VALUE]

    asyncio.run(scenario())
