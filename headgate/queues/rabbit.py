"""A queue in RabbitMQ: a quorum queue, confirmed sends, and a dead-letter exchange for what nobody could take.

A queue that is there already is used as it is. RabbitMQ delivers again what a lost connection had; that somebody takes
too long is noticed here. What is delayed waits in a queue of its own, one for each length of time, that expires.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from headgate.errors import MissingExtra
from headgate.ports import Clock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_types import Headers, Message, QueueBacklog
from headgate.queues.places import Place

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

PREFETCHED = 200
MOST_DELIVERIES = 20  # by the broker's count; then it is put into NAME-dead
DEDUPE_ID = "headgate-dedupe-id"
DELIVERIES = "headgate-deliveries"
_OURS = (DEDUPE_ID, DELIVERIES, "x-")
_ANSWER_SECONDS = 5.0
_REFUSED = "ACCESS_REFUSED"
_REFUSED_ADVICE = "Correct the user and password, or let the user configure, write and read there."
_KEPT_MS = 60_000  # a queue of delayed messages, longer than they need it


class RabbitQueue:
    """The port `Queue` on RabbitMQ 3.10 or later. Make it inside the event loop; it connects when it is used."""

    drops_duplicates = False

    def __init__(self, place: Place, clock: Clock, lease_seconds: float) -> None:
        """Raises MissingExtra."""
        try:
            import aio_pika.exceptions
        except ImportError:
            raise MissingExtra(
                "A queue in RabbitMQ needs headgate[rabbitmq]: pip install 'headgate[rabbitmq]'."
            ) from None
        self._failures = (aio_pika.exceptions.AMQPError, OSError, RuntimeError, TimeoutError)
        self._place = place
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._connecting = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._is_consuming = False
        self._connections = 0
        self._arrived: deque[AbstractIncomingMessage] = deque()
        self._held: dict[str, tuple[AbstractIncomingMessage, float]] = {}  # by receipt, with the end of the lease
        self._news = asyncio.Event()
        self._last_sent_at: float | None = None

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        named = dict(headers) | ({DEDUPE_ID: dedupe_id} if dedupe_id else {})
        async with self._reached() as channel:
            await self._publish(channel, body, dedupe_id or self._clock.new_id("msg"), delay_seconds, named)

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while True:
            async with self._reached():
                await self._consume()
                await self._let_go()
            self._news.clear()
            now = self._clock.monotonic()
            found = [self._deliver(self._arrived.popleft(), now) for _ in range(min(limit, len(self._arrived)))]
            if found or now >= until:
                return found
            wake_at = min([until, *(end for _, end in self._held.values())])
            try:
                async with asyncio.timeout(max(0.0, wake_at - now)):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def extend(self, message: Message) -> bool:
        if message.receipt not in self._held:
            return False
        raw, _ = self._held[message.receipt]
        self._held[message.receipt] = (raw, self._clock.monotonic() + self._lease_seconds)
        return True

    async def ack(self, messages: Sequence[Message]) -> None:
        async with self._reached():
            for message in messages:
                if (held := self._held.pop(message.receipt, None)) is not None:
                    await held[0].ack()

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        async with self._reached() as channel:
            held = self._held.get(message.receipt)
            if held is None:
                return
            if delay_seconds > 0:
                named: dict[str, Any] = {**dict(message.headers), DELIVERIES: message.deliveries}
                if message.dedupe_id:
                    named[DEDUPE_ID] = message.dedupe_id
                await self._publish(channel, message.body, message.id, delay_seconds, named)
                await held[0].ack()
            else:
                await held[0].nack(requeue=True)
            self._held.pop(message.receipt, None)

    async def backlog(self) -> QueueBacklog:
        async with self._reached() as channel:
            told = await channel.declare_queue(self._place.name, passive=True)
            depth = (told.declaration_result.message_count or 0) + len(self._arrived)
        first = _sent_at(self._arrived[0]) if self._arrived else self._last_sent_at
        if not depth:
            return QueueBacklog()
        return QueueBacklog(depth, None if first is None else max(0.0, self._clock.now() - first))

    async def aclose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    # --- the connection ---

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[AbstractChannel]:
        """A channel of a connection that lives; what goes wrong with it inside is told as ours."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                async with self._connecting:
                    channel = self._channel
                    if self._connection is None or self._connection.is_closed or channel is None or channel.is_closed:
                        channel = await self._connect()
                yield channel
        except self._failures as error:
            self._channel = None  # begin anew with another connection
            words = str(error) or "it did not answer in time"
            advice = _REFUSED_ADVICE if _REFUSED in words else "Start RabbitMQ there, or correct the address."
            raise QueueUnavailable(f"The queue {self._place.shown} cannot be used: {words}. {advice}") from error

    async def _connect(self) -> AbstractChannel:
        import aio_pika

        await self.aclose()
        self._arrived.clear()
        self._held.clear()  # another connection's: delivered again
        self._is_consuming = False
        self._connections += 1
        self._connection = connection = await aio_pika.connect(self._place.address, timeout=_ANSWER_SECONDS)
        connection.close_callbacks.add(lambda *_: self._news.set())
        await self._declare(connection)
        # Else what is sent to a queue that was deleted meanwhile is confirmed, and gone.
        self._channel = channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        self._queue = await channel.get_queue(self._place.name)
        return channel

    async def _declare(self, connection: AbstractConnection) -> None:
        """Make the queue, if there is none: a queue that others made has its own arguments."""
        import aio_pika.exceptions

        name, dead = self._place.name, self._place.dead().name
        try:
            async with connection.channel() as trial:
                await trial.declare_queue(name, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            kind: dict[str, Any] = {"x-queue-type": "quorum"}
            async with connection.channel() as channel:
                if self._place.is_dead:
                    await channel.declare_queue(name, durable=True, arguments=kind)
                    return
                exchange = await channel.declare_exchange(dead, aio_pika.ExchangeType.FANOUT, durable=True)
                letters = await channel.declare_queue(dead, durable=True, arguments=kind)
                await letters.bind(exchange)
                arguments: dict[str, Any] = {
                    **kind,
                    "x-dead-letter-exchange": dead,
                    "x-delivery-limit": MOST_DELIVERIES,
                }
                await channel.declare_queue(name, durable=True, arguments=kind | arguments)

    async def _consume(self) -> None:
        if self._is_consuming or self._channel is None or self._queue is None:
            return
        await self._channel.set_qos(prefetch_count=PREFETCHED)
        await self._queue.consume(self._arrive)
        self._is_consuming = True

    # --- parts ---

    async def _arrive(self, raw: AbstractIncomingMessage) -> None:
        self._arrived.append(raw)
        self._news.set()

    async def _let_go(self) -> None:
        """Whose lease has run out."""
        now = self._clock.monotonic()
        for receipt in [receipt for receipt, (_, end) in self._held.items() if end <= now]:
            raw, _ = self._held.pop(receipt)
            await raw.nack(requeue=True)

    def _deliver(self, raw: AbstractIncomingMessage, now: float) -> Message:
        receipt = f"{self._connections}:{raw.delivery_tag}"
        self._held[receipt] = (raw, now + self._lease_seconds)
        named: dict[str, Any] = dict(raw.headers)
        counted = int(named.get("x-delivery-count", raw.redelivered) or 0)
        self._last_sent_at = _sent_at(raw) or self._clock.now()
        return Message(
            id=raw.message_id or "",
            body=raw.body,
            receipt=receipt,
            sent_at=self._last_sent_at,
            deliveries=int(named.get(DELIVERIES, 0)) + counted + 1,
            dedupe_id=str(named.get(DEDUPE_ID, "")),
            headers=tuple((name, str(value)) for name, value in named.items() if not name.startswith(_OURS)),
        )

    async def _publish(
        self, channel: AbstractChannel, body: bytes, message_id: str, delay_seconds: float, named: dict[str, Any]
    ) -> None:
        import aio_pika

        to = await self._delaying(channel, delay_seconds) if delay_seconds > 0 else self._place.name
        message = aio_pika.Message(
            body,
            headers=named,
            message_id=message_id,
            timestamp=self._clock.now(),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await channel.default_exchange.publish(message, to)

    async def _delaying(self, channel: AbstractChannel, seconds: float) -> str:
        """The queue whose messages come to ours after so long, by two digits: there are not many."""
        unit = max(1, 10 ** (len(str(int(seconds * 1000))) - 2))
        milliseconds = -(-int(seconds * 1000) // unit) * unit
        name = f"{self._place.name}.delay.{milliseconds}"
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": milliseconds,
            "x-expires": milliseconds + _KEPT_MS,
            "x-overflow": "reject-publish",
            "x-dead-letter-strategy": "at-least-once",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._place.name,
        }
        await channel.declare_queue(name, durable=True, arguments=arguments)
        return name


def _sent_at(raw: AbstractIncomingMessage) -> float | None:
    return raw.timestamp.timestamp() if raw.timestamp is not None else None
