"""What every `route_ports.RouteRecords` must do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.errors import InvalidRequest
from headgate.judgements import WeakOutcome
from headgate.route_types import Answered, Judged, Routed, RouterGate
from headgate.stores.sql_routes import week_of
from tests.contract.stores import Open
from tests.stores.records import record

AT = 1_790_000_000.0  # a Monday
ROW = Judged("req_1", AT, "auto", "acme", "small", "large", WeakOutcome.LOSE, "shadow", "judge", 7, "How?", 2)
WEEK_SECONDS = 7 * 86_400.0


def test_weeks_begin_on_mondays() -> None:
    assert week_of(AT) == int(AT // 86_400) and week_of(AT + WEEK_SECONDS - 90_000) == week_of(AT)
    assert week_of(AT + WEEK_SECONDS) == week_of(AT) + 7


def test_rows_are_added_once_and_read_in_order(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            records = opened.routes
            rows = [msgspec.structs.replace(ROW, id=f"req_{number}") for number in range(5)]
            for row in (*rows, msgspec.structs.replace(ROW, id="req_0", outcome=WeakOutcome.WIN)):
                await records.judge(row)
            first, after = await records.page(3)
            rest, end = await records.page(3, after)
            assert [*first, *rest] == rows and end is None
            with pytest.raises(InvalidRequest):
                await records.page(3, "nonsense")

    asyncio.run(scenario())


def test_shadow_runs_are_summed_by_router_week_and_gate(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            records = opened.routes
            changes = [
                {}, {"outcome": WeakOutcome.TIE}, {"outcome": WeakOutcome.WIN}, {"outcome": WeakOutcome.LOSE},
                {"source": "appeal"}, {"at": AT + WEEK_SECONDS}, {"router": "other"}, {"gate": 3},
            ]  # fmt: skip
            for number, change in enumerate(changes):
                await records.judge(msgspec.structs.replace(ROW, id=f"req_{number}", **change))
            found = {(one.router, one.week, one.gate): one for one in await records.losses()}
            week = week_of(AT)
            assert set(found) == {("auto", week, 2), ("auto", week + 7, 2), ("other", week, 2), ("auto", week, 3)}
            one = found["auto", week, 2]
            assert (one.wins, one.ties, one.losses, one.cost_picousd) == (1, 1, 2, 28)

    asyncio.run(scenario())


def test_a_gate_is_turned_by_one_of_all_that_try(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            routes = opened.routes
            closed = RouterGate("auto", 1, True, AT, "it loses")
            reopened = RouterGate("auto", 2, False, AT + 1, "by hand")
            assert [await routes.turn(closed), await routes.turn(closed)] == [True, False]
            assert await routes.gates() == [closed]
            assert [await routes.turn(reopened), await routes.turn(closed)] == [True, False]
            assert await routes.gates() == [reopened]

    asyncio.run(scenario())


def test_who_was_answered_by_which_model(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            routed = msgspec.json.encode(Routed("auto", "small", "score", "because", 0.25)).decode()
            opened.journal.append(msgspec.structs.replace(record(1), routed=routed))
            opened.journal.append(record(2))
            await opened.arrive()
            one = record(1)
            assert await opened.routes.answered(one.id) == Answered(one.tenant, one.user, one.key_id, "auto", "small")
            assert await opened.routes.answered(record(2).id) is None
            assert await opened.routes.answered("req_nobody") is None

    asyncio.run(scenario())
