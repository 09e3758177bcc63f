"""A gateway whose database goes away tells so, and delivers what a process before it has left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI

from headgate.alert_types import AlertDelivery, AlertRecord
from headgate.app import SERVED_WITHOUT_DATABASE
from headgate.clock import SystemClock
from headgate.stores.database import Database
from headgate.stores.sql_alerts import SqlAlertLog
from tests.alerts.samples import budget
from tests.faults.gateway import Gateway, configuration, running, until
from tests.providers.loopback import Server, answering, header, serving
from tests.servers import PostgresqlServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"


def gateway_telling(server: Server, folder: Path, upstream_port: int, **changes: object) -> Gateway:
    alerts = [{"on": ["store", "budget"], "webhook": f"http://127.0.0.1:{server.port}/x", "secret": SECRET}]
    return Gateway(folder, configuration(upstream_port, folder / "data", alerts=alerts, **changes))


def requests(server: Server) -> list[tuple[str, bytes]]:
    return [request for peer in server.peers for request in peer.requests]


async def told(server: Server, count: int) -> bool:
    return len(requests(server)) >= count


async def shown(gateway: Gateway) -> list[dict[str, Any]]:
    """Nothing while its database is away."""
    answer = await gateway.admin("/admin/alerts")
    return list(msgspec.json.decode(answer.body)["data"]) if answer.status == 200 else []


@pytest.mark.server
def test_a_database_that_is_away_is_told_at_once_and_entered_when_it_is_back(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            gateway = gateway_telling(server, tmp_path, upstream_port, database=postgresql_server.new_database())
            async with running(gateway):
                await asyncio.to_thread(postgresql_server.stop)
                try:
                    await until(lambda: told(server, 1), "nobody was told")
                finally:
                    await asyncio.to_thread(postgresql_server.start)
                ((head, body),) = requests(server)
                signed = {name: str(header(head, f"webhook-{name}")) for name in ("id", "timestamp", "signature")}
                signed = {f"webhook-{name}": value for name, value in signed.items()}
                OpenAI(api_key="none").webhooks.verify_signature(body, signed, secret=SECRET)
                event = msgspec.json.decode(body)
                assert event["type"] == "store.unreachable"
                assert event["data"]["facts"]["effect"] == SERVED_WITHOUT_DATABASE

                async def entered() -> bool:
                    found = [(one["kind"], each["state"]) for one in await shown(gateway) for each in one["deliveries"]]
                    return found == [("store", "delivered")]

                await until(entered, "it was not entered")
                assert len(requests(server)) == 1

    asyncio.run(scenario())


def test_what_a_process_before_has_left_is_delivered_after_failures(tmp_path: Path, upstream_port: int) -> None:
    async def scenario() -> None:
        async with serving(answering(BUSY, BUSY, OK)) as server:
            gateway = gateway_telling(server, tmp_path, upstream_port)
            now = SystemClock().now()
            database = Database("sqlite", tmp_path / "data")
            left = AlertRecord(budget(at=now), (AlertDelivery("alerts[0] webhook 127.0.0.1"),))
            assert await SqlAlertLog(database).claim(left, now - 1)
            await database.aclose()
            async with running(gateway):
                await until(lambda: told(server, 3), "it was not taken up")

                async def delivered() -> bool:
                    deliveries = [each for alert in await shown(gateway) for each in alert["deliveries"]]
                    return [(each["state"], each["attempts"]) for each in deliveries] == [("delivered", 3)]

                await until(delivered, "its delivery is not on record")
                assert len({header(head, "webhook-id") for head, _ in requests(server)}) == 1
                assert {body for _, body in requests(server)} == {requests(server)[0][1]}

    asyncio.run(scenario())
