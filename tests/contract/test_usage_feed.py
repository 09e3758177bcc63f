"""What every `delivery_ports.UsageFeed` must do, here SqlUsageFeed."""

from __future__ import annotations

import asyncio

from headgate.stores.sql_usage_feed import SqlUsageFeed
from tests.admin.office import ledger_row
from tests.contract.working import Open


def test_new_rows_until_they_were_told(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened, desk() as another:
            feed, other = SqlUsageFeed(opened.database), SqlUsageFeed(another.database)
            await opened.ledger.write([ledger_row(1)])
            assert (await feed.read(10))[0] == []  # it begins with what comes next
            await opened.ledger.write([ledger_row(number) for number in range(2, 7)])
            rows, position = await feed.read(3)
            assert [row.id for row in rows] == ["req_2", "req_3", "req_4"]
            assert rows[0].cost_picousd == ledger_row(2).cost_picousd and rows[0].tenant == "acme"
            assert (await other.read(3)) == (rows, position)  # nobody was told yet
            await feed.advance(position)
            rest, end = await other.read(10)
            assert [row.id for row in rest] == ["req_5", "req_6"]
            await other.advance(end)
            await feed.advance(position)  # late, and without effect
            assert await feed.read(10) == ([], end)

    asyncio.run(scenario())
