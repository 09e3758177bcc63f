"""What every `ports.Adjustments` must do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.bills import (
    Adjustment,
    Amount,
    Booked,
    Cause,
    Explanation,
    Finding,
    Reconciliation,
    Slot,
    Tokens,
)
from headgate.errors import Conflict, InvalidRequest
from tests.contract.stores import Open

SLOT = Slot(20_000, "gpt-4o-mini", "9f86d081", Cause.MISSING)
EXPLAINED = Explanation(Cause.MISSING, 7, "1 request that the provider has.", 1, Tokens(input=5))
REPORT = Reconciliation(
    "run_1", 1_790_000_000.5, "openai", "the organization's API", 20_000, 20_006, booked_picousd=7,
    findings=(Finding(20_000, "gpt-4o-mini", "9f86d081", Amount(), Amount(1, Tokens(5), 7), (EXPLAINED,)),),
    notes=("gpt-x has no price.",),
)  # fmt: skip


def pair(number: int, amount: int, slot: Slot = SLOT, provider: str = "openai") -> list[Adjustment]:
    booking = f"run_1.{provider}.{number}"
    accounts = {f"provider:{provider}": -amount, "unattributed": amount}
    return [
        Adjustment(f"{booking}.{account}", booking, "run_1", 1_790_000_000.5, provider, slot, account, part, "why")
        for account, part in accounts.items()
    ]


def report(identity: str, provider: str = "openai") -> Reconciliation:
    return msgspec.structs.replace(REPORT, id=identity, provider=provider)


def test_what_is_booked_is_summed_by_slot_and_account(stores: Open) -> None:
    elsewhere = msgspec.structs.replace(SLOT, day=20_001, cause=Cause.LATE)

    async def scenario() -> None:
        async with stores() as opened:
            book = opened.adjustments
            empty = await book.booked("openai", 0, 30_000)
            assert empty.amounts == {}
            await book.book([*pair(1, 2**62), *pair(2, 2**62), *pair(3, -5, elsewhere)], REPORT, empty.version)
            other = await book.booked("other", 0, 30_000)
            await book.book(pair(4, 3, provider="other"), report("run_2", "other"), other.version)
            found = await book.booked("openai", 20_000, 20_001)
            assert found.amounts == {
                (SLOT, "provider:openai"): -(2**63),
                (SLOT, "unattributed"): 2**63,
                (elsewhere, "provider:openai"): 5,
                (elsewhere, "unattributed"): -5,
            }
            assert (await book.booked("openai", 20_001, 20_001)).amounts.keys() == {
                (elsewhere, "provider:openai"),
                (elsewhere, "unattributed"),
            }

    asyncio.run(scenario())


def test_who_was_overtaken_books_nothing(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            book = opened.adjustments
            before = await book.booked("openai", 20_000, 20_000)
            await book.book(pair(1, 7), REPORT, before.version)
            with pytest.raises(Conflict, match="meanwhile"):
                await book.book(pair(2, 7), report("run_2"), before.version)
            assert (await book.booked("openai", 20_000, 20_000)).amounts[SLOT, "unattributed"] == 7
            assert [one.id for one in await book.reports(10)] == ["run_1"]
            assert isinstance(before, Booked)

    asyncio.run(scenario())


def test_reports_come_back_whole_and_newest_first(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            book = opened.adjustments
            await book.book([], REPORT, (await book.booked("openai", 0, 1)).version)
            failed = msgspec.structs.replace(report("run_2", "other"), error="The provider did not answer.")
            await book.note(failed)
            await book.note(report("run_3"))
            assert await book.reports(10) == [report("run_3"), failed, REPORT]
            assert await book.reports(1, "openai") == [report("run_3")]
            assert await book.reports(10, "other") == [failed]

    asyncio.run(scenario())


def test_pages_hold_every_row_once(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            book = opened.adjustments
            assert await book.page(10) == ([], None)
            rows = [row for number in range(5) for row in pair(number, number + 1)]
            await book.book(rows, REPORT, (await book.booked("openai", 0, 1)).version)
            seen: list[Adjustment] = []
            page, after = await book.page(3)
            while after is not None:
                seen += page
                page, after = await book.page(3, after)
            assert [*seen, *page] == rows
            with pytest.raises(InvalidRequest):
                await book.page(3, "nonsense")

    asyncio.run(scenario())
