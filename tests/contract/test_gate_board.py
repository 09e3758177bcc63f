"""What every place must do where gates tell each other what they see: SqlGateBoard."""

from __future__ import annotations

import asyncio

from headgate.job_types import SeenOfModel
from headgate.stores.sql_gate_board import SqlGateBoard
from tests.contract.working import Open


def test_processes_hear_of_each_other_and_of_what_is_so_now(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            board = SqlGateBoard(opened.database, opened.clock)
            first = SeenOfModel("one", "small", 5, 2, 100, 0.3, 0.25, 40)
            second = SeenOfModel("two", "small", 7)
            assert await board.exchange("one", [first, SeenOfModel("one", "large")], 5.0) == []
            assert await board.exchange("two", [second], 5.0) == [SeenOfModel("one", "large"), first]
            assert await board.exchange("one", [], 5.0) == [second]
            assert await board.exchange("two", [second], 5.0) == [], "it has nothing to tell any more"

    asyncio.run(scenario())


def test_what_a_dead_process_told_is_not_heard_for_long(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as opened:
            if opened.database.dialect != "sqlite":
                return  # its clock cannot be turned
            board = SqlGateBoard(opened.database, opened.clock)
            await board.exchange("one", [SeenOfModel("one", "small", 5)], 5.0)
            await opened.pass_time(6.0)
            assert await board.exchange("two", [], 5.0) == []

    asyncio.run(scenario())
