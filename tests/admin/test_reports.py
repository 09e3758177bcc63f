"""What the admin API reports: usage, ledger, models, deployments, configuration, readiness, metrics."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headgate.admin.services import Readiness
from headgate.errors import ConfigInvalid
from headgate.policy import health
from headgate.policy.quota import Demand, QuotaLimits
from headgate.types import Outcome, Problem, Usage
from tests.admin.office import ADMIN, ALICE, CAROL, CONFIG, STARTED_AT, Office, error_of, in_office, ledger_row

NOBODY: dict[str, str] = {}


def test_usage_is_summed_by_group(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        rows = [ledger_row(1), ledger_row(2), ledger_row(3, tenant="hobby"), ledger_row(90_000, model="large")]
        await office.ledger.write(rows)
        answer = (await office.get("/admin/usage", by="tenant")).json()
        assert [(row["group"], row["requests"], row["cost_usd"]) for row in answer["data"]] == [
            ("acme", 3, "0.000246"),
            ("hobby", 1, "0.000082"),
        ]
        assert answer["total"]["cost_usd"] == "0.000328" and answer["total"]["cached_input_tokens"] == 80
        days = (await office.get("/admin/usage", by="day", tenant="acme")).json()["data"]
        assert [(day["group"], day["requests"]) for day in days] == [("2026-09-21", 2), ("2026-09-22", 1)]
        since = (await office.get("/admin/usage", by="model", since="2026-09-22")).json()
        assert [row["group"] for row in since["data"]] == ["large"]
        until = (await office.get("/admin/usage", by="key", until=int(STARTED_AT) + 2)).json()
        assert until["total"]["requests"] == 1 and until["until"] == STARTED_AT + 2

    in_office(tmp_path, scenario)


def test_the_ledger_is_paged_oldest_first(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        refused = ledger_row(4, outcome=Outcome.REFUSED, status=404, error="model_not_found", attempts=())
        await office.ledger.write([ledger_row(1), ledger_row(2), ledger_row(3), refused])
        seen, cursor = [], None
        while True:
            page = (await office.get("/admin/ledger", limit=3, **({"after": cursor} if cursor else {}))).json()
            seen += page["data"]
            cursor = page["next"]
            if cursor is None:
                break
        assert [row["id"] for row in seen] == ["req_1", "req_2", "req_3", "req_4"]
        first, last = seen[0], seen[-1]
        assert (
            first["cost_usd"] == "0.000082" and first["output_tokens"] == 50 and first["tokens_counted"] == "reported"
        )
        assert first["attempts"][0]["deployment"] == "sim/sim-small" and first["attempts"][0]["cost_usd"] == "0.000082"
        assert (last["outcome"], last["error"], last["attempts"]) == ("refused", "model_not_found", [])

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "raw, shown",
    [
        (b"", None),
        (b'{"cost": 0.25, "search": {"queries": 2}}', {"cost": 0.25, "search": {"queries": 2}}),
        (b'{"cost": 0.', '{"cost": 0.'),  # damaged on its way
    ],
)
def test_what_a_provider_says_of_usage_is_shown_as_it_said_it(tmp_path: Path, raw: bytes, shown: object) -> None:
    async def scenario(office: Office) -> None:
        usage = Usage(input=100, cache_write=30, cache_write_1h=20, raw=raw)
        attempt = msgspec.structs.replace(ledger_row(1).attempts[0], usage=usage)
        await office.ledger.write([ledger_row(1, usage=usage, attempts=(attempt,))])
        (row,) = (await office.get("/admin/ledger")).json()["data"]
        for found in (row, row["attempts"][0]):
            assert (found["cache_write_tokens"], found["cache_write_1h_tokens"]) == (30, 20)
            assert found["usage_raw"] == shown
        total = (await office.get("/admin/usage")).json()["total"]
        assert (total["cache_write_tokens"], total["cache_write_1h_tokens"]) == (30, 20)

    in_office(tmp_path, scenario)


@pytest.mark.parametrize(
    "url, param",
    [
        ("/admin/usage?by=colour", "by"),
        ("/admin/usage?since=yesterday", "since"),
        ("/admin/usage?until=2026-02-30", "until"),
        ("/admin/usage?sinc=7d", "sinc"),
        ("/admin/usage?tenant=a%00b", "tenant"),
        ("/admin/ledger?limit=0", "limit"),
        ("/admin/ledger?limit=1001", "limit"),
        ("/admin/ledger?limit=ten", "limit"),
        ("/admin/ledger?after=", "after"),
        ("/admin/keys?x=1", "x"),
    ],
)
def test_bad_query_parameters_are_named(tmp_path: Path, url: str, param: str) -> None:
    async def scenario(office: Office) -> None:
        assert error_of(await office.get(url), 400)["param"] == param

    in_office(tmp_path, scenario)


def test_a_bad_cursor_is_refused(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        error_of(await office.get("/admin/ledger", after="nonsense"), 400)

    in_office(tmp_path, scenario)


def test_a_caller_sees_its_own_usage_only(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        alice = office.accounts.authenticate(ALICE["authorization"].split()[1].encode())
        await office.ledger.write(
            [
                ledger_row(1, key_id=alice.key_id, user="alice"),
                ledger_row(2, key_id="key_other", user="alice", model="large"),
                ledger_row(3, key_id="key_other", user="bob"),
                ledger_row(4, tenant="hobby", user="alice"),
            ]
        )
        counts = {}
        for scope in ("key", "user", "tenant"):
            answer = (await office.get("/v1/usage", ALICE, scope=scope)).json()
            assert (answer["tenant"], answer["user"], answer["key_id"]) == ("acme", "alice", alice.key_id)
            counts[scope] = answer["total"]["requests"]
            assert sum(day["requests"] for day in answer["by_day"]) == counts[scope]
            assert sum(model["requests"] for model in answer["by_model"]) == counts[scope]
        assert counts == {"key": 1, "user": 2, "tenant": 3}
        assert error_of(await office.get("/v1/usage", CAROL, scope="user"), 403)["param"] == "scope"
        error_of(await office.get("/v1/usage", ADMIN), 401)
        error_of(await office.get("/v1/usage", NOBODY), 401)

    in_office(tmp_path, scenario)


def test_models_are_those_of_the_tier(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        mine = (await office.get("/v1/models", CAROL)).json()
        assert mine == {
            "object": "list",
            "data": [
                {
                    "id": "small", "object": "model", "created": int(STARTED_AT), "owned_by": "sim",
                    "type": "model", "display_name": "small", "created_at": "2026-09-21T14:13:20Z",
                }
            ],
            "has_more": False, "first_id": "small", "last_id": "small",
        }  # fmt: skip
        all_of_them = (await office.get("/v1/models", ALICE)).json()["data"]
        assert [model["id"] for model in all_of_them] == ["small", "house/large", "auto"]
        assert (await office.get("/v1/models/house/large", ALICE)).json()["id"] == "house/large"
        hidden, missing = await office.get("/v1/models/house/large", CAROL), await office.get("/v1/models/nil", CAROL)
        assert error_of(hidden, 404)["code"] == error_of(missing, 404)["code"] == "model_not_found"

    in_office(tmp_path, scenario)


def test_deployments_show_their_live_state(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        deployment = office.running.setup.models["small"].deployments[0]
        now = office.clock.monotonic()
        deployment.breaker = msgspec.structs.replace(health.HEALTHY, opened_at=now, reason="5 failures in a row")
        deployment.requests_in_flight, deployment.tokens_in_flight = 2, 300
        deployment.quota.limits = QuotaLimits(requests_per_minute=1)
        deployment.quota.began("", Demand(), now)
        small, big = (await office.get("/admin/deployments")).json()["data"]
        assert (small["name"], small["gate"], small["reason"]) == ("sim/sim-small", "open", "5 failures in a row")
        assert 0 < small["opens_again_in_seconds"] <= 15
        assert (small["requests_in_flight"], small["tokens_in_flight"], small["models"]) == (2, 300, ["small"])
        assert small["quota"] == "1 of 1 requests a minute are used" and 59 < small["quota_frees_in_seconds"] < 61
        assert (big["quota"], big["quota_frees_in_seconds"]) == ("", 0)
        assert (big["name"], big["gate"], big["keys"], big["keys_resting"]) == ("big", "closed", 1, 0)

    in_office(tmp_path, scenario)


def test_the_configuration_is_shown_without_secrets(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        response = await office.get("/admin/config")
        assert response.json()["hash"] == office.running.loaded.hash
        assert (response.json()["path"], response.json()["loaded_at"]) == ("headgate.yaml", STARTED_AT)
        assert "hg-acme" not in response.text

    in_office(tmp_path, scenario)


def test_reload_reports_what_happened(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        answer = await office.post("/admin/reload")
        assert answer.json() == {"hash": office.running.loaded.hash, "changes": []} and office.reloads == 1

        async def broken() -> list[str]:
            raise ConfigInvalid((Problem("f.yaml", 3, 1, "models", "wrong"), Problem("f.yaml", 9, 2, "tiers", "bad")))

        office.reload = broken
        error = error_of(await office.post("/admin/reload"), 400)
        assert (
            error["code"] == "config_invalid" and "f.yaml:3:1" in error["message"] and "f.yaml:9:2" in error["message"]
        )

    in_office(tmp_path, scenario)


def test_readiness_says_what_is_missing(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        assert (await office.get("/healthz", NOBODY)).status_code == 200
        assert (await office.get("/readyz", NOBODY)).status_code == 200
        office.readiness = Readiness(False, {"database": "has not answered yet"})
        response = await office.get("/readyz", NOBODY)
        assert response.status_code == 503
        assert response.json() == {"ready": False, "checks": {"database": "has not answered yet"}}

    in_office(tmp_path, scenario)


@pytest.mark.parametrize("access, without_key, with_key", [("open", 200, 200), ("admin", 401, 200), ("off", 404, 404)])
def test_metrics_are_open_for_operators_or_off(tmp_path: Path, access: str, without_key: int, with_key: int) -> None:
    async def scenario(office: Office) -> None:
        assert (await office.get("/metrics", NOBODY)).status_code == without_key
        response = await office.get("/metrics", ADMIN)
        assert response.status_code == with_key
        if with_key == 200:
            assert response.headers["content-type"].startswith("text/plain; version=")
            assert response.text.startswith("headgate_requests_total")

    in_office(tmp_path, scenario, CONFIG + f"server: {{metrics: {{access: {access}}}}}\n".encode())
