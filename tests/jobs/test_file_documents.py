"""Uploaded files as documents of jobs: each is read when it is its turn, and one that cannot be says why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headgate.errors import HeadgateError, NotFound
from headgate.file_types import PIECE_BYTES, StoredFile
from headgate.job_types import Item, ItemState, Job, JobQuota, JobState
from headgate.jobs.desk import Submission
from headgate.jobs.documents import documents_id
from headgate.jobs.erasing import Upkeep
from headgate.jobs.filing import FileWriter
from headgate.jobs.tasks import Task
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from tests.documents.samples import HTML, pdf
from tests.gateway.corridor import ALICE, run
from tests.jobs.floor import Floor

LINES = b'{"name": "a", "text": "first"}\nno json\n"second"\n{"id": 4}\n'


async def upload(floor: Floor, filename: str, content: bytes, tenant: str = "acme") -> str:
    writer = FileWriter(floor.files, floor.clock.new_id("file"))
    await writer.write(content)
    await writer.finish(StoredFile(writer.id, tenant, "alice", "user_data", filename, 0, floor.clock.now()))
    return writer.id


async def submit(floor: Floor, files: list[str], kind: str = "summarize", **more: Any) -> Job:
    body = json.dumps({"model": "small", "files": files, **more}).encode()
    return (await floor.desk.submit(ALICE, Submission(kind, (body,))))[0]


async def documents(floor: Floor, job: Job) -> list[tuple[str, str]]:
    """Label and error code of each."""
    return [(item.label, item.error_code) for item in await floor.jobs.items(documents_id(job.id), 100)]


async def result(floor: Floor, job: Job) -> Any:
    (item,) = await floor.jobs.items(job.id, 1)
    return json.loads(item.result)


def test_files_of_every_kind_and_what_is_wrong_with_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        files = {
            "a.txt": b"Plain words.", "b.md": b"# Head", "c.html": HTML, "d.pdf": pdf("Page one"),
            "e.jsonl": LINES, "empty.txt": b" ", "binary.txt": bytes(range(256)), "broken.pdf": b"%PDF-1.7 nothing",
            "secret.pdf": pdf("x", password="y"), "empty.jsonl": b"\n", "binary.jsonl": b"\x00" * 9,
        }  # fmt: skip
        ids = [await upload(floor, name, content) for name, content in files.items()]
        floor.start("w1")
        job = await floor.until_over(await submit(floor, [*ids, ids[0]]))
        assert job.state is JobState.SUCCEEDED
        assert await documents(floor, job) == [
            ("a.txt", ""), ("b.md", ""), ("c.html", ""), ("d.pdf", ""),
            ("e.jsonl:a", ""), ("e.jsonl:line 2", "document_broken"), ("e.jsonl:line 3", ""),
            ("e.jsonl:4", "document_broken"), ("empty.txt", "document_empty"), ("binary.txt", "document_binary"),
            ("broken.pdf", "document_broken"), ("secret.pdf", "document_encrypted"), ("empty.jsonl", "document_empty"),
            ("binary.jsonl", "document_binary"), (f"a.txt ({ids[0]})", ""),
        ]  # fmt: skip
        told = await result(floor, job)
        assert (told["documents"], told["summarized"], told["left_out_count"]) == (15, 7, 8)
        await floor.stop()

    run(scenario)


def test_what_the_model_reads_is_what_stands_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def ask(_task: Task, _kind: str, body: bytes) -> bytes:
        asked.append(json.loads(body)["messages"][1]["content"])
        return b'{"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}'

    async def scenario() -> None:
        floor = Floor(tmp_path)
        monkeypatch.setattr(Task, "ask", ask)
        ids = [await upload(floor, "d.pdf", pdf("Page one")), await upload(floor, "e.jsonl", LINES)]
        floor.start("w1")
        job = await floor.until_over(await submit(floor, ids, "extract", schema={"type": "object"}))
        assert sorted(asked) == ["d.pdf\n\nPage one", "e.jsonl:a\n\nfirst", "e.jsonl:line 3\n\nsecond"]
        assert await result(floor, job) == {"documents": 5, "extracted": 3, "results": documents_id(job.id)}
        await floor.stop()

    run(scenario)


def test_a_file_that_is_not_there_is_told_at_once_and_another_tenants_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        mine, theirs = await upload(floor, "a.txt", b"words"), await upload(floor, "b.txt", b"words", "other")
        for files in ([mine, theirs], [mine, "file-none"]):
            with pytest.raises(NotFound) as caught:
                await submit(floor, files)
            assert caught.value.param == "request.files[1]"
        for more in ({"open": True}, {"files": []}):
            with pytest.raises(HeadgateError):
                await submit(floor, **{"files": [mine], **more})
        await floor.database.aclose()

    run(scenario)


def test_a_file_that_is_erased_is_an_error_of_its_documents(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        ids = [await upload(floor, f"{name}.txt", b"words") for name in "ab"]
        ids.append(await upload(floor, "c.jsonl", LINES))
        job = await submit(floor, ids)
        await floor.files.delete(ids[0])
        await floor.files.delete(ids[2])
        floor.start("w1")
        job = await floor.until_over(job)
        missing = "document_missing"  # a file that is gone before anybody looked has no name any more
        assert await documents(floor, job) == [(ids[0], missing), ("b.txt", ""), (ids[2], missing)]
        assert job.state is JobState.SUCCEEDED
        await floor.stop()

    run(scenario)


def test_a_file_erased_in_the_middle_moves_no_other_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        line = json.dumps({"text": "x" * (PIECE_BYTES // 250)}).encode() + b"\n"
        long, short = await upload(floor, "long.jsonl", line * 600), await upload(floor, "short.jsonl", LINES)
        monkeypatch.setattr(Task, "ask", answered)
        job = await submit(floor, [long, short])
        floor.start("w1")
        while not await seen(floor, job):  # noqa: ASYNC110  # virtual time
            await asyncio.sleep(0.001)
        await floor.files.delete(long)
        job = await floor.until_over(job)
        found = await floor.jobs.items(documents_id(job.id), 1000)
        assert [item.number for item in found] == list(range(1, len(found) + 1))
        assert [item.label for item in found[-4:]] == [
            "short.jsonl:a", "short.jsonl:line 2", "short.jsonl:line 3", "short.jsonl:4",
        ]  # fmt: skip
        assert (found[-5].label, found[-5].error_code) == ("long.jsonl", "document_missing")
        assert 200 <= len(found) - 5 < 600
        await floor.stop()

    async def seen(floor: Floor, job: Job) -> list[Item]:
        return await floor.jobs.items(documents_id(job.id), 1)

    run(scenario)


async def answered(_task: Task, _kind: str, _body: bytes) -> bytes:
    return b'{"choices": [{"message": {"content": "words"}, "finish_reason": "stop"}]}'


def test_the_bytes_of_files_are_held_against_the_quota(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        upkeep = SqlJobUpkeep(floor.database, floor.clock)
        floor.desk.upkeep = Upkeep(floor.jobs, upkeep, floor.clock, lambda caller: JobQuota(bytes=1000))
        small, large = await upload(floor, "a.txt", b"x" * 100), await upload(floor, "b.txt", b"x" * 2000)
        await submit(floor, [small])
        with pytest.raises(HeadgateError) as caught:
            await submit(floor, [large])
        assert caught.value.code == "job_quota_exceeded"
        await floor.database.aclose()

    run(scenario)


@pytest.mark.parametrize("times", [1, 3000])
def test_a_report_is_made_of_documents_or_of_notes_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    asked: list[dict[str, Any]] = []

    async def ask(_task: Task, _kind: str, body: bytes) -> bytes:
        asked.append(json.loads(body))
        system = asked[-1]["messages"][0]["content"]
        said = "One\nTwo" if "You plan" in system else "a note" if "You summarize" in system else "words"
        return json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode()

    async def scenario() -> None:
        floor = Floor(tmp_path)
        monkeypatch.setattr(Task, "ask", ask)
        texts = b"The mill was built in 1731. " * times
        ids = [await upload(floor, "mill.txt", texts), await upload(floor, "empty.pdf", b"%PDF-")]
        floor.start("w1")
        job = await floor.until_over(await submit(floor, ids, "report", topic="Mills", sections=2))
        told = await result(floor, job)
        assert told["text"] == "# Mills\n\n## One\n\nwords\n\n## Two\n\nwords\n"
        assert [(each["name"], each["code"]) for each in told["left_out"]] == [("empty.pdf", "document_broken")]
        prompts = [each["messages"][1]["content"] for each in asked if "You write" in each["messages"][0]["content"]]
        assert [each.endswith(title) for each, title in zip(prompts, ("One", "Two"), strict=True)] == [True, True]
        if times == 1:
            assert all(each.startswith("mill.txt:\nThe mill was built in 1731.") for each in prompts)
        else:
            assert len(asked) > 3 and all(
                each.startswith("mill.txt, part 1:\na note\n\nmill.txt, part 2:") for each in prompts
            )
        await floor.stop()

    run(scenario)


def test_a_report_of_files_that_cannot_be_read_fails_by_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        files = [await upload(floor, "empty.txt", b"")]
        job = await floor.until_over(await submit(floor, files, "report", topic="Mills"))
        (item,) = await floor.jobs.items(job.id, 1)
        assert (item.state, item.error_code) == (ItemState.FAILED, "parts_failed")
        await floor.stop()

    run(scenario)
