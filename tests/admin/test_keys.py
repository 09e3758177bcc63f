"""Virtual keys through the admin API: made, listed, revoked, expired, rotated; and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.errors import KeyExpired, KeyRevoked
from tests.admin.office import ADMIN, ALICE, Office, error_of, in_office


def test_a_key_is_shown_once_and_works(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        response = await office.post("/admin/keys", {"tenant": "acme", "user": "bob", "name": "laptop"})
        assert response.status_code == 201
        made = response.json()
        assert made["key"].startswith("hg-") and made["tier"] == "pro" and made["state"] == "active"
        caller = office.accounts.authenticate(made["key"].encode())
        assert (caller.tenant, caller.user, caller.key_id) == ("acme", "bob", made["id"])
        listed = (await office.get("/admin/keys")).json()["data"]
        assert [key["id"] for key in listed][-1] == made["id"]
        one = (await office.get(f"/admin/keys/{made['id']}")).json()
        assert one == {name: value for name, value in made.items() if name != "key"}
        assert made["key"] not in (await office.get("/admin/keys")).text

    in_office(tmp_path, scenario)


def test_a_tenant_is_made_by_naming_a_tier(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        error = error_of(await office.post("/admin/keys", {"tenant": "new"}), 400)
        assert error["param"] == "tier" and "free, pro" in error["message"]
        made = await office.post("/admin/keys", {"tenant": "new", "tier": "free"})
        assert made.status_code == 201
        caller = office.accounts.authenticate(made.json()["key"].encode())
        assert (caller.tenant, caller.tier.name) == ("new", "free")
        assert "basic" in error_of(await office.post("/admin/keys", {"tenant": "new", "tier": "basic"}), 404)["message"]

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("path, method", [("/revoke", "POST"), ("", "DELETE")])
def test_a_revoked_key_stops_working(tmp_path: Path, path: str, method: str) -> None:
    async def scenario(office: Office) -> None:
        made = (await office.post("/admin/keys", {"tenant": "acme"})).json()
        revoked = await office.client.request(method, f"/admin/keys/{made['id']}{path}", headers=ADMIN)
        assert revoked.status_code == 200 and revoked.json()["state"] == "revoked"
        with pytest.raises(KeyRevoked):
            office.accounts.authenticate(made["key"].encode())
        again = await office.client.request(method, f"/admin/keys/{made['id']}{path}", headers=ADMIN)
        assert again.json()["revoked_at"] == revoked.json()["revoked_at"]

    in_office(tmp_path, scenario)


def test_a_key_of_the_configuration_can_be_revoked(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        keys = (await office.get("/admin/keys")).json()["data"]
        alice = next(key for key in keys if key["user"] == "alice")
        assert alice["source"] == "config" and alice["created_at"] is None
        await office.post(f"/admin/keys/{alice['id']}/revoke")
        assert error_of(await office.get("/v1/models", ALICE), 401)["code"] == "key_revoked"
        diff = (await office.get("/admin/config/diff")).json()["data"]
        assert [(change["change"], change["key_id"]) for change in diff] == [("revoked", alice["id"])]

    in_office(tmp_path, scenario)


def test_expiry_is_set_and_cleared(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now = office.clock.now()
        made = (await office.post("/admin/keys", {"tenant": "acme", "expires_in_seconds": 60})).json()
        assert now + 59 < made["expires_at"] < now + 120
        url = f"/admin/keys/{made['id']}"
        past = await office.client.patch(url, headers=ADMIN, json={"expires_at": now - 1})
        assert past.json()["state"] == "expired"
        with pytest.raises(KeyExpired):
            office.accounts.authenticate(made["key"].encode())
        cleared = await office.client.patch(url, headers=ADMIN, json={"expires_at": None})
        assert (cleared.json()["expires_at"], cleared.json()["state"]) == (None, "active")
        assert error_of(await office.client.patch(url, headers=ADMIN, json={}), 400)["param"] == "expires_at"

    in_office(tmp_path, scenario)


def test_rotation_keeps_the_old_key_for_the_overlap(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        old = (await office.post("/admin/keys", {"tenant": "acme", "user": "bob", "tier": "free"})).json()
        response = await office.post(f"/admin/keys/{old['id']}/rotate", {"overlap_seconds": 100})
        assert response.status_code == 201
        new = response.json()
        assert new["id"] != old["id"] and (new["tenant"], new["user"], new["tier"]) == ("acme", "bob", "free")
        assert new["expires_at"] is None
        assert office.accounts.authenticate(old["key"].encode()).key_id == old["id"]
        assert office.accounts.authenticate(new["key"].encode()).key_id == new["id"]
        ends = (await office.get(f"/admin/keys/{old['id']}")).json()["expires_at"]
        assert 0 < ends - office.clock.now() <= 100
        await office.post(f"/admin/keys/{old['id']}/revoke")
        assert error_of(await office.post(f"/admin/keys/{old['id']}/rotate", {}), 409)["code"] == "conflict"

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "body, param, words",
    [
        ({}, "tenant", "missing"),
        ({"tenant": ""}, "tenant", ">= 1"),
        ({"tenant": 5}, "tenant", "Expected `str`"),
        ({"tenant": "a\u0000b"}, "tenant", "tenant"),
        ({"tenant": "x" * 201}, "tenant", "200"),
        ({"tenant": "acme", "teir": "pro"}, "teir", "did you mean 'tier'?"),
        ({"tenant": "acme", "expires_at": 1, "expires_in_seconds": 5}, "expires_at", "not both"),
        ({"tenant": "acme", "expires_at": 1000}, "expires_at", "past"),
        ({"tenant": "acme", "expires_in_seconds": -1}, "expires_in_seconds", "> 0"),
        ({"tenant": "acme", "expires_at": "tomorrow"}, "expires_at", "Expected"),
    ],
)
def test_what_cannot_be_made_is_named(tmp_path: Path, body: dict[str, Any], param: str, words: str) -> None:
    async def scenario(office: Office) -> None:
        error = error_of(await office.post("/admin/keys", body), 400)
        assert error["param"] == param and words in error["message"]
        assert len((await office.get("/admin/keys")).json()["data"]) == 2

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("method, path", [("GET", ""), ("DELETE", ""), ("POST", "/revoke"), ("POST", "/rotate")])
def test_an_unknown_key_is_not_found(tmp_path: Path, method: str, path: str) -> None:
    async def scenario(office: Office) -> None:
        response = await office.client.request(method, f"/admin/keys/key_nobody{path}", headers=ADMIN)
        assert error_of(response, 404)["code"] == "not_found"

    in_office(tmp_path, scenario)


def test_every_change_is_in_the_audit_trail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(office: Office) -> None:
        made = (await office.post("/admin/keys", {"tenant": "acme", "name": "laptop"})).json()
        refused = await office.post("/admin/keys", {"tenant": "nobody"})
        revoked = await office.post(f"/admin/keys/{made['id']}/revoke")
        assert refused.status_code == 400
        lines = [record for record in caplog.records if record.name == "headgate.audit"]
        assert [vars(line)["command"] for line in lines] == ["CreateKey", "RevokeKey"]
        assert msgspec.json.decode(vars(lines[0])["fields"])["name"] == "laptop"
        assert vars(lines[1])["subject"] == made["id"]
        assert vars(lines[1])["request_id"] == revoked.headers["x-request-id"]
        assert all(made["key"] not in str(vars(line)) for line in lines)

    assert logging.getLogger().getEffectiveLevel() >= logging.WARNING  # the trail is written however little else is
    in_office(tmp_path, scenario)
