"""Functions of users as kinds of jobs: each step once, whatever dies, and errors that say what happened."""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headgate.errors import HeadgateError, InvalidRequest, ModelNotFound
from headgate.job_types import JobState, NewJob, RetryRules
from headgate.jobs.batch_kind import BATCH_KIND
from headgate.jobs.built_in import NAMES
from headgate.jobs.tasks import Task
from headgate.pipelines import PipelineKind, Steps, TryAgain, load_pipelines
from headgate.types import Caller
from tests.gateway.corridor import ALICE, run
from tests.jobs.floor import OWNER, Floor


async def submitted(floor: Floor, kind: str, request: dict[str, Any]) -> str:
    body = json.dumps(request).encode()
    floor.kinds[kind].check(ALICE, body)
    new = NewJob(floor.clock.new_id("job"), OWNER, kind, (body,), floor.clock.now())
    return (await floor.jobs.submit(new))[0].id


async def result(floor: Floor, job_id: str) -> Any:
    job = await floor.until_over(await floor.jobs.get(job_id))
    (item,) = await floor.jobs.items(job_id, 1)
    return json.loads(item.result) if item.result else (job.state, item.error_code, item.error)


async def essay(steps: Steps, wanted: dict[str, Any]) -> dict[str, Any]:
    """A plan, then parts side by side."""
    plan = await steps.step("plan", lambda: steps.chat("small", f"Plan {wanted['topic']}", max_tokens=20))
    async with asyncio.TaskGroup() as group:
        parts = [
            group.create_task(steps.step(f"part {number}", lambda: steps.chat("small", plan)))
            for number in range(wanted["parts"])
        ]
    return {"plan": plan, "parts": [part.result() for part in parts]}


def test_a_pipeline_is_a_kind_of_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.kinds["essay"] = PipelineKind("essay", essay)
        floor.start("w1")
        made = await result(floor, await submitted(floor, "essay", {"topic": "mills", "parts": 3}))
        assert made["plan"] and len(made["parts"]) == 3 and all(made["parts"])
        assert len(floor.corridor.journal.appended) == 4
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0, 4.0, 6.0])
def test_steps_that_were_done_are_not_done_again(tmp_path: Path, seconds: float) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path, rules=RetryRules(lost_workers=9))
        calls: list[int] = []

        async def slow(steps: Steps, count: int) -> list[int]:
            async def one(number: int) -> int:
                await asyncio.sleep(1.0)
                calls.append(number)
                return number

            return [
                await steps.step(f"{number}/{count} parts", lambda number=number: one(number))
                for number in range(count)
            ]

        floor.kinds["slow"] = PipelineKind("slow", slow)
        floor.start("w1")
        job_id = await submitted(floor, "slow", 6)  # type: ignore[arg-type]
        await asyncio.sleep(seconds)
        floor.kill("w1")
        floor.start("w2")
        assert await result(floor, job_id) == list(range(6))
        assert calls == list(range(6))
        await floor.stop()

    run(scenario)


async def broken(steps: Steps, _: Any) -> Any:
    await steps.step("first", lambda: steps.chat("small", "hello"))
    raise KeyError("tpoic")


async def not_json(steps: Steps, _: Any) -> Any:
    return object()


async def another_model(steps: Steps, _: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(steps.ask({"model": "none", "messages": [{"role": "user", "content": "?"}]}))
        group.create_task(asyncio.sleep(1))


async def leaves(steps: Steps, _: Any) -> Any:
    raise SystemExit(3)


async def leaves_beside(steps: Steps, _: Any) -> Any:
    async def leave() -> int:
        raise SystemExit(3)

    await asyncio.gather(steps.step("one", leave))


async def gives_up(steps: Steps, _: Any) -> Any:
    raise asyncio.CancelledError


async def same_name(steps: Steps, _: Any) -> Any:
    return [await steps.step("same", partial(asyncio.sleep, 0, number)) for number in range(2)]


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        (leaves, "pipeline_failed", "raised SystemExit: 3"),
        (leaves_beside, "pipeline_failed", "The step 'one' raised SystemExit: 3"),
        (gives_up, "pipeline_failed", "raised CancelledError"),
        (same_name, "pipeline_failed", "Two steps are called 'same'"),
        (broken, "pipeline_failed", "raised KeyError: 'tpoic'"),
        (not_json, "pipeline_failed", "TypeError"),
        (another_model, "model_not_found", "'none'"),
    ],
)
def test_what_a_pipeline_raises_is_the_error_of_its_item(tmp_path: Path, function: Any, code: str, words: str) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.kinds["mine"] = PipelineKind("mine", function)
        floor.start("w1")
        state, found, message = await result(floor, await submitted(floor, "mine", {}))
        assert (state, found) == (JobState.FAILED, code) and words in message
        await floor.stop()

    run(scenario)


