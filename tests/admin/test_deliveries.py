"""Deliveries over HTTP: who is told, telling again, secrets and signed links."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate.job_types import ItemState
from tests.admin.office import ALICE, CAROL, CONFIG, Office, error_of, in_office
from tests.admin.test_jobs import ANSWER, CHAT, ONE, do
from tests.providers.loopback import answering, serving

ALLOWED = CONFIG + b"jobs: {webhooks: {allow_networks: [127.0.0.0/8]}}\n"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_webhook_from_its_submission_to_telling_it_again(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        async with serving(answering(OK)) as server:
            url = f"http://127.0.0.1:{server.port}/x"
            job = (await made.post("/v1/jobs", {**ONE, "webhook": url}, headers=ALICE)).json()
            at = f"/v1/jobs/{job['id']}"
            assert (await made.get(f"{at}/deliveries", headers=ALICE)).json() == {"data": []}
            assert (await made.post(f"{at}/redeliver", headers=ALICE)).json() == {"data": []}
            await do(made, ItemState.SUCCEEDED)
            (waiting,) = (await made.get(f"{at}/deliveries", headers=ALICE)).json()["data"]
            assert (waiting["kind"], waiting["address"], waiting["state"]) == ("webhook", url, "pending")
            (again,) = (await made.post(f"{at}/redeliver", headers=ALICE)).json()["data"]
            assert again["id"] == waiting["id"] and again["event"] == "job.succeeded"
            assert await made.deliveries.relay.step() == 1
            (told,) = (await made.get(f"{at}/deliveries", headers=ALICE)).json()["data"]
            assert (told["state"], told["answer"], told["next_at"]) == ("delivered", "204", None)
            for what in (made.get(f"{at}/deliveries", headers=CAROL), made.post(f"{at}/redeliver", headers=CAROL)):
                error_of(await what, 404)

    in_office(tmp_path, scenario, ALLOWED)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"webhook": "http://127.0.0.1/"}, "webhook_refused"),
        ({"webhook": "http://[::ffff:169.254.169.254]/"}, "webhook_refused"),
        ({"mail": "ann@example.com"}, "mail_refused"),
        ({"reply_to": "kafka://broker/answers"}, "reply_to_refused"),
    ],
)
def test_who_cannot_be_told_is_named_at_once(tmp_path: Path, told: dict[str, str], code: str) -> None:
    async def scenario(made: Office) -> None:
        error = error_of(await made.post("/v1/jobs", {**ONE, **told}, headers=ALICE), 400)
        assert (error["code"], error["param"]) == (code, next(iter(told)))
        assert (await made.get("/v1/jobs", headers=ALICE)).json()["data"] == []

    in_office(tmp_path, scenario)


def test_every_tenant_has_a_secret_of_its_own(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        mine = (await made.get("/v1/webhooks/secret", headers=ALICE)).json()["secret"]
        assert mine.startswith("whsec_")
        assert (await made.get("/v1/webhooks/secret", headers=ALICE)).json()["secret"] == mine
        assert (await made.get("/v1/webhooks/secret", headers=CAROL)).json()["secret"] != mine
        error_of(await made.get("/v1/webhooks/secret", headers={}), 401)

    in_office(tmp_path, scenario)


def test_a_signed_link_leads_to_one_result_without_a_key(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        first = (await made.post("/v1/jobs", ONE, headers=ALICE)).json()["id"]
        several = (await made.post("/v1/jobs", {"requests": [CHAT] * 3}, headers=ALICE)).json()["id"]
        await do(made, *[ItemState.SUCCEEDED] * 4)
        until = int(time.time()) + 60
        signer = made.deliveries.desk.signer

        async def link(job_id: str, expires: int = until) -> str:
            signed = {"expires": expires, "signature": await signer.link_signature(job_id, expires)}
            return f"/v1/jobs/{job_id}/result?{urlencode(signed)}"

        assert (await made.client.get(await link(first))).content == ANSWER
        page = (await made.client.get(f"{await link(several)}&limit=2&after=1")).json()
        assert [item["number"] for item in page["data"]] == [2, 3]
        stolen = (await link(first)).replace(first, several)
        late = await link(first, int(time.time()) - 1)
        for url in (stolen, late, f"/v1/jobs/{first}/result?signature=x", f"{await link(first)}0"):
            assert error_of(await made.client.get(url), 403)["code"] == "link_expired"
        error_of(await made.client.get(f"/v1/jobs/{first}/result"), 401)
        error_of(await made.client.get((await link(first)).replace("/result", "")), 401)  # only the result

    in_office(tmp_path, scenario)
