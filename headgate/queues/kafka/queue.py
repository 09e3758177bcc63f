"""A queue in a Kafka topic, read by a consumer group.

Parameters of the address with a dot in their names are librdkafka's own settings, such as security.protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from headgate.errors import InvalidRequest, MissingExtra
from headgate.ports import Clock
from headgate.queue_errors import MessageRefused, QueueUnavailable
from headgate.queue_types import Headers, Message, QueueBacklog
from headgate.queues.kafka.receiver import DEDUPE_ID, DUE_AT, Beginning, Receiver
from headgate.queues.places import Place

if TYPE_CHECKING:
    from confluent_kafka import Producer

Done = TypeVar("Done")

GROUP = "headgate."  # before the name of the topic: members of a group disturb each other
SEND_SECONDS = 5.0
_SLICE_SECONDS = 0.25  # a thread waits for messages so long before others may have it
_ANSWER_SECONDS = 0.05
_REFUSED_ADVICE = "Correct the credentials, or let their user read and write the topic, and read as its group."
_OF_RECEIVERS = ("session.", "heartbeat.", "max.poll.", "auto.offset.", "fetch.", "group.", "partition.")

log = logging.getLogger(__name__)


class KafkaQueue:
    """The port `Queue` on Kafka. Make it inside the event loop; it connects when it is used."""

    drops_duplicates = False

    def __init__(self, place: Place, clock: Clock, lease_seconds: float) -> None:
        """Raises MissingExtra, or InvalidRequest for a beginning that is no number."""
        try:
            import confluent_kafka
        except ImportError:
            raise MissingExtra("A queue in Kafka needs headgate[kafka]: pip install 'headgate[kafka]'.") from None
        self._failures = confluent_kafka.KafkaException
        errors = confluent_kafka.KafkaError
        self._too_long = errors.MSG_SIZE_TOO_LARGE
        refused = (errors.TOPIC_AUTHORIZATION_FAILED, errors.GROUP_AUTHORIZATION_FAILED, errors._AUTHENTICATION)
        missing = (errors.UNKNOWN_TOPIC_OR_PART, errors._UNKNOWN_TOPIC)
        self._advice = dict.fromkeys(refused, _REFUSED_ADVICE) | dict.fromkeys(missing, "Make it there.")
        self._place = place
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._settings = {
            "bootstrap.servers": place.host,
            "log.connection.close": False,
            **{name: value for name, value in place.options if "." in name},
        }
        self._beginning = _beginning(place)
        self._receiver: Receiver | None = None
        self._producer: Producer | None = None
        self._receiving = ThreadPoolExecutor(1, "headgate-kafka-receive")
        self._sending = ThreadPoolExecutor(1, "headgate-kafka-send")

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Any] = loop.create_future()

        def delivered(error: Any, _message: Any) -> None:
            loop.call_soon_threadsafe(_tell, told, error)

        extra = [(DEDUPE_ID, dedupe_id)] if dedupe_id else []
        if delay_seconds > 0:
            extra.append((DUE_AT, repr(self._clock.now() + delay_seconds)))
        fields: list[tuple[str, str | bytes | None]] = [(name, value.encode()) for name, value in (*headers, *extra)]
        try:
            producer = self._make_producer()
            produce = partial(producer.produce, self._place.name, body, headers=fields, on_delivery=delivered)
            await self._when_there_is_room(producer, produce)
        except self._failures as error:
            raise self._trouble(error.args[0]) from error
        while not told.done():
            await loop.run_in_executor(self._sending, producer.poll, _ANSWER_SECONDS)
        if told.result() is not None:
            raise self._trouble(told.result())

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while True:
            left = until - self._clock.monotonic()
            found = await self._in_thread(partial(self._take, limit, max(0.0, min(left, _SLICE_SECONDS))))
            if found or left <= 0:
                return found

    async def extend(self, message: Message) -> bool:
        return self._receiver is not None and self._receiver.extend(message.receipt)

    async def ack(self, messages: Sequence[Message]) -> None:
        try:
            if self._receiver is not None:
                self._receiver.done(message.receipt for message in messages)
        except self._failures as error:
            raise self._trouble(error.args[0]) from error

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        if self._receiver is not None:
            self._receiver.release(message.receipt, delay_seconds)

    async def backlog(self) -> QueueBacklog:
        depth = await self._in_thread(lambda: self._make_receiver().waiting())
        if not depth:
            return QueueBacklog()
        last = self._receiver.last_sent_at if self._receiver is not None else None
        return QueueBacklog(depth, None if last is None else max(0.0, self._clock.now() - last))

    async def aclose(self) -> None:
        if self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            await asyncio.get_running_loop().run_in_executor(self._receiving, receiver.close)
        self._receiving.shutdown(wait=False)
        self._sending.shutdown(wait=False)

    # --- parts ---

    async def _when_there_is_room(self, producer: Producer, produce: Callable[[], None]) -> None:
        """Messages wait in this process until the broker has them, and so many fit: who sends faster is slowed down."""
        until = self._clock.monotonic() + SEND_SECONDS
        while True:
            try:
                return produce()
            except BufferError:
                if self._clock.monotonic() >= until:
                    raise QueueUnavailable(
                        f"The topic {self._place.shown} takes nothing: the messages before this one wait for it since "
                        f"{SEND_SECONDS:g} seconds. Look after Kafka there, or raise queue.buffering.max.messages."
                    ) from None
            await asyncio.get_running_loop().run_in_executor(self._sending, producer.poll, _ANSWER_SECONDS)

    def _take(self, limit: int, seconds: float) -> list[Message]:
        return self._make_receiver().take(limit, seconds)

    def _make_receiver(self) -> Receiver:
        if self._receiver is None:
            settings = {**self._settings, "group.id": self._place.option("group", GROUP + self._place.name)}
            self._receiver = Receiver(self._place.name, settings, self._clock, self._lease_seconds, self._beginning)
        return self._receiver

    def _make_producer(self) -> Producer:
        from confluent_kafka import Producer

        if self._producer is None:
            settings = {
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.timeout.ms": int(SEND_SECONDS * 1000),
                **{name: value for name, value in self._settings.items() if not name.startswith(_OF_RECEIVERS)},
            }
            self._producer = Producer(settings, logger=log)
        return self._producer

    async def _in_thread(self, work: Callable[[], Done]) -> Done:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._receiving, work)
        except self._failures as error:
            raise self._trouble(error.args[0]) from error

    def _trouble(self, error: Any) -> QueueUnavailable | MessageRefused:
        if error.code() == self._too_long:
            return MessageRefused(f"The message is too long for the topic {self._place.shown}: {error.str()}.")
        advice = self._advice.get(error.code(), "Start Kafka there, or correct the address.")
        return QueueUnavailable(f"The topic {self._place.shown} cannot be used: {error.str()}. {advice}")


def _tell(told: asyncio.Future[Any], error: Any) -> None:
    if not told.done():  # else nobody waits for it any more
        told.set_result(error)


def _beginning(place: Place) -> Beginning:
    offset, at = place.option("from_offset"), place.option("from_time")
    try:
        return Beginning(int(offset) if offset else None, float(at) if at else None)
    except ValueError:
        raise InvalidRequest("from_offset and from_time of a Kafka address are numbers.", param="queue") from None
