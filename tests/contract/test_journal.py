"""What every `ports.Journal` must do."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import LedgerFull
from headgate.metering import NO_SLOT
from tests.contract.stores import JOURNAL_ROWS, Open
from tests.contract.test_ledger import everything
from tests.stores.records import record, request_id, under_way


def test_what_is_appended_arrives_in_its_order(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            records = [record(number) for number in range(10)]
            for each in records:
                opened.journal.append(each)
            await opened.arrive()
            assert await everything(opened.ledger) == records

    asyncio.run(scenario())


def test_a_note_arrives_after_its_record(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            opened.journal.append(record(1))
            opened.journal.append(record(2))
            opened.journal.mark_undelivered(request_id(1))
            await opened.arrive()
            assert [row.undelivered for row in await everything(opened.ledger)] == [True, False]

    asyncio.run(scenario())


def test_a_full_journal_refuses_by_name_and_recovers(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            assert opened.journal.room()
            taken = 0
            with pytest.raises(LedgerFull):
                while taken < 10 * JOURNAL_ROWS:
                    opened.journal.append(record(taken))
                    taken += 1
            assert taken >= JOURNAL_ROWS // 2
            assert not opened.journal.room()
            await opened.make_room()
            assert opened.journal.room()
            opened.journal.append(record(taken))
            await opened.arrive()
            assert sum(row.requests for row in await opened.ledger.usage("tenant")) == taken + 1

    asyncio.run(scenario())


def test_there_is_no_room_before_the_last_record_is_refused(stores: Open) -> None:
    """Requests that were admitted while there was room still find a place."""

    async def scenario() -> None:
        async with stores() as opened:
            number = 0
            while opened.journal.room():
                opened.journal.append(record(number))
                number += 1
            assert 0 < number <= 10 * JOURNAL_ROWS
            opened.journal.append(record(number))

    asyncio.run(scenario())


def test_several_are_appended_in_their_order(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            records = [record(number) for number in range(10)]
            opened.journal.append_all(records[:7])
            opened.journal.append_all([])
            opened.journal.append_all(records[7:])
            opened.journal.mark_undelivered(request_id(9))
            await opened.arrive()
            assert [row.id for row in await everything(opened.ledger)] == [row.id for row in records]

    asyncio.run(scenario())


def test_several_that_do_not_fit_are_refused_together(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            with pytest.raises(LedgerFull):
                opened.journal.append_all([record(number) for number in range(10 * JOURNAL_ROWS)])
            opened.journal.append(record(1))
            await opened.arrive()
            assert await everything(opened.ledger) == [record(1)]

    asyncio.run(scenario())


def test_what_is_under_way_has_a_slot_of_its_own(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            slots = [opened.journal.begin(under_way(number)) for number in range(10)]
            assert len({*slots, NO_SLOT}) == 11
            for number, slot in enumerate(slots):
                opened.journal.append(record(number))
                opened.journal.end(slot)
            await opened.arrive()
            assert await everything(opened.ledger) == [record(number) for number in range(10)]

    asyncio.run(scenario())


def test_what_failed_is_ended_or_begun_again(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            slot = opened.journal.begin(under_way(1))
            for failed in (slot, slot, NO_SLOT):
                opened.journal.failed(failed)
            opened.journal.end(slot)
            opened.journal.failed(slot)
            assert opened.journal.begin(under_way(1, attempt=2)) not in (slot, NO_SLOT)

    asyncio.run(scenario())


def test_what_was_ended_cannot_be_ended_for_somebody_else(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            first = opened.journal.begin(under_way(1))
            opened.journal.end(first)
            second = opened.journal.begin(under_way(2))
            assert second != first
            for slot in (first, NO_SLOT, second, second):
                opened.journal.end(slot)

    asyncio.run(scenario())
