"""Jobs over HTTP where something is not as usual: asked for again, erased meanwhile, parts of others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headgate.job_types import NewJob, Owner, Parent
from tests.admin.office import ALICE, CONFIG, Office, error_of, in_office
from tests.admin.test_jobs import CHAT, ONE

QUOTA = CONFIG + b"\njobs: {quota: {open_items: 2}}\n"


def test_what_is_submitted_again_is_the_same_job_though_the_quota_is_used_up_by_it(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        keyed, two = {**ALICE, "idempotency-key": "mine"}, {"requests": [CHAT, CHAT]}
        first = await made.post("/v1/jobs", two, headers=keyed)
        again = await made.post("/v1/jobs", two, headers=keyed)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        error_of(await made.post("/v1/jobs", ONE, headers=keyed), 409)
        error_of(await made.post("/v1/jobs", ONE, headers={**ALICE, "idempotency-key": "other"}), 429)

    in_office(tmp_path, scenario, QUOTA)


def test_what_is_submitted_again_is_the_same_job_though_its_deadline_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: Office) -> None:
        keyed, soon = {**ALICE, "idempotency-key": "mine"}, {**ONE, "deadline_at": made.clock.now() + 60}
        first = await made.post("/v1/jobs", soon, headers=keyed)
        now = made.clock.now
        monkeypatch.setattr(made.clock, "now", lambda: now() + 61)
        again = await made.post("/v1/jobs", soon, headers=keyed)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])

    in_office(tmp_path, scenario)


async def a_part(made: Office) -> str:
    """A job below another, without items, that is over."""
    job = (await made.post("/v1/jobs", ONE, headers=ALICE)).json()["id"]
    part = NewJob(f"{job}-part", Owner("acme", "k"), "chat", (), made.clock.now(), parent=Parent(job, 1, job))
    await made.jobs.submit(part)
    return part.id


def test_a_part_without_items_has_no_result(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        answer = await made.get(f"/v1/jobs/{await a_part(made)}/result", headers=ALICE)
        assert "no result" in error_of(answer, 409)["message"]

    in_office(tmp_path, scenario)


def test_the_events_of_a_part_end_with_it(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        async with asyncio.timeout(120):
            told = await made.get(f"/v1/jobs/{await a_part(made)}/events", headers=ALICE)
        assert told.text.startswith("event: done\n")

    in_office(tmp_path, scenario)


def test_the_events_of_a_job_that_is_erased_end(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", ONE, headers=ALICE)).json()["id"]
        following = asyncio.create_task(made.get(f"/v1/jobs/{job}/events", headers=ALICE))
        await asyncio.sleep(0.1)
        assert (await made.client.delete(f"/v1/jobs/{job}?cancel=true", headers=ALICE)).status_code == 200
        async with asyncio.timeout(120):
            await following

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("last", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", "soon"])
def test_an_odd_last_event_id_is_none(tmp_path: Path, last: str) -> None:
    async def scenario(made: Office) -> None:
        headers = {**ALICE, "last-event-id": last.encode("latin-1")}
        async with asyncio.timeout(120):
            told = await made.get(f"/v1/jobs/{await a_part(made)}/events", headers=headers)  # type: ignore[arg-type]
        assert told.status_code == 200 and told.text

    in_office(tmp_path, scenario)
