"""The log of alerts in SQL. Owns the table `alerts`."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, text, update

from headgate.alert_types import Alert, AlertDelivery, AlertRecord
from headgate.stores.cleaning import cleaned
from headgate.stores.database import Database
from headgate.stores.schema import alerts

_ENTER = (
    "INSERT INTO alerts (key, at, alert, deliveries, claimed_until) "
    "VALUES (:key, :at, :alert, :deliveries, :claimed_until) ON CONFLICT (key) DO NOTHING"
)
MAX_RESUMED = 100  # alerts that one process takes over at once

_ALERT = msgspec.json.Decoder(Alert)
_DELIVERIES = msgspec.json.Decoder(tuple[AlertDelivery, ...])


class SqlAlertLog:
    """The port `AlertLog` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, record: AlertRecord, until: float) -> bool:
        fit = cleaned(record)
        return await self._database.run(
            self._database.keys, lambda connection: _enter(connection, fit, until), writes=True
        )

    async def save(self, record: AlertRecord, until: float) -> None:
        fit = cleaned(record)
        change = update(alerts).where(alerts.c.key == fit.alert.key)
        change = change.values(deliveries=_json(fit.deliveries), claimed_until=_claimed_until(fit, until))
        await self._database.run(self._database.keys, lambda connection: connection.execute(change), writes=True)

    async def resume(self, now: float, until: float) -> list[AlertRecord]:
        return await self._database.run(
            self._database.keys, lambda connection: _resume(connection, now, until), writes=True
        )

    async def recent(self, limit: int) -> list[AlertRecord]:
        query = select(alerts).order_by(alerts.c.at.desc(), alerts.c.key).limit(limit)
        return await self._database.run(
            self._database.reading, lambda connection: [_record(row) for row in connection.execute(query)]
        )

    async def prune(self, before: float) -> int:
        old = delete(alerts).where(alerts.c.at < before)
        return await self._database.run(
            self._database.keys, lambda connection: connection.execute(old).rowcount, writes=True
        )


def _enter(connection: Connection, record: AlertRecord, until: float) -> bool:
    values = {
        "key": record.alert.key,
        "at": record.alert.at,
        "alert": _json(record.alert),
        "deliveries": _json(record.deliveries),
        "claimed_until": _claimed_until(record, until),
    }
    return connection.execute(text(_ENTER), values).rowcount == 1


def _resume(connection: Connection, now: float, until: float) -> list[AlertRecord]:
    query = select(alerts).where(alerts.c.claimed_until < now).order_by(alerts.c.at).limit(MAX_RESUMED)
    taken = []
    for row in connection.execute(query).all():
        # Of two processes that see the same row, the second finds that its claim has changed.
        unchanged = update(alerts).where(alerts.c.key == row.key, alerts.c.claimed_until == row.claimed_until)
        if connection.execute(unchanged.values(claimed_until=until)).rowcount:
            taken.append(_record(row))
    return taken


def _claimed_until(record: AlertRecord, until: float) -> float | None:
    return until if record.pending else None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _record(row: Row[Any]) -> AlertRecord:
    return AlertRecord(_ALERT.decode(row.alert), _DELIVERIES.decode(row.deliveries))
