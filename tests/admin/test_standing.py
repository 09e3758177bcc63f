"""How limits and budgets stand, for callers and operators; and a spend velocity that is closed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from headgate.errors import StoreUnavailable
from headgate.metering import Admission, Ask, Charge, Meter
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.types import PICO_PER_USD
from tests.admin.office import ALICE, CAROL, CONFIG, Office, error_of, in_office, ledger_row

LIMITED = CONFIG.replace(
    b'  pro: {models: ["*"]}',
    b"""  pro: {models: ["*"], requests_per_minute: 10, per_model: {tokens_per_minute: 1000},
    budgets: {request: 2, user_day: 5, tenant_month: 10}, velocity: {usd_per_5_minutes: 1}}""",
).replace(b"tier: pro, keys", b"tier: pro, timezone: Europe/Berlin, keys")
HALF_A_DOLLAR = PICO_PER_USD // 2
ASK = Ask(input_tokens=10, output_tokens=20, input_picousd=HALF_A_DOLLAR // 2, output_price=HALF_A_DOLLAR // 40)


class Till:
    """Makes requests of alice's for a model of hers, as the corridor would."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.caller = office.accounts.authenticate(b"hg-acme-alice-0001")

    def meters(self) -> list[Meter]:
        rules = [rule for rule in self.caller.tier.rules if rule.name != "budgets.request"]
        subject = Subject(self.caller.key_id, self.caller.user, "small")
        return list(metered.meters(rules, subject, ZoneInfo("Europe/Berlin"), self.office.clock.now()))

    async def hold(self, name: str) -> Admission:
        await self.office.admissions.ready(self.caller)
        return await self.office.counters.admit(name, "acme", self.meters(), ASK)

    async def spend(self, name: str, usd: float) -> None:
        assert (await self.hold(name)).refusal is None
        self.office.counters.settle(name, "acme", Charge(30, int(usd * PICO_PER_USD)))


def by_name(standings: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["name"], one["scope"]): one for one in standings}


