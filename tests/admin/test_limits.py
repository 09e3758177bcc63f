"""Limits, budgets and tiers through the admin API: read, set, unset, refused; and the trail of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.admin.settings import REFRESH_SECONDS, Settings
from headgate.change_types import AuditEntry, Change, Setting, Target
from headgate.config.effective import Effective
from headgate.config.load import parse
from headgate.errors import DatabaseUnavailable
from headgate.sim.loop import run_virtual
from headgate.stores.memory_changes import MemoryChanges
from headgate.types import PICO_PER_USD
from tests.admin.office import ADMIN, ALICE, CAROL, CONFIG, Office, error_of, in_office

FREE_LIMIT = {"tier": "free", "setting": "requests_per_minute"}


def rules_of(office: Office, headers: dict[str, str]) -> dict[str, int]:
    """The limits that a caller's requests pass now."""
    secret = headers["authorization"].removeprefix("Bearer ").encode()
    return {rule.name: rule.limit for rule in office.accounts.authenticate(secret).tier.rules}


async def put(office: Office, url: str, body: dict[str, Any]) -> Any:
    response = await office.client.put(url, headers=ADMIN, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def settings_of(office: Office, url: str, name: str) -> dict[str, Any]:
    listed = (await office.get(url)).json()
    return {one["setting"]: one for group in listed["data"] if group["name"] == name for one in group["settings"]}


def test_a_limit_is_changed_and_given_back(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert rules_of(office, CAROL) == {}
        state = await put(office, "/admin/limits", {**FREE_LIMIT, "value": 30})
        assert (state["setting"], state["value"], state["in_file"]) == ("requests_per_minute", 30, None)
        assert state["changed_by"] == "admin key" and 0 <= office.clock.now() - state["changed_at"] < 60
        assert rules_of(office, CAROL) == {"requests_per_minute": 30} and rules_of(office, ALICE) == {}
        assert (await settings_of(office, "/admin/limits", "free"))["requests_per_minute"] == state
        response = await office.client.delete("/admin/limits", headers=ADMIN, params=FREE_LIMIT)
        assert response.status_code == 200 and rules_of(office, CAROL) == {}
        again = await office.client.delete("/admin/limits", headers=ADMIN, params=FREE_LIMIT)
        assert "tier free requests_per_minute" in error_of(again, 404)["message"]

    in_office(tmp_path, scenario)


def test_a_tenants_own_stand_in_place_of_its_tiers(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, "/admin/budgets", {"tier": "pro", "setting": "tenant_month", "value": 10})
        await put(office, "/admin/budgets", {"tenant": "acme", "setting": "tenant_month", "value": 0.25})
        await put(office, "/admin/limits", {"tenant": "acme", "setting": "tokens_per_minute", "value": 1000})
        assert rules_of(office, ALICE) == {"budgets.tenant_month": PICO_PER_USD // 4, "tokens_per_minute": 1000}
        shown = await settings_of(office, "/admin/budgets", "acme")
        assert {name: one["value"] for name, one in shown.items()} == {"tenant_month": 0.25}
        assert office.running.setup.has_budgets

    in_office(tmp_path, scenario)


def test_limits_of_everybody(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, "/admin/limits", {"setting": "requests_per_minute", "value": 600})
        assert [rule.limit for rule in office.running.setup.global_rules] == [600]
        error = error_of(
            await office.client.put("/admin/budgets", headers=ADMIN, json={"setting": "x", "value": 1}), 400
        )
        assert error["param"] == "tier"

    in_office(tmp_path, scenario)


def test_a_tenant_changes_its_tier_and_its_keys_follow(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        follows = (await office.post("/admin/keys", {"tenant": "acme"})).json()
        stays = (await office.post("/admin/keys", {"tenant": "acme", "tier": "pro"})).json()
        await put(office, "/admin/limits", {"tenant": "acme", "setting": "tier", "value": "free"})
        keys = {key["id"]: key["tier"] for key in (await office.get("/admin/keys")).json()["data"]}
        assert (keys[follows["id"]], keys[stays["id"]]) == ("free", "pro")
        assert office.accounts.authenticate(follows["key"].encode()).tier.name == "free"
        alice = office.accounts.authenticate(b"hg-acme-alice-0001")
        assert alice.tier.name == "free", "keys of the file too"

    in_office(tmp_path, scenario)


def test_a_tenant_is_made_at_run_time(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        body = {"tenant": "new", "setting": "requests_per_minute", "value": 5}
        refused = error_of(await office.client.put("/admin/limits", headers=ADMIN, json=body), 400)
        assert "tier TIER" in refused["message"]
        await put(office, "/admin/limits", {"tenant": "new", "setting": "tier", "value": "pro"})
        await put(office, "/admin/limits", body)
        made = (await office.post("/admin/keys", {"tenant": "new"})).json()
        assert made["tier"] == "pro"
        assert rules_of(office, {"authorization": made["key"]}) == {"requests_per_minute": 5}

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({**FREE_LIMIT, "value": "30"}, 400, "remove the quotes"),
        ({**FREE_LIMIT, "value": 1.5}, 400, "a whole number"),
        ({**FREE_LIMIT, "value": {"a": 1}}, 400, "found a block"),
        ({"tier": "free", "setting": "request_per_minute", "value": 1}, 404, 'did you mean "requests_per_minute"?'),
        ({"tier": "fre", "setting": "requests_per_minute", "value": 1}, 400, "The tier 'fre' is not"),
        ({**FREE_LIMIT, "tenant": "acme", "value": 1}, 400, "not both"),
        (FREE_LIMIT, 400, "'value' is missing"),
        ({"tier": "free", "setting": "tenant_month", "value": 1}, 404, "use headgate budgets"),
    ],
)
def test_what_cannot_be_set_is_named_and_changes_nothing(
    tmp_path: Path, body: dict[str, Any], status: int, words: str
) -> None:
    async def scenario(office: Office) -> None:
        response = await office.client.put("/admin/limits", headers=ADMIN, json=body)
        assert words in error_of(response, status)["message"]
        assert (await office.get("/admin/audit")).json() == {"data": [], "next": None}
        assert office.settings.changes == ()

    in_office(tmp_path, scenario)


def test_a_file_without_the_tier_keeps_the_change_and_tells_it(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await put(office, "/admin/limits", {**FREE_LIMIT, "value": 30})
        without = CONFIG.replace(b"  free: {models: [small]}\n", b"").replace(b"tier: free", b"tier: pro")
        office.settings.configure(parse(without, "headgate.yaml", {}).config)
        listed = (await office.get("/admin/limits")).json()
        assert [(one["name"], one["value"]) for one in listed["ignored"]] == [("free", 30)]
        (change,) = (await office.get("/admin/config/diff")).json()["settings"]
        assert (change["value"], change["in_file"]) == (30, None) and "not in the configuration" in change["ignored"]
        office.settings.configure(parse(CONFIG, "headgate.yaml", {}).config)
        assert (await settings_of(office, "/admin/limits", "free"))["requests_per_minute"]["value"] == 30

    in_office(tmp_path, scenario)


def test_every_command_leaves_a_row_with_what_was_before_and_after(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(office: Office) -> None:
        response = await office.client.put("/admin/limits", headers=ADMIN, json={**FREE_LIMIT, "value": 30})
        await put(office, "/admin/limits", {**FREE_LIMIT, "value": 40})
        await office.client.delete("/admin/limits", headers=ADMIN, params=FREE_LIMIT)
        made = (await office.post("/admin/keys", {"tenant": "acme", "name": "laptop"})).json()
        await office.post(f"/admin/keys/{made['id']}/revoke")
        trail = (await office.get("/admin/audit", limit=4)).json()
        rest = (await office.get("/admin/audit", after=trail["next"])).json()
        revoked, created, unset, second, first = [*trail["data"], *rest["data"]]
        assert [one["command"] for one in (revoked, created, unset, second, first)] == [
            "RevokeKey", "CreateKey", "UnsetLimit", "SetLimit", "SetLimit",
        ]  # fmt: skip
        assert (first["before"], first["after"], first["subject"]) == (None, 30, "tier free requests_per_minute")
        assert (second["before"], second["after"]) == (30, 40) and (unset["before"], unset["after"]) == (40, None)
        assert first["by"] == "admin key" and first["request_id"] == response.headers["x-request-id"]
        assert first["fields"]["value"] == 30 and abs(first["at"] - office.clock.now()) < 60
        assert (revoked["before"]["state"], revoked["after"]["state"]) == ("active", "revoked")
        assert created["subject"] == made["id"] and made["key"] not in msgspec.json.encode(trail).decode()
        lines = [vars(line)["command"] for line in caplog.records if line.name == "headgate.audit"]
        assert lines == [one["command"] for one in (first, second, unset, created, revoked)]

    in_office(tmp_path, scenario)


class AwayChanges(MemoryChanges):
    """Changes that can be away, and whose `put` can be overtaken."""

    away = False

    async def version(self) -> int:
        if self.away:
            raise DatabaseUnavailable("The database does not answer.")
        return await super().version()


def test_a_change_made_elsewhere_is_in_force_within_two_seconds() -> None:
    async def scenario() -> None:
        store, config, applied = AwayChanges(), parse(CONFIG, "headgate.yaml", {}).config, list[Effective]()
        settings = Settings(store, config, applied.append)
        await settings.refresh()
        task = asyncio.create_task(settings.keep_fresh())
        setting = Setting(Target.TIER, "free", "requests_per_minute")
        entry = AuditEntry("aud_1", 1.0, "somebody else", "SetLimit", "{}", "")
        await store.put(Change(setting, "30", 1.0, "somebody else"), entry, 0)
        await asyncio.sleep(2 * REFRESH_SECONDS)
        assert applied[-1].config.tiers["free"].requests_per_minute == 30
        count, store.away = len(applied), True
        await asyncio.sleep(60)
        assert len(applied) == count and settings.in_force.config.tiers["free"].requests_per_minute == 30
        store.away = False
        await store.remove(setting, entry, 1)
        await asyncio.sleep(2 * REFRESH_SECONDS)
        assert applied[-1].config == config
        task.cancel()

    run_virtual(scenario())


def test_two_who_change_the_same_moment_both_get_their_way(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        bodies = [
            {"tier": "free", "setting": name, "value": 5} for name in ("requests_per_minute", "tokens_per_minute")
        ]
        await asyncio.gather(*(put(office, "/admin/limits", body) for body in bodies))
        assert rules_of(office, CAROL) == {"requests_per_minute": 5, "tokens_per_minute": 5}

    in_office(tmp_path, scenario)
