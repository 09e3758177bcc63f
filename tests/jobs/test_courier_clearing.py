"""What providers have of batches that are over is deleted there: not before it is here, and whatever dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.errors import DatabaseUnavailable
from headgate.job_types import JobState
from headgate.jobs.batch_clearing import GIVE_UP_SECONDS, LONGEST_PAUSE_SECONDS
from headgate.provider_batch_types import Stage
from tests.jobs.test_courier import Office, opened, run

ITS_FILES = ["file-1", "batch_1-output", "batch_1-error"]


async def asked_to_delete(vendor: Any) -> int:
    return sum(call.method == "DELETE" for call in vendor.calls)


async def uncleared(office: Office) -> list[tuple[Stage, bool]]:
    return [(batch.stage, batch.has_files) for batch in await office.batches.open()]


def test_nothing_is_deleted_before_the_results_are_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database is away.")

    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            vendor.end()
            for place, name in ((office.ledger, "write"), (office.work, "finish")):
                with monkeypatch.context() as broken, pytest.raises(DatabaseUnavailable):
                    broken.setattr(place, name, away)
                    await office.look(61.0)
                assert vendor.deleted == []
            await office.look(61.0)
            assert vendor.deleted == ITS_FILES and await uncleared(office) == []
            assert (await office.jobs.get(job.id)).state is JobState.SUCCEEDED and len(await office.rows()) == 3

    run(scenario)


def test_who_begins_again_deletes_what_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            await office.submit("one", "two", "three")
            await office.look()
            vendor.end()
            vendor.keeps = True
            await office.look(61.0)
            assert await uncleared(office) == [(Stage.OVER, True)]
            vendor.keeps = False
            office.begin_again()
            await office.look()
            assert vendor.deleted == ITS_FILES and await uncleared(office) == []

    run(scenario)


def test_what_cannot_be_deleted_is_tried_again_and_then_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            vendor.end()
            vendor.keeps = True
            await office.look(61.0)
            assert (await office.jobs.get(job.id)).state is JobState.SUCCEEDED
            tries = await asked_to_delete(vendor)
            await office.look(1.0)
            assert await asked_to_delete(vendor) == tries, "not again at once"
            passed = 0.0
            while await uncleared(office):
                await office.look(LONGEST_PAUSE_SECONDS)
                passed += LONGEST_PAUSE_SECONDS
            assert GIVE_UP_SECONDS - 2 * LONGEST_PAUSE_SECONDS < passed < GIVE_UP_SECONDS + 2 * LONGEST_PAUSE_SECONDS
            assert await asked_to_delete(vendor) < 60 and vendor.deleted == []
            assert "could not be deleted and stays there: The provider answered 500: it is in use" in caplog.text

    run(scenario)


def test_an_upload_that_became_no_batch_is_deleted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.refuses = (400, "no batches today")
            await office.submit("one", "two", "three")
            await office.look()
            assert vendor.deleted == ["file-1"] and await uncleared(office) == []

    run(scenario)
