"""The ports of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.delivery_types import Delivery, DeliveryEnd, OutboxStanding, Waiting
from headgate.types import RequestRecord


class Outbox(Protocol):
    """What is to be told about jobs. Rows come in the transaction that changes a job. Raises DatabaseUnavailable."""

    async def waiting(self, limit: int, not_tenants: Sequence[str], not_lanes: Sequence[str]) -> list[Waiting]:
        """Those whose time has come, the longest due first, without those of some tenants and lanes."""

    async def claim(self, ids: Sequence[str], seconds: float) -> list[Delivery]:
        """Take them for so long: those that nobody else took meanwhile."""

    async def finish(self, ends: Sequence[DeliveryEnd]) -> list[bool]:
        """Say what became of attempts; False for each that another has taken since, of which nothing changes."""

    async def of_job(self, job_id: str, limit: int) -> list[Delivery]:
        """What was or is to be told about a job, the newest first."""

    async def redeliver(self, job_id: str) -> list[Delivery]:
        """Tell the newest of what happened to a job again, everybody who is told of it; what now waits for that."""

    async def standing(self) -> OutboxStanding:
        """How much waits, and how much was given up."""

    async def prune(self, seconds: float) -> int:
        """Forget deliveries that ended so long ago; how many."""


class SigningKeys(Protocol):
    """Secrets of headgate's own that all processes share. Raises DatabaseUnavailable."""

    async def key(self, name: str, new: bytes) -> bytes:
        """The key of that name, which is `new` from now on if there was none."""


class UsageFeed(Protocol):
    """New rows of the ledger, each once unless `advance` was not reached. Raises DatabaseUnavailable."""

    async def read(self, limit: int) -> tuple[list[RequestRecord], int]:
        """The rows after those that were told, in the order in which they came, and the position after them.

        Who reads for the first time begins with the row that comes next. Attempts are left out.
        """

    async def advance(self, position: int) -> None:
        """Rows up to a position were told."""


class Topic(Protocol):
    """A topic or queue that messages are sent to."""

    async def send(self, body: bytes, dedupe_id: str) -> None:
        """Returns when the message is there for good. Raises QueueUnavailable."""

    async def aclose(self) -> None:
        """Close connections. May be repeated."""
