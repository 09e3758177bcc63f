"""Publishing the ledger: every new row is sent to a topic, by one process at a time, at least once.

It reads what is written, so no request waits for it; a broker that is away only lets it fall behind.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import msgspec

from headgate.deliveries.senders import OpenTopic
from headgate.deliveries.settings import Settings
from headgate.delivery_ports import Topic, UsageFeed
from headgate.errors import HeadgateError, InvalidRequest
from headgate.policy.pricing import format_usd
from headgate.ports import Clock, Leases
from headgate.types import Frozen, RequestRecord, Usage

LEASE = "publish usage"
LEASE_SECONDS = 30.0
LOOK_SECONDS = 0.5
PAUSE_SECONDS = 5.0  # after a failure, while another process publishes, and while nobody listens
ROWS_AT_ONCE = 200

log = logging.getLogger(__name__)


class UsageData(Frozen, frozen=True):
    """A row of the ledger, without words of the request or the answer. Durations are in seconds."""

    id: str
    tenant: str
    user: str | None
    key_id: str
    route: str
    model: str
    stream: bool
    outcome: str
    status: int
    error: str
    deployment: str
    provider: str
    upstream_model: str
    session: str | None
    tags: tuple[str, ...]
    usage: Usage
    cost_usd: str
    ttft_seconds: float | None
    e2e_seconds: float


class UsageEvent(Frozen, frozen=True):
    """What is sent. `id` is the request's: who gets it twice knows by that."""

    id: str
    type: str
    timestamp: str
    data: UsageData


class UsagePublisher:
    """One process's publisher; the lease says whether it is its turn."""

    def __init__(
        self, feed: UsageFeed, leases: Leases, open_topic: OpenTopic, settings: Settings, clock: Clock
    ) -> None:
        self._feed = feed
        self._leases = leases
        self._open = open_topic
        self._settings = settings
        self._owner = clock.new_id("publisher")
        self._topic: tuple[str, Topic] | None = None

    async def run_forever(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                pause = await self.step()
            except (HeadgateError, TimeoutError) as error:
                log.warning("usage is not published: %s", str(error) or "the topic took nothing in time")
                pause = PAUSE_SECONDS
            except Exception:
                log.exception("usage is not published: headgate failed")
                pause = PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Send what is new, if it is this process's turn; how long to wait then. Raises HeadgateError,
        and TimeoutError if the topic takes them too slowly."""
        address = self._settings().publish_usage
        if not address or await self._leases.take(LEASE, self._owner, LEASE_SECONDS) is None:
            return PAUSE_SECONDS
        records, position = await self._feed.read(ROWS_AT_ONCE)
        if not records:
            return LOOK_SECONDS
        topic = await self._to(address)
        async with asyncio.timeout(LEASE_SECONDS / 2):  # before somebody else begins
            await asyncio.gather(*(_send(topic, record) for record in records))
        await self._feed.advance(position)
        return 0.0 if len(records) == ROWS_AT_ONCE else LOOK_SECONDS

    async def aclose(self) -> None:
        """Let others go on, and close the connection."""
        await self._leases.release(LEASE, self._owner)
        if self._topic is not None:
            await self._topic[1].aclose()

    async def _to(self, address: str) -> Topic:
        if self._topic is not None and self._topic[0] != address:
            await self._topic[1].aclose()
            self._topic = None
        if self._topic is None:
            self._topic = (address, self._open(address))
        return self._topic[1]


async def _send(topic: Topic, record: RequestRecord) -> None:
    try:
        await topic.send(msgspec.json.encode(event(record)), record.id)
    except InvalidRequest as error:  # it will never be taken, and the rest must go on
        log.error("the row %s was not published: %s", record.id, error.message)


def event(record: RequestRecord) -> UsageEvent:
    """What others are told of a row. Pure."""
    started = datetime.fromtimestamp(record.started_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = UsageData(
        id=record.id,
        tenant=record.tenant,
        user=record.user,
        key_id=record.key_id,
        route=record.route,
        model=record.model,
        stream=record.stream,
        outcome=record.outcome.value,
        status=record.status,
        error=record.error,
        deployment=record.deployment,
        provider=record.provider,
        upstream_model=record.upstream_model,
        session=record.session,
        tags=record.tags,
        usage=record.usage,
        cost_usd=format_usd(record.cost_picousd),
        ttft_seconds=record.ttft_seconds,
        e2e_seconds=record.e2e_seconds,
    )
    return UsageEvent(record.id, "usage.request", started, data)
