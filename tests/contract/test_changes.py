"""What every `ports.Changes` must do."""

from __future__ import annotations

import asyncio

import pytest

from headgate.change_types import AuditEntry, Change, Setting, Target
from headgate.errors import Conflict, NotFound
from tests.contract.stores import Open

FREE = Setting(Target.TIER, "free", "requests_per_minute")
ACME = Setting(Target.TENANT, "acme", "budgets.tenant_month")
EVERYBODY = Setting(Target.EVERYBODY, "", "tokens_per_minute")


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        id=f"aud_{number}", at=number, by="admin key", command="SetLimit", fields='{"value":5}', subject="tier free",
        before="null", after="5", request_id=f"req_{number}",
    )  # fmt: skip


def test_a_setting_has_one_value_and_the_last_one_changed_comes_last(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            changes = opened.changes
            assert await changes.all() == []
            made = [Change(FREE, "5", 1.0, "a"), Change(ACME, "3000", 2.0, "b"), Change(EVERYBODY, "null", 3.0, "c")]
            for number, change in enumerate(made):
                await changes.put(change, entry(number), await changes.version())
            assert await changes.all() == made
            again = Change(FREE, "7", 4.0, "d")
            await changes.put(again, entry(3), await changes.version())
            assert await changes.all() == [*made[1:], again]

    asyncio.run(scenario())


def test_a_setting_goes_back_to_the_file(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            changes = opened.changes
            await changes.put(Change(FREE, "5", 1.0, "a"), entry(1), await changes.version())
            await changes.remove(FREE, entry(2), await changes.version())
            assert await changes.all() == []
            version = await changes.version()
            with pytest.raises(NotFound, match="tier free requests_per_minute"):
                await changes.remove(FREE, entry(3), version)
            assert await changes.version() == version
            assert [one.id for one in (await changes.trail(9))[0]] == ["aud_2", "aud_1"]

    asyncio.run(scenario())


def test_of_two_who_saw_the_same_one_changes_it(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            changes = opened.changes
            version = await changes.version()
            await changes.put(Change(FREE, "5", 1.0, "a"), entry(1), version)
            assert await changes.version() != version
            with pytest.raises(Conflict):
                await changes.put(Change(FREE, "7", 2.0, "b"), entry(2), version)
            with pytest.raises(Conflict):
                await changes.remove(FREE, entry(3), version)
            assert [change.value for change in await changes.all()] == ["5"]
            assert [one.id for one in (await changes.trail(9))[0]] == ["aud_1"], "what was not done leaves no trail"

    asyncio.run(scenario())


def test_the_trail_is_read_in_pages_the_newest_first(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            version = await opened.changes.version()
            for number in range(5):
                await opened.changes.note(entry(number))
            first, cursor = await opened.changes.trail(2)
            assert first == [entry(4), entry(3)] and cursor is not None
            await opened.changes.note(entry(5))
            second, cursor = await opened.changes.trail(2, cursor)
            assert second == [entry(2), entry(1)] and cursor is not None
            assert await opened.changes.trail(2, cursor) == ([entry(0)], None)
            assert await opened.changes.version() == version, "notes change no setting"

    asyncio.run(scenario())
