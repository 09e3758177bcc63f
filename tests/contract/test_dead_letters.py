"""What every `queue_ports.DeadLetters` must do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.errors import NotFound
from headgate.queue_ports import DeadLetters
from headgate.queue_types import NewDeadLetter
from headgate.stores.database import Database
from headgate.stores.sql_dead_letters import SqlDeadLetters


@asynccontextmanager
async def letters(url: str, folder: Path) -> AsyncIterator[DeadLetters]:
    database = Database(url, folder)
    try:
        yield SqlDeadLetters(database, SystemClock())
    finally:
        await database.aclose()


def test_letters_are_kept_once_for_each_position_and_shown_the_newest_first(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with letters(database_url, tmp_path) as kept:
            for position in ("1", "2", "2", "3", "", ""):
                await kept.add(NewDeadLetter("kafka://host/topic", position, b"\x00\xff", f"no JSON \0 in {position}"))
            first, after = await kept.page(3)
            rest, end = await kept.page(3, after)
            assert [letter.position for letter in [*first, *rest]] == ["", "", "3", "2", "1"] and end is None
            oldest = await kept.get(rest[-1].id)
            assert oldest == rest[-1] and oldest.body == b"\x00\xff" and oldest.reason == "no JSON \ufffd in 1"
            assert oldest.at > 1_700_000_000

    asyncio.run(scenario())


def test_what_is_dropped_is_gone(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with letters(database_url, tmp_path) as kept:
            await kept.add(NewDeadLetter("redis://host/stream", "1-0", b"{}", "why"))
            ((letter,), _) = await kept.page(10)
            assert await kept.drop([letter.id, letter.id + 1]) == 1
            with pytest.raises(NotFound):
                await kept.get(letter.id)
            assert await kept.page(10) == ([], None)

    asyncio.run(scenario())
