"""A shorter night with the queues whose servers are stand-ins here: Kafka (librdkafka's mock) and SQS (moto)."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.brokers import KafkaBroker
from tests.faults import test_jobs as nights
from tests.scale import scaled
from tests.servers import PostgresqlServer

_NUMBERS = itertools.count(1)

pytestmark = [pytest.mark.full, pytest.mark.server, pytest.mark.timeout(scaled(1800, 600))]


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "DOCUMENTS", scaled(10_000, 1_000))
    monkeypatch.setattr(nights, "KILLS", scaled(12, 2))


def test_several_processes_on_postgresql_and_kafka(
    tmp_path: Path, postgresql_server: PostgresqlServer, kafka_broker: KafkaBroker
) -> None:
    topic = kafka_broker.make_topic(f"night-{next(_NUMBERS)}")
    asyncio.run(_night(tmp_path, postgresql_server.new_database(), topic))


def test_several_processes_on_postgresql_and_sqs(
    tmp_path: Path, postgresql_server: PostgresqlServer, sqs_endpoint: str
) -> None:
    queue = f"sqs://us-east-1/night-{next(_NUMBERS)}?endpoint={sqs_endpoint}"
    asyncio.run(_night(tmp_path, postgresql_server.new_database(), queue))


async def _night(folder: Path, database: str, queue: str) -> None:
    async with nights.night(folder, database, queue, nights.PROCESSES) as (gateway, model):
        job_id = await nights.submit(gateway)
        lost = await nights.trouble(gateway, job_id, [])
        await nights.assert_nothing_is_lost(gateway, job_id, model, lost)
