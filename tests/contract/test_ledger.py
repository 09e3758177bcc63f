"""What every `ports.Ledger` must do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.cache_types import Hit
from headgate.errors import InvalidRequest
from headgate.ports import Ledger
from headgate.types import Outcome, RequestRecord, Usage, UsageRow
from tests.contract.stores import Open
from tests.scale import scaled
from tests.stores.records import DAY, MIDNIGHT, record, record_lists, request_id, times

GROUPS = ["tenant", "user", "model", "key", "day"]
anew_each_time = settings(
    max_examples=scaled(25, 12), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def everything(ledger: Ledger, limit: int = 1000) -> list[RequestRecord]:
    rows: list[RequestRecord] = []
    after = None
    while True:
        page, after = await ledger.page(limit, after)
        assert len(page) <= limit
        rows += page
        if after is None:
            return rows


async def emptied(ledger: Ledger) -> None:
    """Between two examples: fold everything and count from here on."""
    await ledger.compact(MIDNIGHT + 100 * DAY)


def test_rows_come_back_as_they_were_written_in_their_order(stores: Open) -> None:
    @anew_each_time
    @given(records=record_lists())
    def check(records: list[RequestRecord]) -> None:
        async def scenario() -> None:
            async with stores() as opened:
                await emptied(opened.ledger)
                await opened.ledger.write(records)
                assert await everything(opened.ledger) == records

        asyncio.run(scenario())

    check()


def test_writing_a_row_twice_changes_nothing(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([record(1), record(2)])
            changed = record(2, tenant="hobby", cost_picousd=5, attempts=())
            await opened.ledger.write([changed, record(3), record(3)])
            assert await everything(opened.ledger) == [record(1), record(2), record(3)]

    asyncio.run(scenario())


@pytest.mark.parametrize("limit", [1, 7, 150, 1000])
def test_pages_hold_every_row_once(stores: Open, limit: int) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            records = [record(number) for number in range(150)]
            await opened.ledger.write(records)
            assert await everything(opened.ledger, limit) == records

    asyncio.run(scenario())


def test_an_empty_ledger_has_one_empty_page(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            assert await opened.ledger.page(10) == ([], None)
            assert await opened.ledger.usage("tenant") == []
            assert await opened.ledger.compact(MIDNIGHT) == 0

    asyncio.run(scenario())


def test_a_cursor_stays_good_when_the_rows_before_it_are_folded(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([record(number) for number in range(10)])
            _, cursor = await opened.ledger.page(9)
            assert cursor is not None
            assert await opened.ledger.compact(MIDNIGHT + DAY) == 10
            late = [record(number) for number in range(20, 23)]
            await opened.ledger.write(late)
            assert await opened.ledger.page(10, cursor) == (late, None)

    asyncio.run(scenario())


@pytest.mark.parametrize("cursor", ["", "x", "c", "c-5", "c" + "f" * 40, "1e3", "cĳ"])
def test_a_bad_cursor_is_refused(stores: Open, cursor: str) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            with pytest.raises(InvalidRequest) as raised:
                await opened.ledger.page(10, cursor)
            assert raised.value.param == "after"

    asyncio.run(scenario())


def test_an_undelivered_note_marks_a_row_of_this_or_an_earlier_write(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([record(1), record(2), record(3)], [request_id(2)])
            await opened.ledger.write([], [request_id(1), request_id(99)])
            rows = await everything(opened.ledger)
            assert [row.undelivered for row in rows] == [True, True, False]

    asyncio.run(scenario())


def test_usage_counts_tokens_money_and_failures(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            usage = Usage(input=100, cached_input=40, output=7, reasoning=3, cache_write=20, cache_write_1h=10)
            await opened.ledger.write([
                record(1, usage=usage, cost_picousd=5),
                record(2, outcome=Outcome.FAILED, usage=usage, cost_picousd=6),
                record(3, outcome=Outcome.REFUSED, usage=Usage(), cost_picousd=0),
                record(4, outcome=Outcome.DISCONNECTED, usage=usage, cost_picousd=7, tenant="hobby"),
                *[
                    record(
                        5 + place, tenant="cached", outcome=Outcome.CACHED, usage=Usage(), cost_picousd=0,
                        attempts=(), hit=hit, saved_picousd=10**place,
                    )
                    for place, hit in enumerate((*Hit, Hit.EXACT))
                ],
            ])  # fmt: skip
            assert await opened.ledger.usage("tenant") == [
                UsageRow("acme", 3, 1, 1, 200, 80, 14, 6, 11, 40, 20),
                UsageRow("cached", 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10_001, 10, 100, 1_000),
                UsageRow("hobby", 1, 0, 0, 100, 40, 7, 3, 7, 20, 10),
            ]
            (hit,) = [row for row in await everything(opened.ledger) if row.saved_picousd == 100]
            assert hit.hit == Hit.COALESCED

    asyncio.run(scenario())


def test_what_was_paid_for_duplicates_stands_beside_what_is_charged(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            usage = Usage(input=100, output=7)
            twice = record(2, outcome=Outcome.DUPLICATE, usage=usage, cost_picousd=6)
            await opened.ledger.write([record(1, usage=usage, cost_picousd=5), twice])
            expected = [UsageRow("acme", 2, 0, 0, 100, 0, 7, 0, 5, duplicate_picousd=6)]
            assert await opened.ledger.usage("tenant") == expected
            await opened.ledger.compact(MIDNIGHT + DAY)
            assert await opened.ledger.usage("tenant") == expected

    asyncio.run(scenario())


def test_usage_is_exact_beyond_64_bits(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            cost = 2**63 - 1
            await opened.ledger.write(
                [record(number, cost_picousd=cost, usage=Usage(input=cost)) for number in range(3)]
            )
            (row,) = await opened.ledger.usage("tenant")
            assert (row.cost_picousd, row.input_tokens) == (3 * cost, 3 * cost)

    asyncio.run(scenario())


def test_usage_is_grouped_and_filtered_by_name(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([
                record(1),
                record(2, user=None, model="large", key_id="key_2"),
                record(3, started_at=MIDNIGHT + DAY),
            ])  # fmt: skip
            names = {by: [row.group for row in await opened.ledger.usage(by)] for by in GROUPS}
            assert names == {
                "tenant": ["acme"],
                "user": ["", "alice"],
                "model": ["large", "small"],
                "key": ["key_1", "key_2"],
                "day": ["2024-10-04", "2024-10-05"],
            }
            assert [row.requests for row in await opened.ledger.usage("model", user="alice")] == [2]
            assert [row.requests for row in await opened.ledger.usage("model", key_id="key_2")] == [1]
            assert await opened.ledger.usage("model", tenant="nobody") == []

    asyncio.run(scenario())


def test_usage_is_grouped_by_whom_budgets_count(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([
                record(1, session="s1", tags=("a", "b")),
                record(2, user=None, key_id="key_2", session="s1"),
                record(3, session=None, tags=("a", "b")),
                record(4, user="100% bob", session="s 1"),
                record(5, user="key key_2", session=None),
            ])  # fmt: skip

            async def requests(by: str) -> dict[str, int]:
                return {row.group: row.requests for row in await opened.ledger.usage(by, tenant="acme")}

            each = {"100% bob": 1, "alice": 2, "key key_2": 1, "user key key_2": 1}
            assert await requests("who") == each
            assert await requests("session") == {"": 2, "100%25%20bob s 1": 1, "alice s1": 1, "key%20key_2 s1": 1}
            assert await requests("tags") == {'["a","b"]': 2, "[]": 3}
            await emptied(opened.ledger)
            assert await requests("who") == each
            assert await requests("session") == {}

    asyncio.run(scenario())


def test_usage_since_is_inclusive_and_until_exclusive(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([record(number, started_at=MIDNIGHT + number) for number in (10, 20, 30)])

            async def count(since: float | None, until: float | None, tenant: str | None = None) -> int:
                rows = await opened.ledger.usage("tenant", since=since, until=until, tenant=tenant)
                return sum(row.requests for row in rows)

            for tenant in (None, "acme"):
                assert await count(MIDNIGHT + 20, None, tenant) == 2
                assert await count(None, MIDNIGHT + 20, tenant) == 1
                assert await count(MIDNIGHT + 10, MIDNIGHT + 30, tenant) == 2
                assert await count(MIDNIGHT + DAY, None, tenant) == 0
                assert await count(None, MIDNIGHT - DAY, tenant) == 0

    asyncio.run(scenario())


def test_what_a_tenant_used_without_some_requests(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            rows = [record(number, started_at=MIDNIGHT + number) for number in (10, 20, 30)]
            await opened.ledger.write([*rows, record(40, tenant="hobby")])

            async def requests(since: float, until: float | None = None, without: tuple[str, ...] = ()) -> int:
                found = await opened.ledger.used("tenant", "acme", since=since, until=until, without=without)
                return sum(row.requests for row in found)

            assert await requests(MIDNIGHT) == 3
            assert await requests(MIDNIGHT + 20) == 2
            assert await requests(MIDNIGHT, MIDNIGHT + 20) == 1
            assert await requests(MIDNIGHT, None, (rows[1].id, "req_nobody")) == 2
            assert await requests(MIDNIGHT, None, tuple(f"req_{number}" for number in range(10_000))) == 3
            with pytest.raises(InvalidRequest, match="tenant, user, model, key, day"):
                await opened.ledger.used("colour", "acme", since=0)

    asyncio.run(scenario())


def test_an_unknown_group_is_refused(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            with pytest.raises(InvalidRequest, match="tenant, user, model, key, day"):
                await opened.ledger.usage("colour")

    asyncio.run(scenario())


def test_folding_takes_whole_days_once_and_a_late_row_still_counts(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            old = [record(number) for number in range(5)]
            new = [record(number, started_at=MIDNIGHT + DAY + number) for number in range(5, 8)]
            await opened.ledger.write(old + new)
            assert await opened.ledger.compact(MIDNIGHT + DAY - 1) == 0
            assert await opened.ledger.compact(MIDNIGHT + 1.5 * DAY) == 5
            assert await opened.ledger.compact(MIDNIGHT + 1.5 * DAY) == 0
            assert await everything(opened.ledger) == new
            await opened.ledger.write([record(50)])
            assert await opened.ledger.compact(MIDNIGHT + DAY) == 1
            assert [row.requests for row in await opened.ledger.usage("day")] == [6, 3]

    asyncio.run(scenario())


def test_a_folded_day_counts_where_its_midnight_is(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([record(1)])
            await opened.ledger.compact(MIDNIGHT + DAY)
            for since, until, expected in [
                (MIDNIGHT, MIDNIGHT + 1, 1),
                (MIDNIGHT - 1, MIDNIGHT, 0),
                (MIDNIGHT + 1, None, 0),
                (None, None, 1),
            ]:
                rows = await opened.ledger.usage("tenant", since=since, until=until)
                assert sum(row.requests for row in rows) == expected, (since, until)

    asyncio.run(scenario())


def expected_usage(records: list[RequestRecord], by: str, since: float) -> list[UsageRow]:
    """Added up here, the plain way."""
    names = {"tenant": "tenant", "user": "user", "model": "model", "key": "key_id"}
    groups: dict[str, list[int]] = {}
    for row in records:
        if row.started_at >= since:
            usage = row.usage
            counts = [1, row.outcome is Outcome.FAILED, row.outcome is Outcome.REFUSED]
            charged = [usage.input, usage.cached_input, usage.output, usage.reasoning, row.cost_picousd]
            charged += [usage.cache_write, usage.cache_write_1h]
            twice = row.outcome is Outcome.DUPLICATE
            numbers = [*counts, *([0] * 7 if twice else charged), row.cost_picousd if twice else 0]
            numbers += [row.saved_picousd * (row.hit == hit and not twice) for hit in Hit]
            name = getattr(row, names[by]) or ""
            groups[name] = [a + b for a, b in zip(groups.get(name, [0] * 15), numbers, strict=True)]
    return [UsageRow(name, *numbers) for name, numbers in sorted(groups.items())]


def test_usage_is_the_same_before_and_after_folding(stores: Open) -> None:
    @anew_each_time
    @given(
        records=record_lists(),
        by=st.sampled_from(["tenant", "user", "model", "key"]),
        day=st.integers(0, 4),
        fold=times,
    )
    def check(records: list[RequestRecord], by: str, day: int, fold: float) -> None:
        small = [
            msgspec.structs.replace(
                row,
                cost_picousd=row.cost_picousd >> 16,
                usage=Usage(input=row.usage.input >> 16, cache_write=row.usage.cache_write >> 16),
            )
            for row in records
        ]
        since = MIDNIGHT + day * DAY

        async def scenario() -> None:
            async with stores() as opened:
                await emptied(opened.ledger)
                before = await opened.ledger.usage(by, since=since)
                await opened.ledger.write(small)
                written = await opened.ledger.usage(by, since=since)
                await opened.ledger.compact(fold)
                assert await opened.ledger.usage(by, since=since) == written
                if not before:
                    assert written == expected_usage(small, by, since)

        asyncio.run(scenario())

    check()
