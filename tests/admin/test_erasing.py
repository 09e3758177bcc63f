"""Erasing and quotas over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.job_types import ItemState
from tests.admin.office import ADMIN, ALICE, CAROL, CONFIG, Office, error_of, in_office
from tests.admin.test_jobs import CHAT, ONE, do
from tests.contract.test_cache_store import kept

QUOTAS = CONFIG.replace(b'pro: {models: ["*"]}', b'pro: {models: ["*"], jobs: {open_items: 3}}') + (
    b"jobs: {quota: {bytes: 150}}\n"
)


async def submitted(made: Office, headers: dict[str, str] = ALICE) -> str:
    return str((await made.post("/v1/jobs", ONE, headers=headers)).json()["id"])


async def erase(made: Office, **what: object) -> dict[str, int]:
    answer = await made.post("/admin/erase", what)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_caller_erases_his_job_when_it_is_over(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        job_id = await submitted(made)
        at = f"/v1/jobs/{job_id}"
        error_of(await made.client.delete(at, headers=CAROL), 404)
        assert error_of(await made.client.delete(at, headers=ALICE), 409)["param"] == "cancel"
        await do(made, ItemState.SUCCEEDED)
        gone = (await made.client.delete(at, headers=ALICE)).json()
        assert gone == {"jobs": 1, "files_and_keys": 0, "cached": 0}
        error_of(await made.get(at, headers=ALICE), 404)
        error_of(await made.client.delete(at, headers=ALICE), 404)
        (entry,) = [one for one in (await made.get("/admin/audit")).json()["data"] if one["command"] == "EraseJob"]
        assert entry["subject"] == job_id and entry["by"].startswith("key ")
        other = await submitted(made)
        assert (await made.client.delete(f"/v1/jobs/{other}?cancel=true", headers=ALICE)).json()["jobs"] == 1

    in_office(tmp_path, scenario)


def test_an_operator_erases_a_user_and_a_tenant(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        mine, others = [await submitted(made) for _ in range(3)], await submitted(made, CAROL)
        await do(made, *[ItemState.SUCCEEDED] * 3)
        running = await submitted(made)
        refusal = error_of(await made.post("/admin/erase", {"tenant": "acme"}), 409)
        assert (
            running in refusal["message"] and (await made.get(f"/v1/jobs/{mine[0]}", headers=ALICE)).status_code == 200
        )
        for user in ("alice", "bob"):
            made.cache.put(kept(user.encode(), user=user, expires_at=made.clock.now() + 60))
        gone = await erase(made, tenant="acme", user="nobody")
        assert (gone["jobs"], gone["cached"]) == (0, 0)
        gone = await erase(made, tenant="acme", user="alice", cancel=True)
        assert (gone["jobs"], gone["cached"]) == (4, 1)
        assert (await made.get("/v1/jobs", headers=ALICE)).json()["data"] == []
        assert (await erase(made, job=others, cancel=True))["jobs"] == 1
        gone = await erase(made, tenant="acme")
        assert (gone["jobs"], gone["cached"]) == (0, 1)
        subjects = [one["subject"] for one in (await made.get("/admin/audit")).json()["data"]]
        assert subjects[:4] == ["acme", others, "acme alice", "acme nobody"]

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("body", [{}, {"user": "alice"}, {"job": "job_1", "tenant": "acme"}, {"job": "x", "user": "y"}])
def test_what_is_to_be_erased_must_be_said(tmp_path: Path, body: dict[str, str]) -> None:
    async def scenario(made: Office) -> None:
        error_of(await made.post("/admin/erase", body), 400)
        error_of(await made.post("/admin/erase", {"tenant": "acme"}, headers=ALICE), 401)
        error_of(await made.post("/admin/erase", {"job": "job_1"}, headers=ADMIN), 404)

    in_office(tmp_path, scenario)


def test_a_tenant_leaves_no_more_than_it_may(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        three = {"requests": [CHAT] * 3}
        assert (await made.post("/v1/jobs", three, headers=ALICE)).status_code == 202
        refused = await made.post("/v1/jobs", ONE, headers=ALICE)
        refusal = error_of(refused, 429)
        assert refused.headers["retry-after"] == "60"
        assert refusal["code"] == "job_quota_exceeded" and "3 items" in refusal["message"]
        await do(made, ItemState.SUCCEEDED)
        made.clock.monotonic = lambda: 1e9  # a moment later
        assert (await made.post("/v1/jobs", ONE, headers=ALICE)).status_code == 202
        first = await submitted(made, CAROL)
        await submitted(made, CAROL)
        refusal = error_of(await made.post("/v1/jobs", ONE, headers=CAROL), 429)
        assert "150" in refusal["message"] and "Erase" in refusal["message"]
        assert (await made.client.delete(f"/v1/jobs/{first}?cancel=true", headers=CAROL)).status_code == 200
        assert (await made.post("/v1/jobs", ONE, headers=CAROL)).status_code == 202

    in_office(tmp_path, scenario, QUOTAS)
