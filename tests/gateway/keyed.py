"""Requests with an idempotency key, to one process or to two that share a database."""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.gateway.idempotency import Idempotency
from headgate.types import Call
from tests.gateway.corridor import Corridor, Visit, deployment, model
from tests.gateway.scripted import Reply, ScriptedProvider


def corridor(*replies: Reply, **settings: Any) -> tuple[Corridor, ScriptedProvider]:
    provider = ScriptedProvider(*replies)
    return Corridor(model(deployment(provider), retries=0), **settings), provider


def another_process(first: Corridor, *replies: Reply, **settings: Any) -> tuple[Corridor, ScriptedProvider]:
    """One that shares the database with the first."""
    other, provider = corridor(*replies, **settings)
    other.clock.new_id("process")  # so that their ids differ
    keys = Idempotency(first.keys, other.clock, other.settler, other.admissions)
    other.pipeline.idempotency = other.idempotency = keys
    return other, provider


def keyed(corridor: Corridor, key: str = "k1", stream: bool = False, **members: Any) -> Call:
    return msgspec.structs.replace(corridor.call(stream=stream, **members), idempotency_key=key)


def data(visit: Visit) -> list[bytes]:
    """What a client of a stream sees of it."""
    return [line for line in visit.body.split(b"\n") if line.startswith(b"data: ")]


def is_replayed(visit: Visit) -> bool:
    assert visit.head is not None, visit.error
    return visit.head.is_replayed
