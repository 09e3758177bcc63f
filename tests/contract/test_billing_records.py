"""What every `ports.BillingRecords` must do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from headgate.bills import Amount, LedgerLine, Tokens
from headgate.types import Counted, Outcome, RequestRecord, Usage
from tests.contract.stores import Open
from tests.stores.records import DAY, MIDNIGHT, record

FIRST = 20_000


def attempted(number: int, at: float, tenant: str = "acme", seconds: float = 0.5, **changes: Any) -> RequestRecord:
    """A request whose only attempt began at a time, with other words of the attempt if wanted."""
    plain = record(number, started_at=at, tenant=tenant)
    attempt = msgspec.structs.replace(plain.attempts[0], started_at=at, seconds=seconds, **changes)
    same = {name: value for name, value in changes.items() if name in RequestRecord.__struct_fields__}
    return msgspec.structs.replace(plain, attempts=(attempt,), **same)


def test_attempts_are_summed_by_model_key_and_tenant(stores: Open) -> None:
    used = Usage(100, 20, 50, 5, Counted.REPORTED, 7, 3)
    rows = [
        attempted(1, MIDNIGHT, usage=used, cost_picousd=2**62),
        attempted(2, MIDNIGHT + 5, usage=used, cost_picousd=2**62),
        attempted(3, MIDNIGHT + 6, usage=msgspec.structs.replace(used, counted=Counted.ESTIMATED), cost_picousd=2**62),
        attempted(4, MIDNIGHT + 7, tenant="hobby", usage=used, cost_picousd=1),
        attempted(5, MIDNIGHT + 8, usage=used, cost_picousd=2, key_fingerprint="00000000"),
        attempted(6, MIDNIGHT + 9, usage=used, cost_picousd=3, upstream_model="gpt-4o"),
        attempted(7, MIDNIGHT + 9, usage=Usage(), cost_picousd=0, outcome=Outcome.FAILED),
        attempted(8, MIDNIGHT + 9, usage=used, cost_picousd=3, provider="other"),
        attempted(9, MIDNIGHT + DAY, usage=used, cost_picousd=4),
        attempted(10, MIDNIGHT - 1, usage=used, cost_picousd=5),
    ]

    def line(model: str, key: str, tenant: str, count: int, cost: int, estimated: int = 0) -> LedgerLine:
        tokens = Tokens(*(count * number for number in (100, 20, 7, 3, 50)))
        return LedgerLine(FIRST, model, key, tenant, Amount(count, tokens, cost), estimated)

    async def scenario() -> None:
        async with stores() as opened:
            assert await opened.records.first_day("openai") is None
            await opened.ledger.write(rows)
            assert await opened.records.lines("openai", FIRST) == [
                line("gpt-4o", "9f86d081", "acme", 1, 3),
                line("gpt-4o-mini", "00000000", "acme", 1, 2),
                line("gpt-4o-mini", "9f86d081", "acme", 3, 3 * 2**62, 1),
                line("gpt-4o-mini", "9f86d081", "hobby", 1, 1),
            ]
            assert [one.amount.requests for one in await opened.records.lines("openai", FIRST + 1)] == [1]
            assert await opened.records.lines("openai", FIRST + 2) == []
            assert await opened.records.first_day("openai") == FIRST - 1
            assert await opened.records.first_day("other") == FIRST
            assert await opened.records.first_day("nobody") is None

    asyncio.run(scenario())


def test_every_attempt_counts_on_the_day_on_which_it_began(stores: Open) -> None:
    """One that failed after it had used tokens, then one after midnight that answered."""
    plain = record(1, started_at=MIDNIGHT + DAY - 10)
    first = msgspec.structs.replace(plain.attempts[0], started_at=MIDNIGHT + DAY - 9, outcome=Outcome.FAILED)
    second = msgspec.structs.replace(
        plain.attempts[0], id=f"{plain.id}.2", number=2, started_at=MIDNIGHT + DAY + 1, upstream_model="gpt-4o"
    )
    row = msgspec.structs.replace(plain, attempts=(first, second), upstream_model="gpt-4o")

    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write([row])
            for day, model in ((FIRST, "gpt-4o-mini"), (FIRST + 1, "gpt-4o")):
                (line,) = await opened.records.lines("openai", day)
                assert (line.model, line.tenant, line.amount.requests) == (model, "acme", 1)

    asyncio.run(scenario())


def test_requests_of_the_provider_that_are_there_twice(stores: Open) -> None:
    rows = [
        attempted(1, MIDNIGHT + 1, upstream_id="chatcmpl-1"),
        attempted(2, MIDNIGHT + 2, upstream_id="chatcmpl-1"),
        attempted(3, MIDNIGHT + 3, upstream_id="chatcmpl-1"),
        attempted(4, MIDNIGHT + 4, upstream_id="chatcmpl-2"),
        attempted(5, MIDNIGHT + 5, upstream_id=""),
        attempted(6, MIDNIGHT + 6, upstream_id=""),
        attempted(7, MIDNIGHT + 7, upstream_id="chatcmpl-2", upstream_model="gpt-4o"),
    ]

    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write(rows)
            copies = await opened.records.doubles("openai", FIRST)
            assert [copy.id for copy in copies] == [rows[1].attempts[0].id, rows[2].attempts[0].id]
            assert copies[0].amount == Amount(1, Tokens(input=12, output=30), 19_800_000)
            assert (copies[0].day, copies[0].started_at, copies[0].ended_at) == (FIRST, MIDNIGHT + 2, MIDNIGHT + 2.5)

    asyncio.run(scenario())


def test_attempts_around_midnight(stores: Open) -> None:
    rows = [
        attempted(1, MIDNIGHT),
        attempted(2, MIDNIGHT + 59),
        attempted(3, MIDNIGHT + 60),
        attempted(4, MIDNIGHT + 300, seconds=DAY),  # still under way the next day
        attempted(5, MIDNIGHT + DAY - 62, seconds=1),
        attempted(6, MIDNIGHT + DAY - 61, seconds=2),
        attempted(7, MIDNIGHT + DAY - 1),
        attempted(8, MIDNIGHT + DAY),
    ]

    async def scenario() -> None:
        async with stores() as opened:
            await opened.ledger.write(rows)
            found = await opened.records.around_midnight("openai", FIRST, 60)
            assert [one.id for one in found] == [rows[index].attempts[0].id for index in (0, 1, 3, 5, 6)]

    asyncio.run(scenario())
