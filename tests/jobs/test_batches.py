"""Batches on the virtual loop: what becomes of good files and bad ones, while workers come and go."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from headgate.assembly.filing import Filing
from headgate.config.schema import Config, SimFaults
from headgate.errors import Conflict, DatabaseUnavailable, InvalidRequest, NotFound, SlowSender
from headgate.file_types import Batch, BatchCounts, BatchPage, BatchStatus, Dialect, NewBatch, StoredFile
from headgate.job_types import Command, JobFilter, JobState, RetryRules
from headgate.jobs.batches import WINDOW_SECONDS
from headgate.jobs.filing import FileWriter
from headgate.jobs.tasks import Task
from headgate.stores.jobs_tables import jobs
from headgate.stores.sql_files import ORPHAN_SECONDS, SqlFiles
from headgate.types import Caller
from tests.gateway.corridor import run
from tests.jobs.floor import EVERYTHING, KEY, Floor

URL = "/v1/chat/completions"
ENDED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED, BatchStatus.CANCELLED)


class Hall:
    """A floor whose workers do batches."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.floor = floor = Floor(folder, **more)
        self.filing = Filing(floor.database, floor.jobs, floor.clock, Config, lambda: None)
        floor.kinds |= self.filing.kinds
        self.files, self.batches = self.filing.files, self.filing.batches

    @property
    def caller(self) -> Caller:
        return self.floor.accounts.holder("key_1")

    async def upload(self, content: bytes) -> str:
        writer = FileWriter(self.files.files, self.files.new_id())
        await writer.write(content)
        now = self.floor.clock.now()
        await writer.finish(StoredFile(writer.id, "acme", "alice", "batch", "in.jsonl", 0, now, now + 10 * 86_400))
        return writer.id

    async def create(self, content: bytes, seconds: float = WINDOW_SECONDS) -> Batch:
        now, file_id = self.floor.clock.now(), await self.upload(content)
        asked = NewBatch(Dialect.OPENAI, URL, "chat", file_id, now, now + seconds)
        return await self.batches.create(self.caller, asked)

    async def get(self, batch: Batch) -> Batch:
        return await self.batches.get(batch.id, "acme", batch.asked.dialect)

    async def until_ended(self, batch: Batch) -> Batch:
        async with asyncio.timeout(3600):
            while not (batch := await self.get(batch)).has_ended:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(1)
        await asyncio.sleep(5)
        return batch

    async def lines(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        file = await self.files.files.get(file_id, "acme")
        content = b"".join([piece async for piece in self.files.content(file)])
        assert len(content) == file.bytes
        return [json.loads(line) for line in content.split(b"\n")[:-1]]


def line(number: int, **more: Any) -> dict[str, Any]:
    body = {"model": "small", "messages": [{"role": "user", "content": f"item {number}"}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": URL, "body": body} | more


def jsonl(*lines: dict[str, Any] | str) -> bytes:
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines).encode()


def test_a_bad_line_spoils_nothing_but_itself(tmp_path: Path) -> None:
    wrong: dict[int, tuple[dict[str, Any] | str, str]] = {
        2: ("no json", "invalid_json_line"),
        3: ("[1]", "invalid_json_line"),
        4: ({"method": "POST", "url": URL, "body": {}}, "missing_required_parameter"),
        5: (line(1), "duplicate_custom_id"),
        6: (line(6, custom_id=6), "invalid_custom_id"),
        7: (line(7, method="GET"), "invalid_method"),
        8: (line(8, url="/v1/embeddings"), "invalid_url"),
        9: (line(9, body=None), "missing_required_parameter"),
        10: ('{"custom_id": "r10", "body": "\ud800"}', "invalid_json_line"),
    }

    async def scenario() -> None:
        hall = Hall(tmp_path)
        hall.floor.start("w1")
        content = [line(1), *(bad for bad, _ in wrong.values()), "", line(12, body={"model": "nope", "messages": []})]
        text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in [*content, line(13)])
        batch = await hall.until_ended(await hall.create(text.encode("utf-8", "surrogatepass")))
        assert (batch.status, batch.lines) == (BatchStatus.COMPLETED, 12)
        assert batch.counts == BatchCounts(succeeded=2, errored=10)
        answers, errors = await hall.lines(batch.output_file_id), await hall.lines(batch.error_file_id)
        assert [each["custom_id"] for each in answers] == ["r1", "r13"]
        for answer in answers:
            response = answer["response"]
            assert set(answer) == {"id", "custom_id", "response", "error"} and answer["error"] is None
            assert response["status_code"] == 200 and response["body"]["choices"][0]["message"]["content"]
            assert response["request_id"] in {row.id for row in hall.floor.corridor.journal.appended}
        unknown, *others = errors
        assert unknown["custom_id"] == "r12" and unknown["response"]["status_code"] == 404
        assert unknown["response"]["body"]["error"]["code"] == "model_not_found" and unknown["error"] is None
        assert {each["error"]["line"]: each["error"]["code"] for each in others} == {
            number: code for number, (_, code) in wrong.items()
        }
        assert all(each["response"] is None for each in others)
        assert {each["custom_id"] for each in others} >= {"r1", "r7", "r8", "r9", None}
        await hall.floor.stop()

    run(scenario)


@pytest.mark.parametrize(
    "content, code",
    [
        (b"", "empty_file"),
        (b"\n \n", "empty_file"),
        (bytes(range(256)) * 50, "invalid_json_line"),
        (b"{}\n{}", "missing_required_parameter"),
        (jsonl(*(line(number) for number in range(50_001))), "too_many_requests"),
    ],
    ids=["empty", "blank", "binary", "no request", "too many"],
)
def test_a_file_that_is_none_fails_and_says_why(tmp_path: Path, content: bytes, code: str) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        hall.floor.start("w1")
        batch = await hall.until_ended(await hall.create(content))
        assert batch.status is BatchStatus.FAILED and batch.problems[0].code == code
        assert (batch.output_file_id, batch.error_file_id) == (None, None)
        job = await hall.floor.jobs.get(batch.id)
        assert (job.state, job.error_code) == (JobState.FAILED, "batch_file_invalid")
        assert not hall.floor.corridor.journal.appended
        await hall.floor.stop()

    run(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_and_nothing_twice_while_workers_die(tmp_path: Path, seed: int) -> None:
    async def scenario() -> None:
        faults = SimFaults(server_error=0.05, cut=0.03)
        hall = Hall(tmp_path, seed=seed, faults=faults, rules=RetryRules(retries=8, lost_workers=50))
        chance = random.Random(seed)
        batch = await hall.create(jsonl(*(line(number) for number in range(60)), "no json"))
        for turn in range(8):
            hall.floor.start(f"w{turn}")
            await asyncio.sleep(chance.uniform(0.01, 3.0))
            hall.floor.kill(f"w{turn}")
        hall.floor.start("last")
        batch = await hall.until_ended(batch)
        assert (batch.status, batch.counts) == (BatchStatus.COMPLETED, BatchCounts(succeeded=60, errored=1))
        answers = await hall.lines(batch.output_file_id)
        assert [each["custom_id"] for each in answers] == [f"r{number}" for number in range(60)]
        assert len(await hall.lines(batch.error_file_id)) == 1
        await asyncio.sleep(60)
        await hall.floor.stop()
        assert hall.floor.corridor.at_rest()

    run(scenario)


async def _some_are_done(hall: Hall, batch: Batch, least: int) -> None:
    while (counts := (await hall.get(batch)).counts) is None or counts.succeeded < least:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


def test_a_cancelled_batch_keeps_what_was_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        hall.floor.start("w1")
        batch = await hall.create(jsonl(*(line(number) for number in range(60))))
        await _some_are_done(hall, batch, 8)
        told = await hall.batches.cancel(batch.id, "acme", Dialect.OPENAI)
        assert told.status in (BatchStatus.CANCELLING, BatchStatus.CANCELLED)
        batch = await hall.until_ended(batch)
        assert batch.status is BatchStatus.CANCELLED and batch.counts is not None
        answers, errors = await hall.lines(batch.output_file_id), await hall.lines(batch.error_file_id)
        assert len(answers) == batch.counts.succeeded >= 8 and len(errors) == batch.counts.cancelled > 0
        assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
        assert {each["custom_id"] for each in answers + errors} == {f"r{number}" for number in range(60)}
        with pytest.raises(Conflict, match="cancelled"):
            await hall.batches.cancel(batch.id, "acme", Dialect.OPENAI)
        await hall.floor.stop()

    run(scenario)


def test_a_batch_that_is_cancelled_before_it_begins(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        batch = await hall.create(jsonl(line(1), line(2)))
        await hall.floor.jobs.command(batch.id, Command.PAUSE)
        await hall.batches.cancel(batch.id, "acme", Dialect.OPENAI)
        hall.floor.start("w1")
        batch = await hall.until_ended(batch)
        assert (batch.status, batch.counts) == (BatchStatus.CANCELLED, BatchCounts(cancelled=2))
        assert len(await hall.lines(batch.error_file_id)) == 2 and not hall.floor.corridor.journal.appended
        await hall.floor.stop()

    run(scenario)


def test_what_is_not_done_in_time_expires(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path, faults=SimFaults(hang_before=1))
        hall.floor.start("w1")
        batch = await hall.create(jsonl(line(1), line(2)), seconds=15)
        await asyncio.sleep(10)
        assert (await hall.get(batch)).status is BatchStatus.IN_PROGRESS
        batch = await hall.until_ended(batch)
        assert (batch.status, batch.counts) == (BatchStatus.EXPIRED, BatchCounts(expired=2))
        assert {each["error"]["code"] for each in await hall.lines(batch.error_file_id)} == {"batch_expired"}
        await hall.floor.stop()

    run(scenario)


def test_what_failed_is_tried_again_with_its_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        batch = await hall.create(jsonl(line(1), "no json"))
        hall.floor.accounts.configure([], {"pro": EVERYTHING}, None)  # its key is revoked meanwhile
        hall.floor.start("w1")
        batch = await hall.until_ended(batch)
        assert batch.counts == BatchCounts(errored=2)
        error = (await hall.lines(batch.error_file_id))[0]
        assert error["response"]["status_code"] == 401 and error["response"]["body"]["error"]["message"]
        hall.floor.accounts.configure([KEY], {"pro": EVERYTHING}, None)
        await hall.floor.jobs.command(batch.id, Command.REDRIVE)
        await asyncio.sleep(60)
        again = await hall.until_ended(batch)
        assert again.counts == BatchCounts(succeeded=1, errored=1) and again.error_file_id != batch.error_file_id
        await hall.floor.stop()

    run(scenario)


def test_who_looks_while_it_ends_is_not_told_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        batch = await hall.create(jsonl(line(1), "no json"))
        store = hall.batches._batches
        read, before = store.get, [await store.get(batch.id)]

        async def get(batch_id: str, tenant: str | None = None) -> Batch:
            return before.pop() if before else await read(batch_id, tenant)

        hall.floor.start("w1")
        done = await hall.until_ended(batch)
        assert done.status is BatchStatus.COMPLETED
        monkeypatch.setattr(store, "get", get)
        assert await hall.get(batch) == done  # it had read the batch before the end, and its job after
        await hall.floor.stop()

    run(scenario)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


def test_messages_in_the_other_shape(tmp_path: Path) -> None:
    params = {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi\n"}]}
    requests = [{"custom_id": f"m{number}", "params": params} for number in range(30)]
    requests.append({"custom_id": "unknown", "params": params | {"model": "nope"}})

    async def scenario() -> None:
        hall = Hall(tmp_path)
        body = json.dumps({"requests": requests}, indent=1).encode()
        batch = await hall.batches.create_inline(hall.caller, _pieces(body))
        assert batch.lines == 31
        with pytest.raises(Conflict):
            await hall.batches.delete(batch.id, "acme", Dialect.ANTHROPIC)
        hall.floor.start("w1")
        await _some_are_done(hall, batch, 5)
        await hall.batches.cancel(batch.id, "acme", Dialect.ANTHROPIC)
        batch = await hall.until_ended(batch)
        results = {each["custom_id"]: each["result"] for each in await hall.lines(batch.output_file_id)}
        assert set(results) == {each["custom_id"] for each in requests} and batch.error_file_id is None
        found = Counter(each["type"] for each in results.values())
        assert batch.counts is not None and found["succeeded"] == batch.counts.succeeded >= 5
        assert found["canceled"] == batch.counts.cancelled > 0
        for name, wrong in (("hobby", Dialect.ANTHROPIC), ("acme", Dialect.OPENAI)):
            with pytest.raises(NotFound):
                await hall.batches.get(batch.id, name, wrong)
        await hall.batches.delete(batch.id, "acme", Dialect.ANTHROPIC)
        with pytest.raises(NotFound):
            await hall.get(batch)
        await hall.floor.stop()

    run(scenario)


@pytest.mark.parametrize(
    "requests, param",
    [
        ([], "requests"),
        ([{"custom_id": "a b", "params": {}}], "requests[0].custom_id"),
        ([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}], "requests[1].custom_id"),
        ([{"custom_id": "a", "params": []}], "requests[0].params"),
        ([{"custom_id": "a"}], "requests[0].params"),
    ],
)
def test_wrong_requests_are_told_at_once(tmp_path: Path, requests: list[Any], param: str) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        body = msgspec.json.encode({"requests": requests})
        with pytest.raises(InvalidRequest) as caught:
            await hall.batches.create_inline(hall.caller, _pieces(body))
        assert caught.value.param == param
        await hall.floor.stop()

    run(scenario)


def test_requests_that_do_not_come_to_an_end_are_not_waited_for(tmp_path: Path) -> None:
    """Else what came first would be swept away, and the batch be one of a file with a hole."""

    async def slowly() -> AsyncIterator[bytes]:
        for piece in (b'{"requests": [', b'{"custom_id": "one", "params": {}}', b"]}"):
            yield piece
            await asyncio.sleep(0.4 * ORPHAN_SECONDS)

    async def scenario() -> None:
        hall = Hall(tmp_path)
        with pytest.raises(SlowSender, match="3600 seconds"):
            await hall.batches.create_inline(hall.caller, slowly())
        assert await hall.floor.jobs.page(JobFilter(), 10) == ([], None)
        await hall.floor.stop()

    run(scenario)


def test_a_worker_that_was_away_turns_nothing_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        batch = await hall.create(jsonl(line(1)))
        (stale,) = await hall.floor.work.claim("away", [hall.floor.clock.new_id("req")], 30.0)
        hall.floor.start("w1")
        batch = await hall.until_ended(batch)
        with pytest.raises(Conflict, match="another worker"):
            await hall.floor.kinds[stale.kind].run(Task(stale, "away", hall.floor.means))
        assert await hall.get(batch) == batch and batch.status is BatchStatus.COMPLETED
        await hall.floor.stop()

    run(scenario)


def test_a_batch_whose_job_is_being_erased_does_not_hide_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        hall = Hall(tmp_path)
        first, gone, last = [await hall.create(jsonl(line(number))) for number in range(3)]
        change = update(jobs).where(jobs.c.id == gone.id).values(erasing=1)
        database = hall.floor.database
        await database.run(database.jobs, lambda connection: connection.execute(change), writes=True)
        shown, _ = await hall.batches.page(BatchPage("acme", Dialect.OPENAI, 10))
        assert [batch.id for batch in shown] == [last.id, first.id]
        await hall.floor.stop()

    run(scenario)


@pytest.mark.parametrize("is_submitted", [False, True])
def test_a_batch_that_cannot_be_made_leaves_no_file_and_one_that_is_submitted_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_submitted: bool
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database is away.")

    params = {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    body = json.dumps({"requests": [{"custom_id": "one", "params": params}]}).encode()

    async def scenario() -> None:
        hall = Hall(tmp_path)
        target, name = (hall.batches._batches, "add") if is_submitted else (hall.floor.jobs, "submit")
        with monkeypatch.context() as broken, pytest.raises(DatabaseUnavailable):
            broken.setattr(target, name, away)
            await hall.batches.create_inline(hall.caller, _pieces(body))
        assert bool(await SqlFiles(hall.floor.database, hall.floor.clock).used("acme")) is is_submitted
        if is_submitted:
            hall.floor.start("w1")
            (job,), _ = await hall.floor.jobs.page(JobFilter(tenant="acme"), 10)
            await hall.floor.until_over(job)
            batch = await hall.batches.get(job.id, "acme")
            assert batch.status is BatchStatus.COMPLETED and batch.lines == 1
        await hall.floor.stop()

    run(scenario)


def test_a_file_that_is_deleted_while_it_is_read_fails_its_batch(tmp_path: Path) -> None:
    """Half of it must not pass for all of it, and what was begun of it is stopped."""

    async def scenario() -> None:
        hall = Hall(tmp_path)
        store, reads = hall.files.files, Counter[int]()
        usual = store.piece

        async def piece(file_id: str, number: int) -> bytes:
            reads[number] += 1
            if (number, reads[number]) == (1, 2):  # all of it was looked at before
                await store.delete(file_id)
            return await usual(file_id, number)

        store.piece = piece  # type: ignore[method-assign]
        long = "x" * 400_000
        content = jsonl(*(line(number, body={**line(number)["body"], "user": long}) for number in range(1, 6)))
        batch = await hall.create(content)
        hall.floor.start("w1")
        batch = await hall.until_ended(batch)
        assert (batch.status, [each.code for each in batch.problems]) == (BatchStatus.FAILED, ["file_not_found"])
        below = await hall.floor.jobs.get(f"{batch.id}-requests")
        assert below.is_over and (await hall.floor.jobs.get(batch.id)).state is JobState.FAILED
        await hall.floor.stop()

    run(scenario)
