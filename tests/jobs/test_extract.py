"""Facts out of documents: what does not fit the schema is asked for once more, and then said."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from headgate.errors import HeadgateError, InvalidRequest
from headgate.job_types import Job, JobState, NewJob
from headgate.jobs.documents import documents_id
from headgate.jobs.extract import ExtractOptions, fitting, validator_of
from headgate.jobs.tasks import Task
from tests.gateway.corridor import ALICE, run
from tests.jobs.floor import OWNER, Floor

SCHEMA = {
    "type": "object", "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name"], "additionalProperties": False,
}  # fmt: skip
DOCUMENTS = [{"name": f"doc-{number}", "text": f"Text {number}."} for number in (1, 2, 3)]
FENCED = '```json\n{"name": "a"}\n```'


async def submit(floor: Floor, **more: Any) -> Job:
    body = json.dumps({"model": "small", "schema": SCHEMA, "documents": DOCUMENTS, **more}).encode()
    floor.kinds["extract"].check(ALICE, body)
    return (await floor.jobs.submit(NewJob("job_1", OWNER, "extract", (body,), floor.clock.now())))[0]


def answering(monkeypatch: pytest.MonkeyPatch, **answers: list[str]) -> list[dict[str, Any]]:
    """Models that answer so, for each document in turn. What they were asked."""
    asked: list[dict[str, Any]] = []

    async def ask(_task: Task, _kind: str, body: bytes) -> bytes:
        asked.append(json.loads(body))
        name = asked[-1]["messages"][1]["content"].partition("\n")[0].replace("-", "_")
        message = {"message": {"content": answers[name].pop(0)}, "finish_reason": "stop"}
        return json.dumps({"choices": [message]}).encode()

    monkeypatch.setattr(Task, "ask", ask)
    return asked


def test_values_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        bad = '{"name": "c", "year": "then"}'
        good = ['{"name": "a", "year": 1999}'], [FENCED], [bad, '{"name": "c"}']
        asked = answering(monkeypatch, doc_1=good[0], doc_2=good[1], doc_3=good[2])
        floor.start("w1")
        job = await floor.until_over(await submit(floor))
        found = await floor.jobs.items(documents_id(job.id), 9)
        assert [json.loads(item.result) for item in found] == [
            {"name": "a", "year": 1999},
            {"name": "a"},
            {"name": "c"},
        ]
        (whole,) = await floor.jobs.items(job.id, 9)
        assert json.loads(whole.result) == {"documents": 3, "extracted": 3, "results": f"{job.id}-documents"}
        (again,) = [each["messages"] for each in asked if len(each["messages"]) > 2]
        assert again[2] == {"role": "assistant", "content": bad}
        assert "['year']" in again[3]["content"] and "integer" in again[3]["content"]
        await floor.stop()

    run(scenario)


def test_what_never_fits_is_a_named_error_of_its_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        floor = Floor(tmp_path)
        asked = answering(monkeypatch, doc_1=['{"name": "a"}'], doc_2=["I cannot", "no"], doc_3=["[]", "{}"])
        floor.start("w1")
        job = await floor.until_over(await submit(floor))
        found = await floor.jobs.items(documents_id(job.id), 9)
        assert [item.error_code for item in found] == ["", "answer_invalid", "answer_invalid"]
        assert "'name' is a required property" in found[2].error.replace('"', "'")
        assert job.state is JobState.SUCCEEDED and len(asked) == 5
        await floor.stop()

    run(scenario)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"schema": {"type": "nope"}}, "schema"), ({"schema": {"$ref": "http://elsewhere/x"}}, "schema"),
        ({"schema": {"items": [{"$ref": "file:///etc"}]}}, "schema"), ({"schema": {"pattern": "("}}, "schema"),
        ({"model": "none"}, "model"), ({"documents": []}, "documents"), ({"schema": 5}, "schema"),
        ({"schema": {"enum": ["x" * 60_000]}}, "schema"), ({"answer_tokens": 0}, "answer_tokens"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_at_once(tmp_path: Path, more: dict[str, Any], param: str) -> None:
    async def scenario() -> None:
        with pytest.raises(HeadgateError) as caught:
            await submit(Floor(tmp_path), **more)
        assert caught.value.param == param

    run(scenario)


def test_patterns_that_take_for_ever_do_not() -> None:
    options = ExtractOptions(model="m", schema={"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert fitting(json.dumps({"a": "a" * 60 + "!"}), options)[1]
    assert fitting("[" * 100_000, options)[1].startswith("it is not valid JSON")


def test_a_schema_makes_headgate_ask_nobody() -> None:
    """It is a caller's: its names must not lead into the operator's network, nor keep the gateway waiting there."""
    asked: list[str] = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        inside = f"http://127.0.0.1:{server.server_port}/meta"
        for schema in (
            {"$schema": inside}, {"properties": {"a": {"$schema": inside}}}, {"$ref": inside}, {"$dynamicRef": inside},
            {"$schema": "file:///etc/passwd"}, {"anyOf": [{"$recursiveRef": inside}]}, {"$schema": 7},
        ):  # fmt: skip
            with pytest.raises(InvalidRequest, match="A schema"):
                validator_of(json.dumps(schema).encode())
        server.shutdown()
    assert not asked


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]
)
def test_a_schema_may_say_which_draft_it_is_written_in(draft: str) -> None:
    shape = {"$schema": draft, "type": "object", "properties": {"$schema": {"type": "string"}}}
    assert validator_of(json.dumps(shape).encode()).is_valid({"$schema": "mine"})
