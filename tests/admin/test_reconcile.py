"""Reconciliation through the admin API, with the provider on the loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.bills import Tokens
from tests.admin.office import Office, error_of, in_office
from tests.reconciling.months import API_KEYS, Served, record_of
from tests.reconciling.provider import ADMIN_KEY, DAY, Call, Provider, billing_api

SINCE, UNTIL = "2026-11-01", "2026-11-03"
FIRST = 20_758
USED = Tokens(input=1000, output=100)
CONFIG = """
server: {ledger: {retention_days: 4000}}
providers:
  openai:
    kind: openai
    base_url: https://api.example/v1
    api_keys: [KEYS]
    billing: {admin_key: ADMIN, base_url: "URL"}
  sim: {kind: sim}
models:
  small: {price: {input: 0.15, output: 0.60}, deployments: [{provider: openai, model: gpt-4o-mini}]}
tiers: {pro: {models: ["*"]}}
tenants: {acme: {tier: pro}}
"""


def config(provider: Provider) -> bytes:
    text = CONFIG.replace("KEYS", ", ".join(API_KEYS)).replace("ADMIN", ADMIN_KEY).replace("URL", provider.url)
    return text.encode()


def served(number: int, day: int) -> Served:
    return Served(number, day * DAY + 100.0, 1.0, "gpt-4o-mini", 0, "acme", USED, False, False, False)


async def month(office: Office, provider: Provider) -> None:
    """One request a day in the ledger; on the second day the provider has two."""
    await office.ledger.write([record_of(served(day, FIRST + day), "openai", 0) for day in range(3)])
    days = [0, 1, 1, 2]
    provider.calls = [Call((FIRST + day) * DAY + 100.0, "gpt-4o-mini", "key_1", USED, 210_000_000) for day in days]


def test_a_run_is_reported_and_booked(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await month(office, provider)
        office.clock.now = lambda: (FIRST + 9) * float(DAY)
        dry = (await office.post("/admin/reconcile", {"since": SINCE, "until": UNTIL, "dry_run": True})).json()
        assert (await office.get("/admin/reconcile")).json() == {"data": []}
        response = await office.post("/admin/reconcile", {"provider": "openai", "since": SINCE, "until": UNTIL})
        assert response.status_code == 200, response.text
        (report,) = response.json()["data"]
        same = ("since", "until", "billed_usd", "ledger_usd", "booked_usd", "findings")
        assert {name: report[name] for name in same} == {name: dry["data"][0][name] for name in same}
        assert (report["since"], report["until"], report["by"]) == (SINCE, UNTIL, "admin API")
        assert (report["ledger_usd"], report["billed_usd"], report["difference_usd"]) == (
            "0.00063",
            "0.00084",
            "0.00021",
        )
        assert (report["booked_usd"], report["drift_usd"], report["error"]) == ("0.00021", "0.00021", "")
        (finding,) = report["findings"]
        assert (finding["day"], finding["model"], finding["key"]) == ("2026-11-02", "gpt-4o-mini", "")
        (cause,) = finding["causes"]
        assert (cause["cause"], cause["cost_usd"], cause["requests"]) == ("missing", "0.00021", 1)
        assert (await office.get("/admin/reconcile", provider="openai")).json()["data"] == [report]
        assert (await office.get("/admin/reconcile", provider="sim")).json()["data"] == []
        first = (await office.get("/admin/reconcile/adjustments", limit=1)).json()
        second = (await office.get("/admin/reconcile/adjustments", after=first["next"])).json()
        rows = [*first["data"], *second["data"]]
        assert second["next"] is None
        assert {row["account"]: row["amount_usd"] for row in rows} == {
            "provider:openai": "-0.00021", "unattributed": "0.00021",
        }  # fmt: skip
        assert {(row["run"], row["day"], row["cause"]) for row in rows} == {(report["id"], "2026-11-02", "missing")}

    with billing_api() as provider:
        in_office(tmp_path, scenario, config(provider))


def test_a_bill_that_cannot_be_had_is_in_the_report(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await month(office, provider)
        office.clock.now = lambda: (FIRST + 9) * float(DAY)
        provider.faults = [(401, b'{"error": {"message": "Incorrect API key provided."}}')]
        (report,) = (await office.post("/admin/reconcile", {"since": SINCE})).json()["data"]
        assert "the admin key was refused (401: Incorrect API key provided)" in report["error"]
        assert ADMIN_KEY not in report["error"] and report["findings"] == []
        assert (await office.get("/admin/reconcile")).json()["data"] == [report]

    with billing_api() as provider:
        in_office(tmp_path, scenario, config(provider))


@pytest.mark.parametrize(
    "body, status, said",
    [
        ({"since": "tuesday"}, 400, "'tuesday' is not a day. Write it as 2026-11-01"),
        ({"until": "2999-01-01"}, 400, "is not closed yet"),
        ({"provider": "sim"}, 400, "providers.sim has no block billing"),
        ({"provider": "nobody"}, 400, "There is no provider 'nobody'"),
        ({"sinc": SINCE}, 400, "did you mean 'since'?"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, body: dict[str, str], status: int, said: str) -> None:
    async def scenario(office: Office) -> None:
        assert said in error_of(await office.post("/admin/reconcile", body), status)["message"]

    with billing_api() as provider:
        in_office(tmp_path, scenario, config(provider))


def test_it_is_for_operators_only(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        for url in ("/admin/reconcile", "/admin/reconcile/adjustments"):
            error_of(await office.get(url, {}), 401)
        error_of(await office.post("/admin/reconcile", {}, {}), 401)

    in_office(tmp_path, scenario)
