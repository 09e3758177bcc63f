"""Jobs over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headgate.job_types import ItemEnd, ItemState, Lease
from tests.admin.office import ALICE, CAROL, Office, error_of, in_office, ledger_row

CHAT = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
ONE = {"kind": "chat", "request": CHAT}
ANSWER = b'{"choices": [{"index": 0, "message": {"content": "h\xc3\xa9"}, "finish_reason": "stop"}]}'


async def do(made: Office, *states: ItemState) -> None:
    """Be a worker: end the items that wait, one after the other."""
    for number, state in enumerate(states):
        (lease,) = await made.work.claim("w1", [made.clock.new_id("req")], 30.0)
        await made.work.finish("w1", [_end(lease, state, number)])


def _end(lease: Lease, state: ItemState, number: int) -> ItemEnd:
    if state is ItemState.SUCCEEDED:
        return ItemEnd(lease.job_id, lease.number, lease.token, state, ANSWER)
    return ItemEnd(lease.job_id, lease.number, lease.token, state, error_code="upstream_error", error=f"no {number}")


def test_a_job_of_one_request(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        submitted = await made.post("/v1/jobs", ONE, headers=ALICE)
        assert submitted.status_code == 202
        job = submitted.json()
        assert (job["state"], job["paused"], job["progress"]) == ("queued", False, {"done": 0, "total": 1})
        assert "not" not in (await made.get("/v1/jobs", headers=ALICE)).json()["data"][0]["state"]
        assert "partial" in error_of(await made.get(f"/v1/jobs/{job['id']}/result", headers=ALICE), 409)["message"]
        await do(made, ItemState.SUCCEEDED)
        done = (await made.get(f"/v1/jobs/{job['id']}", headers=ALICE)).json()
        assert (done["state"], done["progress"], done["cost_usd"]) == ("succeeded", {"done": 1, "total": 1}, "0")
        assert (await made.get(f"/v1/jobs/{job['id']}/result", headers=ALICE)).content == ANSWER

    in_office(tmp_path, scenario)


def test_a_job_of_several_requests_has_a_page_of_results(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", {"requests": [CHAT] * 3}, headers=ALICE)).json()
        await do(made, ItemState.SUCCEEDED, ItemState.FAILED)
        page = (await made.get(f"/v1/jobs/{job['id']}/partial", headers=ALICE, limit=2)).json()
        assert [item["state"] for item in page["data"]] == ["succeeded", "failed"] and page["next"] == 2
        assert page["data"][0]["result"] == json.loads(ANSWER)
        assert page["data"][1]["error"] == {"code": "upstream_error", "message": "no 1"}
        assert (await made.get(f"/v1/jobs/{job['id']}/partial", headers=ALICE, after=2**70)).status_code == 400
        await do(made, ItemState.SUCCEEDED)
        ended = (await made.get(f"/v1/jobs/{job['id']}", headers=ALICE)).json()
        assert ended["state"] == "failed" and ended["items"] == {"succeeded": 2, "failed": 1}
        assert ended["error"]["code"] == "upstream_error"
        assert len((await made.get(f"/v1/jobs/{job['id']}/result", headers=ALICE)).json()["data"]) == 3
        again = await made.post(f"/v1/jobs/{job['id']}/retry", headers=ALICE)
        assert again.json()["items"] == {"queued": 1, "succeeded": 2}

    in_office(tmp_path, scenario)


def test_the_same_idempotency_key_is_the_same_job(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        keyed = {**ALICE, "idempotency-key": "mine"}
        first = await made.post("/v1/jobs", ONE, headers=keyed)
        again = await made.post("/v1/jobs", ONE, headers=keyed)
        assert again.status_code == 202 and again.json()["id"] == first.json()["id"]
        another = {"request": {**CHAT, "temperature": 1}}
        assert "idempotency" in error_of(await made.post("/v1/jobs", another, headers=keyed), 409)["message"]
        assert (await made.post("/v1/jobs", another, headers={**CAROL, "idempotency-key": "mine"})).status_code == 202
        error_of(await made.post("/v1/jobs", ONE, headers={**ALICE, "idempotency-key": "x" * 256}), 400)

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ({}, 400, "request", "either"),
        ({"request": CHAT, "requests": [CHAT]}, 400, "request", "either"),
        ({"requests": []}, 400, "requests", "at least one"),
        ({"kind": "cook", "request": CHAT}, 400, "kind", "chat"),
        ({"request": {**CHAT, "model": "gone"}}, 404, "request.model", "does not exist"),
        ({"requests": [CHAT, {"model": "small"}]}, 400, "requests[1].messages", "messages"),
        ({"requests": [{"model": "small"}]}, 400, "requests[0].messages", "messages"),
        ({"requests": [CHAT, 7]}, 400, "requests[1]", ""),
        ({"request": {**CHAT, "stream": True}}, 400, "request.stream", "stream"),
        ({"request": CHAT, "deadline_at": 5}, 400, "deadline_at", "deadline"),
        ({"request": CHAT, "priority": 1000}, 400, "priority", "100"),
        ({"request": CHAT, "urgent": True}, 400, "urgent", "no parameter"),
    ],
)
def test_mistakes_are_told_at_once(tmp_path: Path, body: dict[str, Any], status: int, param: str, words: str) -> None:
    async def scenario(made: Office) -> None:
        error = error_of(await made.post("/v1/jobs", body, headers=ALICE), status)
        assert error["param"] == param and words in error["message"]
        assert (await made.get("/v1/jobs", headers=ALICE)).json() == {"data": [], "next": None}

    in_office(tmp_path, scenario)


def test_nobody_sees_or_touches_the_jobs_of_another_tenant(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", ONE, headers=ALICE)).json()
        for what in ("", "/result", "/partial", "/events"):
            error_of(await made.get(f"/v1/jobs/{job['id']}{what}", headers=CAROL), 404)
        for command in ("cancel", "pause", "resume", "retry"):
            error_of(await made.post(f"/v1/jobs/{job['id']}/{command}", headers=CAROL), 404)
        assert (await made.get("/v1/jobs", headers=CAROL)).json()["data"] == []
        error_of(await made.post("/v1/jobs", ONE, headers={}), 401)

    in_office(tmp_path, scenario)


def test_commands(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", {"requests": [CHAT] * 2}, headers=ALICE)).json()
        at = f"/v1/jobs/{job['id']}"
        assert (await made.post(f"{at}/pause", headers=ALICE)).json()["paused"]
        assert not await made.work.claim("w1", ["req_1"], 30.0)
        assert not (await made.post(f"{at}/resume", headers=ALICE)).json()["paused"]
        cancelled = (await made.post(f"{at}/cancel", headers=ALICE)).json()
        assert (cancelled["state"], cancelled["progress"]) == ("cancelled", {"done": 2, "total": 2})
        assert "nothing left to pause" in error_of(await made.post(f"{at}/pause", headers=ALICE), 400)["message"]
        wrong = error_of(await made.get("/v1/jobs", headers=ALICE, state="done"), 400)
        assert wrong["message"].startswith("Choose one of queued, ") and wrong["message"].endswith(" in 'state'.")
        by_state = (await made.get("/v1/jobs", headers=ALICE, state="cancelled")).json()["data"]
        assert [each["id"] for each in by_state] == [job["id"]]

    in_office(tmp_path, scenario)


def test_events_follow_a_job_to_its_end_and_can_be_resumed(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", {"requests": [CHAT] * 2}, headers=ALICE)).json()
        at = f"/v1/jobs/{job['id']}/events"
        following = asyncio.create_task(made.get(at, headers=ALICE))
        await do(made, ItemState.SUCCEEDED, ItemState.SUCCEEDED)
        answer = await following
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = [dict(line.split(": ", 1) for line in event.split("\n")) for event in answer.text.split("\n\n") if event]
        assert [event["event"] for event in told][-1] == "done" and {event["event"] for event in told[:-1]} <= {"job"}
        ids = [int(event["id"]) for event in told]
        assert ids == sorted(set(ids))
        assert json.loads(told[-1]["data"])["state"] == "succeeded"
        rest = await made.get(at, headers={**ALICE, "last-event-id": told[-1]["id"]})
        assert rest.text == ""

    in_office(tmp_path, scenario)


def test_a_job_that_is_under_way_says_what_is_to_come(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", {"requests": [CHAT] * 12}, headers=ALICE)).json()
        at = f"/v1/jobs/{job['id']}"
        first = (await made.get(at, headers=ALICE)).json()
        assert (first["forecast_usd"], first["eta"], first["queue_position"]) == (None, None, 1)
        leases = await made.work.claim("w1", [f"req_{number}" for number in range(1, 10)], 30.0)
        await made.ledger.write([ledger_row(number, cost_picousd=number * 10**6) for number in range(1, 10)])
        ends = [ItemEnd(lease.job_id, lease.number, lease.token, ItemState.SUCCEEDED, ANSWER) for lease in leases]
        for end in ends:
            await made.work.finish("w1", [end])
        made.clock.monotonic = lambda: 1e9  # a moment later
        then = (await made.get(at, headers=ALICE)).json()
        assert then["cost_usd"] == "0.000045" and float(then["forecast_usd"]) == pytest.approx(0.000060)
        low, high = map(float, then["forecast_usd_between"])
        assert 0.000045 <= low < 0.000060 < high and then["eta_between"][0] <= then["eta"] <= then["eta_between"][1]
        assert then["eta"] > first["created_at"] and then["queue_position"] is None

    in_office(tmp_path, scenario)


def test_jobs_of_a_user_and_of_a_time(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job = (await made.post("/v1/jobs", ONE, headers=ALICE)).json()

        async def found(**query: object) -> list[str]:
            answer = await made.get("/v1/jobs", headers=ALICE, **query)
            return [each["id"] for each in answer.json()["data"]]

        mine, none = [job["id"]], []
        assert await found(user="alice") == mine and await found(user="bob") == none
        assert await found(since="1h") == mine and await found(until="1h") == none
        assert await found(since=job["created_at"], until=job["created_at"] + 1) == mine
        assert await found(since="2100-01-01") == none
        error_of(await made.get("/v1/jobs", headers=ALICE, since="soon"), 400)

    in_office(tmp_path, scenario)


def test_off_peak_hours(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        now = datetime.fromtimestamp(made.clock.now(), UTC)
        later = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=4):%H:%M}"
        job = (await made.post("/v1/jobs", {**ONE, "window": later, "timezone": "UTC"}, headers=ALICE)).json()
        assert (job["window"], job["timezone"]) == (later, "UTC")
        assert 3600 < job["opens_at"] - made.clock.now() <= 7200
        assert await made.work.claim("w1", ["req_x"], 30.0) == []
        usual = (await made.post("/v1/jobs", {**ONE, "window": later}, headers=ALICE)).json()
        assert usual["timezone"], "the tenant's"
        wrong = error_of(await made.post("/v1/jobs", {**ONE, "window": "nights"}, headers=ALICE), 400)
        assert wrong["param"] == "window" and "01:00-06:00" in wrong["message"]
        too_late = {**ONE, "window": later, "timezone": "UTC", "deadline_at": made.clock.now() + 60}
        assert error_of(await made.post("/v1/jobs", too_late, headers=ALICE), 400)["param"] == "deadline_at"

    in_office(tmp_path, scenario)
