"""Summaries of many documents: complete whatever happens on the way, and what failed is left out by name."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from headgate.config.schema import SimFaults
from headgate.errors import HeadgateError
from headgate.job_types import Command, ItemState, Job, JobState, NewJob, RetryRules
from headgate.jobs.documents import Document, documents_id, items_of, open_documents
from headgate.jobs.summarize import READ
from headgate.types import Outcome
from tests.gateway.corridor import ALICE, run
from tests.jobs.floor import OWNER, Floor

OPTIONS = {"model": "small", "context_tokens": 2_000, "summary_tokens": 200, "shard_documents": 6}


def bodies(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"doc-{number}", "text": f"Document {number} says this and that."} for number in range(1, count + 1)
    ]


async def submit(floor: Floor, documents: list[dict[str, Any]], **more: object) -> Job:
    body = json.dumps({**OPTIONS, "documents": documents, **more}).encode()
    floor.kinds["summarize"].check(ALICE, body)
    new = NewJob(floor.clock.new_id("job"), OWNER, "summarize", (body,), floor.clock.now())
    return (await floor.jobs.submit(new))[0]


async def result_of(floor: Floor, job: Job) -> dict[str, Any]:
    (item,) = await floor.jobs.items(job.id, 9)
    result: dict[str, Any] = json.loads(item.result)
    return result


async def nodes_of(floor: Floor, job: Job, wave: int) -> list[str]:
    return [item.label.partition(":")[0] for item in await floor.jobs.items(f"{job.id}-wave-{wave}", 999)]


def test_a_summary_of_documents(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await floor.until_over(await submit(floor, bodies(13)))
        assert (job.state, job.progress.succeeded) == (JobState.SUCCEEDED, 13 + 4 + 2 + 1)
        result = await result_of(floor, job)
        assert (result["documents"], result["summarized"], result["left_out"]) == (13, 13, [])
        assert (result["waves"], result["fan_in"]) == ([4, 2, 1], 5)
        assert await nodes_of(floor, job, 1) == ["s1.1.1", "s1.1.2", "s2.1.1", "s2.1.2"]
        (top,) = await floor.jobs.items(f"{job.id}-wave-3", 9)
        assert result["summary"] == json.loads(top.result)["text"]
        assert len(floor.corridor.journal.appended) == 20  # no request but those
        await floor.stop()

    run(scenario)


def test_bad_documents_are_left_out_by_name_and_a_shard_of_them_hurts_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        documents = bodies(13)
        documents[7:12] = [
            {"name": f"bad-{each}", "error_code": "document_encrypted", "error": "no"} for each in range(5)
        ]
        documents[12] = {"name": "blank", "text": " \n"}
        job = await floor.until_over(await submit(floor, documents))
        result = await result_of(floor, job)
        assert (result["summarized"], result["left_out_count"]) == (7, 6)
        assert [(each["name"], each["code"]) for each in result["left_out"]] == [
            *[(f"bad-{each}", "document_encrypted") for each in range(5)], ("blank", "document_empty"),
        ]  # fmt: skip
        assert result["waves"] == [4, 2, 1]  # the tree is that of 13 documents
        assert await nodes_of(floor, job, 1) == [
            "s1.1.1",
            "s1.1.2",
        ]  # of the second shard's one document nothing is made
        assert job.state is JobState.SUCCEEDED and job.below.failed == 6
        await floor.stop()

    run(scenario)


def test_nothing_but_bad_documents(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await floor.until_over(await submit(floor, [{"name": "blank", "text": " "}] * 3))
        assert (job.state, job.error_code) == (JobState.FAILED, "parts_failed")
        await floor.stop()

    run(scenario)


def test_a_long_document_is_read_in_pieces(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        text = "\n\n".join(f"Paragraph {number} of a long book about nothing." for number in range(200))
        job = await floor.until_over(await submit(floor, [{"text": text}, *bodies(1)], chunk_tokens=300))
        parts = await floor.jobs.get(f"{documents_id(job.id)}-1")
        asked = [json.loads(item.request)["messages"] for item in await floor.jobs.items(parts.id, 99)]
        assert len(asked) > 5 and all(messages[0] == asked[0][0] for messages in asked)  # the same beginning
        told = "".join(messages[1]["content"].split("\n\n", 1)[1] for messages in asked)
        assert told == text and asked[0][1]["content"].startswith(f"document 1, part 1 of {len(asked)}\n\n")
        assert (await result_of(floor, job))["summarized"] == 2
        await floor.stop()

    run(scenario)


def test_documents_that_come_in_portions(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await submit(floor, [], open=True)
        for first in (1, 4, 4):  # the second portion twice: its sender was not sure
            below = await open_documents(floor.jobs, job, READ, floor.clock.now(), is_fed=True)
            portion = [Document(f"doc-{number}", f"Text {number}.") for number in range(first, first + 3)]
            await floor.jobs.add(below.id, items_of(portion, first))
            await asyncio.sleep(20)
        assert (await floor.jobs.get(job.id)).progress.succeeded == 6  # read while others come
        await floor.jobs.seal(below.id)
        job = await floor.until_over(job)
        assert (await result_of(floor, job))["documents"] == 6
        await floor.stop()

    run(scenario)


def test_who_goes_away_before_the_last_document_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job = await submit(floor, bodies(2), open=True)
        await asyncio.sleep(200)  # the coordinator looks again and again meanwhile: that is no portion
        assert await floor.desk.upkeep.abandon(210) == 0 and not (await floor.jobs.get(job.id)).is_over
        assert await floor.desk.upkeep.abandon(190) == 1
        left = await floor.jobs.get(job.id)
        assert (left.state, left.error_code, left.below.succeeded) == (JobState.CANCELLED, "left_open", 2)
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_the_tree_is_the_same_while_workers_die_and_providers_fail(tmp_path: Path, seed: int) -> None:
    async def scenario() -> None:
        faults = SimFaults(server_error=0.05, cut=0.02)
        floor = Floor(tmp_path, seed=seed, faults=faults, rules=RetryRules(retries=9, lost_workers=50))
        chance = random.Random(seed)
        job = await submit(floor, bodies(60), shard_documents=20)
        for turn in range(10):
            floor.start(f"w{turn}")
            await asyncio.sleep(chance.uniform(0.05, 4.0))
            floor.kill(f"w{turn}")
        floor.start("last")
        job = await floor.until_over(job)
        result = await result_of(floor, job)
        assert (result["summarized"], result["nodes_failed"]) == (60, [])
        assert (result["waves"], result["fan_in"]) == ([12, 3, 1], 5)
        assert (await nodes_of(floor, job, 2)) == ["s1.2.1", "s2.2.1", "s3.2.1"]
        assert job.below.succeeded == 60 + 16 == job.below.total
        await asyncio.sleep(60)
        await floor.stop()
        answered = [record for record in floor.corridor.journal.appended if record.outcome is Outcome.DONE]
        assert 76 <= len(answered) <= 76 + 10 * floor.settings.concurrency
        assert floor.corridor.at_rest()

    run(scenario)


def test_what_failed_is_done_again_and_only_what_is_made_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, rules=RetryRules(retries=0))
        worker = floor.start("w1")
        broken = {7}
        read = floor.kinds[READ].run

        async def sometimes(task: Any) -> bytes:
            if task.lease.number in broken:
                raise HeadgateError("Not today.")
            return await read(task)

        floor.kinds[READ].run = sometimes  # type: ignore[method-assign]  # a document that fails for a while
        job = await floor.until_over(await submit(floor, bodies(13)))
        assert [each["name"] for each in (await result_of(floor, job))["left_out"]] == ["doc-7"]
        asked = len(floor.corridor.journal.appended)
        broken.clear()
        await floor.jobs.command(job.id, Command.REDRIVE)
        worker.bell.ring()
        job = await floor.until_over(job)
        result = await result_of(floor, job)
        assert (result["summarized"], result["left_out"], job.below.total) == (13, [], 13 + 7 + 3)
        assert len(floor.corridor.journal.appended) == asked + 1 + 3  # the document, and its node in each wave
        (again,) = await floor.jobs.items(f"{job.id}-wave-2-2", 9)
        assert (again.label.partition(":")[0], again.state) == ("s2.2.1", ItemState.SUCCEEDED)
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "none"}, "model"), ({"reduce_model": "none"}, "reduce_model"),
        ({"summary_tokens": 10}, "summary_tokens"),
        ({"summary_tokens": 1900}, "summary_tokens"), ({"shard_documents": 0}, "shard_documents"),
        ({"documents": []}, "documents"), ({"documents": [{"txt": "x"}]}, "documents[0]"), ({"wrong": 1}, None),
        ({"instructions": "x" * 5000}, "instructions"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_at_once(tmp_path: Path, more: dict[str, Any], param: str | None) -> None:
    async def scenario() -> None:
        kind = Floor(tmp_path).kinds["summarize"]
        with pytest.raises(HeadgateError) as caught:
            kind.check(ALICE, json.dumps({**OPTIONS, "documents": bodies(1), **more}).encode())
        assert caught.value.param == param

    run(scenario)