def test_a_caller_sees_what_is_used_held_and_left(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now, till = office.clock.now(), Till(office)
        spent = ledger_row(1, user="alice", key_id=till.caller.key_id, cost_picousd=HALF_A_DOLLAR, started_at=now)
        await office.ledger.write([spent])
        assert (await till.hold("one")).refusal is None
        limits = by_name((await office.get("/v1/usage", ALICE)).json()["limits"])
        day = limits["budgets.user_day", "user"]
        assert (day["limit"], day["used"], day["held"], day["remaining"]) == ("5", "0.5", "0.5", "4")
        assert (day["unit"], day["window"], day["subject"], day["enforced"]) == ("usd", "day", "alice", True)
        month = limits["budgets.tenant_month", "tenant"]
        assert (month["used"], month["held"], month["remaining"]) == ("0.5", "0.5", "9")
        assert month["resets_at"].endswith(("T22:00:00Z", "T23:00:00Z")), "midnight in Berlin"
        rate = limits["requests_per_minute", "tenant"]
        assert (rate["limit"], rate["used"], rate["remaining"], rate["period_seconds"]) == (10, 2, 8, 60)
        assert rate["resets_at"] is None and rate["frees_at"] is not None
        cap = limits["budgets.request", "request"]
        assert (cap["limit"], cap["used"], cap["remaining"]) == ("2", "0", "2")
        assert limits["velocity", "key"]["tripped"] is False

    in_office(tmp_path, scenario, LIMITED)


def test_limits_for_each_model_are_told_for_each(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert (await Till(office).hold("one")).refusal is None
        limits = (await office.get("/v1/usage", ALICE)).json()["limits"]
        models = [(one["subject"], one["used"]) for one in limits if one["scope"] == "model"]
        assert models == [("small", 30), ("house/large", 0)]
        assert (await office.get("/v1/usage", CAROL)).json()["limits"] == [], "her tier has none"

    in_office(tmp_path, scenario, LIMITED)


def test_operators_ask_for_anybody(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        till, url = Till(office), "/admin/usage/limits"
        await till.spend("one", 0.25)
        key = by_name((await office.get(url, key=till.caller.key_id)).json()["data"])
        assert key["budgets.user_day", "user"]["used"] == "0.25" and ("velocity", "key") in key
        tenant = (await office.get(url, tenant="acme")).json()
        assert (tenant["tier"], tenant["timezone"], tenant["user"]) == ("pro", "Europe/Berlin", None)
        scopes = {one["scope"] for one in tenant["data"]}
        assert scopes == {"request", "tenant", "model"}, "of no user and no key"
        user = by_name((await office.get(url, tenant="acme", user="alice")).json()["data"])
        assert user["budgets.user_day", "user"]["used"] == "0.25"
        nobody = by_name((await office.get(url, tenant="acme", user="bob")).json()["data"])
        assert nobody["budgets.user_day", "user"]["used"] == "0"
        assert error_of(await office.get(url), 400)["param"] == "tenant"
        assert "no tenant 'nobody'" in error_of(await office.get(url, tenant="nobody"), 404)["message"]
        assert error_of(await office.get(url, key="key_nobody"), 404)["code"] == "not_found"
        wrong = await office.get(url, tenant="hobby", key=till.caller.key_id)
        assert "not one of the tenant 'hobby'" in error_of(wrong, 404)["message"]
        bound = await office.get(url, key=till.caller.key_id, user="bob")
        assert "'alice' alone" in error_of(bound, 404)["message"]

    in_office(tmp_path, scenario, LIMITED)


def test_a_changed_limit_is_told_at_once(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        body = {"tenant": "acme", "setting": "requests_per_minute", "value": 99}
        await office.client.put("/admin/limits", headers={"authorization": "Bearer hg-admin-for-tests"}, json=body)
        limits = by_name((await office.get("/v1/usage", ALICE)).json()["limits"])
        assert limits["requests_per_minute", "tenant"]["limit"] == 99

    in_office(tmp_path, scenario, LIMITED)


def test_usage_is_told_while_the_store_of_limits_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(office: Office) -> None:
        async def away(*_: object) -> None:
            raise StoreUnavailable("The store did not answer.")

        monkeypatch.setattr(office.counters, "read", away)
        answer = await office.get("/v1/usage", ALICE)
        assert answer.status_code == 200 and answer.json()["limits"] is None
        assert error_of(await office.get("/admin/usage/limits", tenant="acme"), 503)["code"] == "store_unavailable"

    in_office(tmp_path, scenario, LIMITED)


@pytest.mark.parametrize("whose", ["user", "key", "tenant"])
def test_a_velocity_that_tripped_is_closed_by_hand(tmp_path: Path, whose: str) -> None:
    async def scenario(office: Office) -> None:
        till = Till(office)
        for number in range(3):
            await till.spend(f"request {number}", 0.45)
        refusal = (await till.hold("refused")).refusal
        assert refusal is not None and refusal.verdict == "tripped"
        limits = by_name((await office.get("/v1/usage", ALICE)).json()["limits"])
        assert {scope: limits["velocity", scope]["tripped"] for scope in ("key", "user", "tenant")} == {
            "key": True, "user": True, "tenant": True,
        }  # fmt: skip
        named = {"user": {"user": "alice"}, "key": {"key": till.caller.key_id}, "tenant": {}}[whose]
        response = await office.post("/admin/velocity/reset", {"tenant": "acme", **named})
        assert response.status_code == 200, response.text
        assert [(one["scope"], one["tripped"]) for one in response.json()["data"]] == [(whose, False)]
        after = by_name((await office.get("/v1/usage", ALICE)).json()["limits"])
        assert [scope for scope in ("key", "user", "tenant") if not after["velocity", scope]["tripped"]] == [whose]
        (entry,) = (await office.get("/admin/audit")).json()["data"]
        assert (entry["command"], entry["before"], entry["after"]) == ("ResetVelocity", True, False)
        assert entry["subject"].startswith(f"acme {whose}")

    in_office(tmp_path, scenario, LIMITED)


def test_what_cannot_be_reset_is_named(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        url = "/admin/velocity/reset"
        key = Till(office).caller.key_id
        assert error_of(await office.post(url, {}), 400)["param"] == "tenant"
        assert "no tenant" in error_of(await office.post(url, {"tenant": "nobody"}), 404)["message"]
        both = await office.post(url, {"tenant": "acme", "user": "alice", "key": key})
        assert "not both" in error_of(both, 400)["message"]
        assert error_of(await office.post(url, {"tenant": "hobby", "key": key}), 404)["param"] == "key"

    in_office(tmp_path, scenario, LIMITED)
    plain = tmp_path / "plain"
    plain.mkdir()

    async def without(office: Office) -> None:
        error = error_of(await office.post("/admin/velocity/reset", {"tenant": "acme"}), 404)
        assert "how fast 'acme' may spend" in error["message"]

    in_office(plain, without)
