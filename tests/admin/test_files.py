"""Files over HTTP: forms in every order and of every kind of wrong, and the bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from headgate.errors import NotFound
from headgate.file_types import PIECE_BYTES
from tests.admin.office import ALICE, CAROL, CONFIG, Office, error_of, in_office

FORM = "multipart/form-data; boundary=edge"
FILE = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n%b\r\n'
PURPOSE = b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n%b\r\n'
END = b"--edge--\r\n"


async def send(office: Office, *parts: bytes, content_type: str = FORM) -> httpx.Response:
    headers = {**ALICE, "content-type": content_type}
    return await office.client.post("/v1/files", headers=headers, content=b"".join(parts))


def test_fields_may_stand_before_and_behind_the_file(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        content = bytes(range(256)) * (PIECE_BYTES // 100)  # several pieces
        for parts in ((PURPOSE % b"user_data", FILE % content), (FILE % content, PURPOSE % b"user_data")):
            made = (await send(office, *parts, END)).json()
            assert (made["filename"], made["bytes"], made["status"]) == ("a.jsonl", len(content), "processed")
            got = await office.get(f"/v1/files/{made['id']}/content", ALICE)
            assert got.content == content and got.headers["content-type"] == "application/octet-stream"
            error_of(await office.get(f"/v1/files/{made['id']}/content", CAROL), 404)

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "parts, param",
    [
        ((PURPOSE % b"batch", END), "file"),
        ((FILE % b"x", END), "purpose"),
        ((PURPOSE % b"fun", FILE % b"x", END), "purpose"),
        ((PURPOSE % b"batch_output", FILE % b"x", END), "purpose"),
        ((PURPOSE % b"batch", FILE % b"x", FILE % b"y", END), "file"),
        ((PURPOSE % b"batch", FILE.replace(b'name="file"', b'name="data"') % b"x", END), "data"),
        ((PURPOSE % b"batch", FILE % b"x", PURPOSE.replace(b"purpose", b"colour") % b"red", END), "colour"),
        ((PURPOSE % b"batch", FILE % b"x", PURPOSE.replace(b"purpose", b"expires_after[seconds]") % b"9", END),
         "expires_after"),
        ((PURPOSE % b"batch", FILE % b"x", PURPOSE.replace(b"purpose", b"expires_after[anchor]") % b"now", END),
         "expires_after"),
        ((PURPOSE % b"batch", FILE % b"x", PURPOSE.replace(b"purpose", b"expires_after[seconds]") % (b"9" * 900), END),
         "expires_after"),
        ((PURPOSE % b"batch", FILE % b"x"), None),
        ((b"something else",), None),
        ((PURPOSE % (b"x" * 5000), FILE % b"x", END), None),
    ],
)  # fmt: skip
def test_a_wrong_form_is_named_and_nothing_of_it_kept(
    tmp_path: Path, parts: tuple[bytes, ...], param: str | None
) -> None:
    async def scenario(office: Office) -> None:
        error = error_of(await send(office, *parts), 400)
        assert error["param"] == param and error["message"]
        assert (await office.get("/v1/files", ALICE)).json()["data"] == []

    in_office(tmp_path, scenario)


def test_another_content_type_is_refused(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        for content_type in ("application/json", "multipart/form-data", ""):
            error = error_of(await send(office, b"{}", content_type=content_type), 400)
            assert error["param"] == "content-type"

    in_office(tmp_path, scenario)


def test_the_bounds_of_a_file_and_of_a_tenant(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        async def post(size: int) -> httpx.Response:
            return await send(office, PURPOSE % b"user_data", FILE % (b"x" * size), END)

        assert error_of(await post(2001), 413)["code"] == "body_too_large"
        first: dict[str, Any] = (await post(2000)).json()
        assert error_of(await post(1500), 413)["code"] == "file_quota_exceeded"
        assert (await post(1000)).status_code == 200
        assert error_of(await post(1), 413)["code"] == "file_quota_exceeded"
        assert (await office.client.delete(f"/v1/files/{first['id']}", headers=ALICE)).json()["deleted"]
        assert (await post(2000)).status_code == 200

    in_office(tmp_path, scenario, CONFIG + b"files: {file_bytes: 2000, tenant_bytes: 3000}\n")


def test_batches_that_are_asked_for_wrongly(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        file = (await send(office, PURPOSE % b"batch", FILE % b"{}", END)).json()["id"]
        right = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
        wrong: list[tuple[dict[str, Any], int]] = [
            ({"input_file_id": "file-none"}, 404), ({"endpoint": "/v1/images"}, 400),
            ({"completion_window": "1h"}, 400),
            ({"metadata": {"a": 1}}, 400), ({"metadata": dict.fromkeys(map(str, range(17)), "")}, 400),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400), ({"more": 1}, 400),
        ]  # fmt: skip
        for change, status in wrong:
            error_of(await office.post("/v1/batches", right | change, headers=ALICE), status)
        keyed = {**ALICE, "idempotency-key": "once"}
        first, second = [(await office.post("/v1/batches", right, headers=keyed)).json()["id"] for _ in range(2)]
        assert first == second
        error_of(await office.post("/v1/batches", right | {"endpoint": "/v1/responses"}, headers=keyed), 409)

    in_office(tmp_path, scenario)


def test_a_tenant_whose_jobs_take_too_much_makes_no_batches(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        file = (await send(office, PURPOSE % b"batch", FILE % b"{}", END)).json()["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
        assert (await office.post("/v1/batches", asked, headers=ALICE)).status_code == 200
        refused = error_of(await office.post("/v1/batches", asked, headers=ALICE), 429)
        assert refused["code"] == "job_quota_exceeded"
        messages = {"requests": [{"custom_id": "a", "params": {}}]}
        answer = await office.post("/v1/messages/batches", messages, headers=ALICE)
        assert answer.status_code == 429 and answer.json()["error"]["type"] == "rate_limit_error"

    in_office(tmp_path, scenario, CONFIG + b"jobs: {quota: {open_items: 1}}\n")


def test_who_cancels_the_job_cancels_the_batch(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        file = (await send(office, PURPOSE % b"batch", FILE % b"{}", END)).json()["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
        batch = (await office.post("/v1/batches", asked, headers=ALICE)).json()["id"]
        error_of(await office.post(f"/v1/jobs/{batch}/cancel", headers=CAROL), 404)
        job = (await office.post(f"/v1/jobs/{batch}/cancel", headers=ALICE)).json()
        assert (job["id"], job["kind"], job["finished_at"]) == (batch, "batch", None)  # it has files to write
        assert (await office.get(f"/v1/batches/{batch}", ALICE)).json()["status"] == "cancelling"

    in_office(tmp_path, scenario)


def test_a_form_of_many_fields_is_bounded_as_a_file_is(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        many = [PURPOSE % (b"x" * 4000)] * 400  # the same again and again
        assert error_of(await send(office, *many, FILE % b"x", END), 413)["code"] == "body_too_large"

    in_office(tmp_path, scenario, CONFIG + b"\nfiles: {file_bytes: 2000}\n")


def test_what_is_deleted_while_it_is_read_does_not_end_as_if_it_were_whole(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        made = (await send(office, PURPOSE % b"user_data", FILE % (b"x" * PIECE_BYTES * 2), END)).json()
        desk = office.filing.files
        content = desk.content(await desk.get(made["id"], "acme"))
        assert len(await anext(content)) == PIECE_BYTES
        await desk.files.delete(made["id"])
        with pytest.raises(NotFound):
            await anext(content)

    in_office(tmp_path, scenario)
