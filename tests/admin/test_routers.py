"""/admin/route: what a router would choose, what it loses, closing and opening it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from headgate.judgements import WeakOutcome
from headgate.route_types import Judged
from tests.admin.office import ALICE, Office, error_of, in_office

AT = 1_790_000_000.0
ROW = Judged("req_1", AT, "auto", "acme", "small", "house/large", WeakOutcome.LOSE, "shadow", "judge", 7, "Q")
HARD = "Design a multi-region failover for a bank step by step, compare the trade-offs and write the migration plan."


def test_what_a_router_would_choose_and_why(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        def body(text: str) -> dict[str, object]:
            return {"model": "auto", "messages": [{"role": "user", "content": text}]}

        easy = (await made.post("/admin/route/explain", {"body": body("What is the capital of France?")})).json()
        hard = (await made.post("/admin/route/explain", {"body": body(HARD)})).json()
        assert easy["difficulty"] < hard["difficulty"] and easy["why"] == hard["why"] == "score"
        assert {one["model"] for one in easy["candidates"]} == {"small", "house/large"} and easy["signs"]
        free = await made.post("/admin/route/explain", {"body": body(HARD), "tenant": "hobby"})
        assert (free.json()["model"], [one["model"] for one in free.json()["candidates"]]) == ("small", ["small"])
        spoken = {"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": HARD}]}
        other = await made.post("/admin/route/explain", {"body": spoken, "api": "messages"})
        assert other.json()["difficulty"] == hard["difficulty"]
        missing = await made.post("/admin/route/explain", {"body": {**body("x"), "model": "small"}})
        assert "There is no router 'small'" in error_of(missing, 404)["message"]
        error_of(await made.post("/admin/route/explain", {"body": {"model": "auto"}}), 400)
        error_of(await made.post("/admin/route/explain", {"body": body("x")}, headers=ALICE), 401)

    in_office(tmp_path, scenario)


def test_what_it_loses_by_week_and_whether_it_is_closed(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        for number in range(40):
            await made.routes.judge(msgspec.structs.replace(ROW, id=f"req_{number}"))
        told = (await made.get("/admin/route/stats")).json()
        (state,), (week,) = told["routers"], told["weeks"]
        assert (state["router"], state["closed"]) == ("auto", False)
        assert (state["losses"]["judged"], state["losses"]["loss"]) == (40, 1)
        assert 0 < state["losses"]["low"] < 1 and (week["week"], week["losses"]) == ("2026-09-21", 40)
        assert week["cost_usd"] == "0.00000000028"
        closed = await made.post("/admin/route/gate", {"router": "auto", "closed": True, "reason": "for a test"})
        assert (closed.json()["closed"], closed.json()["losses"]["judged"]) == (True, 0)
        assert (await made.get("/admin/route/stats")).json()["routers"][0]["reason"] == "for a test"
        assert not (await made.post("/admin/route/gate", {"router": "auto", "closed": False})).json()["closed"]
        error_of(await made.post("/admin/route/gate", {"router": "nobody", "closed": True}), 404)
        assert [entry["command"] for entry in (await made.get("/admin/audit")).json()["data"]] == ["TurnRouter"] * 2

    in_office(tmp_path, scenario)


def test_judgements_are_rows_to_train_on(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        for number in range(3):
            await made.routes.judge(msgspec.structs.replace(ROW, id=f"req_{number}"))
        first = (await made.get("/admin/route/judgements", limit=2)).json()
        rest = (await made.get("/admin/route/judgements", limit=2, after=first["next"])).json()
        assert [row["id"] for row in (*first["data"], *rest["data"])] == ["req_0", "req_1", "req_2"]
        assert rest["next"] is None
        assert (first["data"][0]["prompt"], first["data"][0]["weak_outcome"]) == ("Q", "lose")

    in_office(tmp_path, scenario)


def test_an_appeal_against_what_is_not_kept(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        refused = await made.post("/v1/appeal", {"request_id": "req_nobody"}, headers=ALICE)
        assert "x-headgate-appeal: req_nobody" in error_of(refused, 404)["message"]

    in_office(tmp_path, scenario)
