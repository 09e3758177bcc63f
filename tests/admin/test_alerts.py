"""GET /admin/alerts."""

from __future__ import annotations

from pathlib import Path

from headgate.alert_types import AlertDelivery, AlertRecord, DeliveryState
from tests.admin.office import ALICE, Office, error_of, in_office
from tests.alerts.samples import AT, budget, drift

DELIVERED = AlertDelivery("alerts[0] webhook hooks.example.com", DeliveryState.DELIVERED, 2, "204", AT + 5)
PENDING = AlertDelivery("alerts[1] email ops@example.com")


def test_alerts_and_what_became_of_them(tmp_path: Path) -> None:
    async def scenario(made: Office) -> None:
        assert (await made.get("/admin/alerts")).json() == {"data": []}
        await made.alert_log.claim(AlertRecord(drift(at=AT - 1)), 0.0)
        await made.alert_log.claim(AlertRecord(budget(), (DELIVERED, PENDING)), 0.0)
        newest, oldest = (await made.get("/admin/alerts")).json()["data"]
        assert newest == {
            "key": budget().key, "kind": "budget", "at": AT, "tenant": "acme", "title": budget().title,
            "sentence": budget().sentence, "deliveries": [
                {"channel": DELIVERED.channel, "state": "delivered", "attempts": 2, "answer": "204", "at": AT + 5},
                {"channel": PENDING.channel, "state": "pending", "attempts": 0, "answer": "", "at": None},
            ],
        }  # fmt: skip
        assert (oldest["kind"], oldest["tenant"], oldest["deliveries"]) == ("drift", None, [])
        assert (await made.get("/admin/alerts", limit=1)).json()["data"] == [newest]
        assert "limit" in error_of(await made.get("/admin/alerts", limit=0), 400)["message"]
        error_of(await made.get("/admin/alerts", headers=ALICE), 401)

    in_office(tmp_path, scenario)
