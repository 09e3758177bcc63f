"""Jobs whose requests come in portions: they wait for the last of them, and take each once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headgate.errors import DatabaseUnavailable, Forbidden, HeadgateError, InvalidRequest, NotFound
from headgate.job_types import Command, JobState
from headgate.jobs.desk import Portion, Submission
from tests.gateway.corridor import ALICE, run
from tests.jobs.floor import Floor

BODY = b'{"model": "small", "messages": [{"role": "user", "content": "words"}]}'
OPEN = Submission("chat", ())


def test_a_job_begins_with_its_last_portion_and_takes_each_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await floor.desk.open(ALICE, OPEN, "once")
        for _ in range(2):  # what is sent again changes nothing
            told = await floor.desk.add(ALICE, job.id, Portion((BODY, BODY), 1, is_last=False))
            assert (told.counts.total, told.paused, told.sealed) == (2, True, False)
        assert (await floor.desk.open(ALICE, OPEN, "once")).id == job.id
        told = await floor.desk.add(ALICE, job.id, Portion((BODY,), 3, is_last=True))
        assert (told.counts.total, told.paused, told.sealed) == (3, False, True)
        done = await floor.until_over(job)
        assert done.state is JobState.SUCCEEDED and done.counts.succeeded == 3
        assert (await floor.desk.add(ALICE, job.id, Portion((BODY,), 3, is_last=True))).version == done.version
        with pytest.raises(InvalidRequest):
            await floor.desk.add(ALICE, job.id, Portion((BODY,), 4, is_last=True))
        await floor.stop()

    run(scenario)


def test_a_job_that_is_cancelled_before_it_has_a_request_is_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        job = await floor.desk.open(ALICE, OPEN)
        for command in (Command.CANCEL, Command.REDRIVE, Command.CANCEL):
            told = await floor.desk.command(job.id, command)
            assert (told.state, told.is_over, told.counts.total) == (JobState.CANCELLED, True, 0)
        await floor.stop()

    run(scenario)


def test_an_open_job_waits_though_it_was_cut_short_when_it_was_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database is away.")

    async def scenario() -> None:
        floor = Floor(tmp_path)
        with monkeypatch.context() as broken, pytest.raises(DatabaseUnavailable):
            broken.setattr(floor.desk.jobs, "command", away)
            await floor.desk.open(ALICE, OPEN, "once")
        job = await floor.desk.open(ALICE, OPEN, "once")
        told = await floor.desk.add(ALICE, job.id, Portion((BODY,), 1, is_last=False))
        assert job.paused and told.paused and not await floor.work.claim("w1", ["req_1"], 30.0)
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize("step", ["seal", "command"])
def test_the_last_portion_can_be_sent_again_when_it_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database is away.")

    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await floor.desk.open(ALICE, OPEN)
        with monkeypatch.context() as broken, pytest.raises(DatabaseUnavailable):
            broken.setattr(floor.desk.jobs, step, away)
            await floor.desk.add(ALICE, job.id, Portion((BODY,), 1, is_last=True))
        await floor.desk.add(ALICE, job.id, Portion((BODY,), 1, is_last=True))
        assert (await floor.until_over(job)).state is JobState.SUCCEEDED
        await floor.stop()

    run(scenario)


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async def refused(floor: Floor, job_id: str, portion: Portion, key_id: str = "key_1") -> HeadgateError:
        with pytest.raises(HeadgateError) as caught:
            await floor.desk.add(msgspec.structs.replace(ALICE, key_id=key_id), job_id, portion)
        return caught.value

    async def scenario() -> None:
        floor = Floor(tmp_path)
        job = await floor.desk.open(ALICE, OPEN)
        wrong = Portion((BODY, BODY.replace(b"small", b"nobody")), 11, is_last=False)
        assert (await refused(floor, job.id, wrong)).param == "requests[11].model"
        alone = Portion(wrong.requests[1:], 40, is_last=False)
        assert (await refused(floor, job.id, alone)).param == "requests[39].model"
        assert isinstance(await refused(floor, job.id, Portion((BODY,), 1, is_last=True), "another"), Forbidden)
        assert isinstance(await refused(floor, "job_none", Portion((BODY,), 1, is_last=True)), NotFound)
        for portion in (Portion((), 1, is_last=True), Portion((BODY,), 1_000_001, is_last=False)):
            assert isinstance(await refused(floor, job.id, portion), InvalidRequest)
        whole = await floor.submit(1)
        assert isinstance(await refused(floor, whole.id, Portion((BODY,), 2, is_last=True)), InvalidRequest)
        await floor.desk.add(ALICE, job.id, Portion((BODY,), 1, is_last=False))
        await floor.desk.command(job.id, Command.CANCEL)
        assert "it is cancelled" in (await refused(floor, job.id, Portion((BODY,), 2, is_last=True))).message
        with pytest.raises(InvalidRequest):
            await floor.desk.open(ALICE, Submission("nothing", ()))
        await floor.database.aclose()

    run(scenario)
