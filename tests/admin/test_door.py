"""Who and what is let in: admin key, unknown URLs, wrong methods, bodies that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headgate.admin.admin_key import FILE_NAME, admin_key
from headgate.admin.routes import ENDPOINTS
from headgate.gateway.accounts import digest
from tests.admin.office import ADMIN, ALICE, CONFIG, Office, error_of, in_office


def test_admin_endpoints_want_the_admin_key(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        for endpoint in ENDPOINTS:
            if endpoint.path.startswith("/admin"):
                for headers in ({}, ALICE, {"authorization": "Bearer \xff"}, {"authorization": "Basic eA=="}):
                    raw = {name: value.encode("latin-1") for name, value in headers.items()}
                    response = await office.client.request(endpoint.method, endpoint.path, headers=raw)
                    assert error_of(response, 401)["code"] == "invalid_api_key"
                    assert response.headers["www-authenticate"] == "Bearer"
        assert (await office.get("/admin/keys", {"x-api-key": "hg-admin-for-tests"})).status_code == 200

    in_office(tmp_path, scenario)


def test_the_admin_key_is_made_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    made = admin_key(tmp_path / "data", None)
    assert made.secret is not None and made.hash == digest(made.secret)
    assert made.secret not in (tmp_path / "data" / FILE_NAME).read_text()
    assert (tmp_path / "data" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    again = admin_key(tmp_path / "data", None)
    assert (again.hash, again.secret) == (made.hash, None)
    given = admin_key(tmp_path / "data", "mine")
    assert (given.hash, given.secret) == (digest("mine"), None)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "url, words",
    [
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/admin/key", "/admin/keys"),
        ("/v1/audio/transcriptions", "Audio"),
        ("/v1/images/generations", "Images"),
        ("/v1/realtime", "Realtime"),
        ("/v1/threads/thread-1", "threads"),
        ("/%00%ff", "openapi.json"),
        ("/" + "x" * 5000, "openapi.json"),
    ],
)
def test_an_unknown_url_gets_a_hint(tmp_path: Path, url: str, words: str) -> None:
    async def scenario(office: Office) -> None:
        for method in ("GET", "POST"):
            error = error_of(await office.client.request(method, url), 404)
            assert error["code"] == "unknown_url" and words in error["message"] and len(error["message"]) < 400

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "method, url, allow",
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("PUT", "/admin/keys", "GET, POST"),
        ("POST", "/healthz", "GET"),
        ("PATCH", "/admin/reload", "POST"),
        ("OPTIONS", "/admin/keys/key_1", "DELETE, GET, PATCH"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path, method: str, url: str, allow: str) -> None:
    async def scenario(office: Office) -> None:
        response = await office.client.request(method, url, headers=ADMIN)
        assert error_of(response, 405)["code"] == "method_not_allowed"
        assert response.headers["allow"] == allow

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "body, status, code",
    [
        (b"{", 400, "malformed_json"),
        (b'{"tenant": "\xff"}', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'"text"', 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"tenant": "acme", "expires_at": 1e999}', 400, None),
        (b'{"tenant": "\\ud800"}', 400, "malformed_json"),
        (b" " * 1_000_001, 413, "body_too_large"),
    ],
)
def test_bodies_that_cannot_be_used(tmp_path: Path, body: bytes, status: int, code: str | None) -> None:
    async def scenario(office: Office) -> None:
        error = error_of(await office.post("/admin/keys", body), status)
        assert code in (None, error["code"])

    in_office(tmp_path, scenario)


def test_a_body_that_does_not_come_times_out(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        never = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await never.wait()

        response = await office.client.post("/admin/keys", headers=ADMIN, content=slow())
        assert error_of(response, 408)["code"] == "request_timeout"

    in_office(tmp_path, scenario, CONFIG + b"server: {receive_seconds: 0.05}\n")


def test_parameters_of_a_command_belong_into_the_body(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert error_of(await office.post("/admin/keys?tenant=acme"), 400)["param"] == "tenant"
        assert error_of(await office.post("/admin/keys/key_1/revoke", {"key_id": "key_2"}), 400)["param"] == "key_id"

    in_office(tmp_path, scenario)


def test_a_fault_of_headgate_is_an_error_with_a_request_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(office: Office) -> None:
        async def broken() -> list[str]:
            raise RuntimeError("the disk is on fire")

        office.reload = broken
        error = error_of(await office.post("/admin/reload"), 500)
        assert error["code"] == "internal_error" and "fire" not in error["message"]
        assert error["request_id"] in caplog.text and "fire" in caplog.text

    in_office(tmp_path, scenario)


def test_head_is_answered_as_get(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert (await office.client.head("/healthz")).status_code == 200

    in_office(tmp_path, scenario)


def test_without_authentication_a_page_of_anybody_may_not_ask(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert (await office.get("/v1/models", {"origin": "http://localhost:5173"})).status_code == 200
        for name, headers in (("GET", {}), ("POST", {"content-type": "text/plain"})):
            url = "/v1/models" if name == "GET" else "/v1/jobs"
            page = {"origin": "https://evil.org", **headers}
            told = error_of(await office.client.request(name, url, headers=page, content=b""), 403)
            assert "server.cors_origins" in told["message"]
        assert (await office.get("/healthz", {"origin": "https://evil.org"})).status_code == 200

    in_office(tmp_path, scenario, b"server: {authentication: off}\n" + CONFIG)