def test_nothing_goes_on_beside_a_pipeline_that_has_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)

        async def half(steps: Steps, _: Any) -> None:
            async def fail() -> None:
                await asyncio.sleep(0.01)
                raise ValueError("no")

            async def rest() -> None:
                for number in range(5):
                    await steps.chat("small", f"part {number}")

            await asyncio.gather(rest(), fail())

        floor.kinds["half"] = PipelineKind("half", half)
        floor.start("w1")
        state, code, _ = await result(floor, await submitted(floor, "half", {}))
        await asyncio.sleep(60)
        assert (state, code) == (JobState.FAILED, "pipeline_failed")
        assert len(floor.corridor.journal.appended) <= 1 and floor.corridor.at_rest()
        await floor.stop()

    run(scenario)


def test_an_item_whose_kind_gives_up_is_not_tried_for_ever(tmp_path: Path) -> None:
    class GivesUp:
        public = True

        def check(self, caller: Caller, body: bytes) -> None:
            """Anything goes."""

        async def run(self, task: Task) -> bytes:
            raise asyncio.CancelledError

    async def scenario() -> None:
        floor = Floor(tmp_path, rules=RetryRules(retries=2))
        floor.kinds["gives_up"] = GivesUp()
        floor.start("w1")
        state, code, _ = await result(floor, await submitted(floor, "gives_up", {}))
        assert (state, code) == (JobState.DEAD, "internal_error")
        await floor.stop()

    run(scenario)


def test_no_kind_of_headgate_may_be_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        assert {*floor.kinds, BATCH_KIND} == NAMES
        await floor.stop()

    run(scenario)


def test_who_wants_to_be_tried_again_keeps_his_steps(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        tries: list[str] = []

        async def later(steps: Steps, _: Any) -> str:
            word = await steps.step("word", lambda: steps.chat("small", "one word"))
            tries.append(word)
            if len(tries) < 3:
                raise TryAgain("the shop is closed", after_seconds=120)
            return word

        floor.kinds["later"] = PipelineKind("later", later)
        floor.start("w1")
        began = floor.clock.now()
        word = await result(floor, await submitted(floor, "later", {}))
        assert tries == [word] * 3 and len(floor.corridor.journal.appended) == 1
        assert 240 < floor.clock.now() - began < 300
        await floor.stop()

    run(scenario)


def test_a_report_is_written_section_by_section(tmp_path: Path) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        floor.start("w1")
        job_id = await submitted(floor, "report", {"topic": "Water mills", "model": "small", "sections": 3})
        made = await result(floor, job_id)
        assert made["text"].startswith("# Water mills\n\n## ") and 1 <= len(made["sections"]) <= 3
        assert made["text"].count("\n## ") == len(made["sections"])
        assert len(floor.corridor.journal.appended) == 1 + len(made["sections"])
        for wrong, kind in (
            ({"topic": "x", "model": "none"}, ModelNotFound),
            ({"topic": "", "model": "small"}, InvalidRequest),
        ):
            with pytest.raises(kind):
                floor.kinds["report"].check(ALICE, json.dumps(wrong).encode())
        await floor.stop()

    run(scenario)


def test_what_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    functions = ("async def essay(steps, wanted): return wanted", "def plain(): pass", "async def lonely(): pass")
    (tmp_path / "house_jobs.py").write_text("\n".join(functions))
    (tmp_path / "house_broken.py").write_text("raise RuntimeError('not today')\n")
    kinds = load_pipelines({"essay": "house_jobs:essay"}, {})
    assert set(kinds) == {"essay"} and kinds["essay"].public
    for place, words in (
        ("house_jobs:plain", "no async function 'plain'"),
        ("house_jobs:gone", "no async function 'gone'"),
        ("house_missing:essay", "cannot be imported: ModuleNotFoundError"),
        ("house_broken:essay", "RuntimeError: not today"),
        ("house_jobs:lonely", r"'lonely' must take \(steps, request\)"),
    ):
        with pytest.raises(HeadgateError, match=words):
            load_pipelines({"mine": place}, {})
    with pytest.raises(InvalidRequest, match="Choose another"):
        load_pipelines({"essay": "house_jobs:essay"}, kinds)
    for name in ("house_jobs", "house_broken"):
        sys.modules.pop(name, None)
