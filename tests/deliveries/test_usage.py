"""Rows of the ledger on a topic: each at least once, in order, by one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headgate.deliveries.usage import PAUSE_SECONDS
from headgate.queue_errors import QueueUnavailable
from tests.admin.office import ledger_row
from tests.deliveries.post import CONFIG, Topics, post, run

ADDRESS = "kafka://127.0.0.1:9092/usage"
PUBLISHES = f"{CONFIG}\npublish: {{usage: {ADDRESS}}}\n"


def test_rows_are_told_once_they_are_written(tmp_path: Path) -> None:
    topics = Topics()

    async def scenario() -> None:
        async with post(tmp_path, PUBLISHES, topics.open) as made, post(tmp_path, PUBLISHES, topics.open) as other:
            await made.desk.ledger.write([ledger_row(1)])
            await made.deliveries.usage.step()
            await made.desk.ledger.write([ledger_row(2, user="alice"), ledger_row(3)])
            assert await other.deliveries.usage.step() == PAUSE_SECONDS  # it is not its turn
            await made.deliveries.usage.step()
            await made.deliveries.usage.step()
            assert [(address, dedupe_id) for address, _, dedupe_id in topics.sent] == [
                (ADDRESS, "req_2"), (ADDRESS, "req_3")
            ]  # fmt: skip
            told = json.loads(topics.sent[0][1])
            assert (told["id"], told["type"], told["timestamp"][:4]) == ("req_2", "usage.request", "2026")
            data = told["data"]
            assert (data["cost_usd"], data["tenant"], data["user"], data["outcome"]) == (
                "0.000082", "acme", "alice", "done"
            )  # fmt: skip
            assert data["usage"]["input"] == 100

    run(scenario)


def test_a_broker_that_is_away_loses_nothing(tmp_path: Path) -> None:
    topics = Topics()

    async def scenario() -> None:
        async with post(tmp_path, PUBLISHES, topics.open) as made, post(tmp_path, PUBLISHES, topics.open) as other:
            await made.deliveries.usage.step()
            await made.desk.ledger.write([ledger_row(1), ledger_row(2)])
            topics.down.add(ADDRESS)
            with pytest.raises(QueueUnavailable):
                await made.deliveries.usage.step()
            topics.down.clear()
            await made.deliveries.usage.aclose()  # its process ends, and another goes on
            await other.deliveries.usage.step()
            assert [dedupe_id for _, _, dedupe_id in topics.sent] == ["req_1", "req_2"]

    run(scenario)


def test_nobody_listens(tmp_path: Path) -> None:
    topics = Topics()

    async def scenario() -> None:
        async with post(tmp_path, CONFIG, topics.open) as made:
            await made.desk.ledger.write([ledger_row(1)])
            assert await made.deliveries.usage.step() == PAUSE_SECONDS and topics.sent == []

    run(scenario)
