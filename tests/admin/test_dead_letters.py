"""Dead letters over HTTP: operators see all of them and move them, and the trail says who did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.job_types import ItemEnd, ItemState
from headgate.queue_types import NewDeadLetter
from tests.admin.office import ALICE, Office, in_office
from tests.admin.test_jobs import CHAT, error_of


async def bury(made: Office, items: int = 3) -> str:
    job: dict[str, Any] = (await made.post("/v1/jobs", {"requests": [CHAT] * items}, headers=ALICE)).json()
    leases = await made.work.claim("w1", [f"{job['id']}_{number}" for number in range(items)], 30.0)
    ends = [ItemEnd(one.job_id, one.number, one.token, ItemState.DEAD, b"", "upstream", "503") for one in leases]
    await made.work.finish("w1", ends)
    return str(job["id"])


def test_items_are_listed_shown_and_moved(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job_id = await bury(made)
        page = (await made.get("/admin/dead-letters", limit=2)).json()
        assert [one["id"] for one in page["data"]] == [f"{job_id}:3", f"{job_id}:2"]
        page = (await made.get("/admin/dead-letters", after=page["next"], tenant="acme", code="upstream")).json()
        assert [one["number"] for one in page["data"]] == [1] and page["next"] is None
        for cursor in (f"{job_id}:3", "nan:job_1:2", "1.0:job_1:x"):
            error_of(await made.get("/admin/dead-letters", after=cursor), 400)
        one = (await made.get(f"/admin/dead-letters/{job_id}:3")).json()
        assert (one["tenant"], one["reason"], one["code"]) == ("acme", "503", "upstream") and "messages" in one["body"]
        moved = await made.post("/admin/dead-letters/redrive", {"ids": [f"{job_id}:1"]})
        assert moved.json() == {"count": 1}
        assert (await made.post("/admin/dead-letters/drop", {"job_id": job_id})).json() == {"count": 2}
        job = (await made.get(f"/v1/jobs/{job_id}", headers=ALICE)).json()
        assert job["items"] == {"queued": 1, "failed": 2}
        trail = (await made.get("/admin/audit")).json()["data"]
        assert [entry["command"] for entry in trail[:2]] == ["DropDeadLetters", "RedriveDeadLetters"]
        assert trail[0]["subject"] == job_id and trail[1]["fields"]["ids"] == [f"{job_id}:1"]
        error_of(await made.get(f"/admin/dead-letters/{job_id}:3"), 404)

    in_office(tmp_path, scenario)


def test_messages_are_listed_shown_and_dropped(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        await made.dead_letters.add(NewDeadLetter("redis://host/requests", "1-0", b"{", "no JSON"))
        await made.dead_letters.add(NewDeadLetter("redis://host/requests", "2-0", b"\xff", "no text"))
        page = (await made.get("/admin/dead-letters", source="messages", limit=1)).json()
        (newest,) = page["data"]
        assert (newest["body"], newest["is_base64"], newest["position"]) == ("/w==", True, "2-0")
        (oldest,) = (await made.get("/admin/dead-letters", source="messages", after=page["next"])).json()["data"]
        assert (oldest["body"], oldest["source"], oldest["reason"]) == ("{", "redis://host/requests", "no JSON")
        refused = await made.post("/admin/dead-letters/redrive", {"ids": [oldest["id"]]})
        assert "--to" in error_of(refused, 400)["message"]
        job_id = await bury(made, 1)
        both = {"ids": [oldest["id"], f"{job_id}:1"]}
        assert (await made.post("/admin/dead-letters/drop", both)).json() == {"count": 2}
        error_of(await made.get(f"/admin/dead-letters/{oldest['id']}"), 404)

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("body", [{}, {"ids": ["nonsense"]}, {"ids": []}, {"ids": ["job_1:x"]}])
def test_which_ones_must_be_said(tmp_path: Path, body: dict[str, Any]) -> None:
    async def scenario(made: Office) -> None:
        for name in ("redrive", "drop"):
            error_of(await made.post(f"/admin/dead-letters/{name}", body), 400)

    in_office(tmp_path, scenario)


def test_callers_do_not_see_them(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        assert (await made.get("/admin/dead-letters", headers=ALICE)).status_code in (401, 403)

    in_office(tmp_path, scenario)
