"""The receiving side of a Kafka topic. What it holds back, it holds in memory: the offsets behind it are committed when
it is done with.

Kafka knows neither leases nor messages that are given back. Both are kept here: a message stays open until it is
acknowledged, and only what lies before the first open one is committed, so that another process goes on from there
when this one is lost. `take` and `close` belong to one thread; the others may be called from any.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from headgate.queue_types import Message
from headgate.queues.kafka.low_water import LowWater

if TYPE_CHECKING:
    import confluent_kafka

DEDUPE_ID = "headgate-dedupe-id"
DUE_AT = "headgate-due-at"  # Unix seconds
MOST_OPEN = 1000  # messages that are not done with, and what was read behind them; then partitions pause
_ANSWER_SECONDS = 5.0

log = logging.getLogger(__name__)


class Held(msgspec.Struct):
    """A message that was read and is not done with."""

    partition: int
    offset: int
    message: Message
    until: float  # monotonic: when it is delivered again
    in_hand: bool = False  # somebody has it; else it waits for its time


class Beginning(msgspec.Struct, frozen=True):
    """Where to begin, for once, in place of what was committed."""

    offset: int | None = None
    at: float | None = None  # Unix seconds


class Receiver:
    """A member of a consumer group. `monotonic` and `now` are the clock's."""

    def __init__(
        self, topic: str, settings: Mapping[str, Any], clock: Any, lease_seconds: float, beginning: Beginning
    ) -> None:
        from confluent_kafka import Consumer

        self._topic = topic
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._beginning = beginning
        self._begun: set[int] = set()
        self._lock = threading.Lock()
        self._water: dict[int, LowWater] = {}
        self._held: dict[tuple[int, int], Held] = {}
        self._last_sent_at: float | None = None
        self._is_doubtful = True  # whether there are brokers
        self._consumer = Consumer(
            {
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                **settings,
                "enable.auto.commit": False,
                "error_cb": self._failed,
            },
            logger=log,
        )
        self._consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=lambda _, lost: self._forget(lost)
        )

    # --- in the receiver's thread ---

    def take(self, limit: int, seconds: float) -> list[Message]:
        """What is due, as soon as there is some. Raises KafkaException, also for a topic that is not there."""
        from confluent_kafka import KafkaException

        if self._is_doubtful:
            known = self._consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS).topics.get(self._topic)
            if known is not None and known.error is not None:
                raise KafkaException(known.error)
            self._is_doubtful = False
        now = self._clock.monotonic()
        with self._lock:
            found = self._due(limit, now)
            pause = min((held.until - now for held in self._held.values()), default=seconds)
            wanted = min(limit - len(found), MOST_OPEN - sum(map(len, self._water.values())))
        assigned = self._consumer.assignment()
        if wanted <= 0:
            self._consumer.pause(assigned)
        else:
            self._consumer.resume(assigned)
        first = self._consumer.poll(0.0 if found else max(0.0, min(seconds, pause)))
        more = self._consumer.consume(wanted - 1, 0.0) if first is not None and wanted > 1 else []
        read = [message for message in (first, *more) if message is not None]
        for error in filter(None, (message.error() for message in read)):
            if error.code() in (error.TOPIC_AUTHORIZATION_FAILED, error.GROUP_AUTHORIZATION_FAILED):
                log.warning("the topic %s: %s", self._topic, error.str())
                self._is_doubtful = True
        read = [message for message in read if message.error() is None]
        with self._lock:
            return [*found, *self._entered(read)]

    def waiting(self) -> int:
        """Messages that nobody has read, and those that were given back. Raises KafkaException."""
        from confluent_kafka import TopicPartition

        known = self._consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS).topics[self._topic].partitions
        asked = [TopicPartition(self._topic, partition) for partition in known]
        count = 0
        for place in self._consumer.committed(asked, timeout=_ANSWER_SECONDS):
            low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
            with self._lock:
                water = self._water.get(place.partition)
                position = water.position if water is not None else -1
            count += high - max(low, place.offset, position)
        with self._lock:
            return count + sum(not held.in_hand for held in self._held.values())

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()

    # --- from any thread ---

    @property
    def last_sent_at(self) -> float | None:
        """Of the last message that was read: what waits is younger."""
        return self._last_sent_at

    def extend(self, receipt: str) -> bool:
        """As `Queue.extend`."""
        with self._lock:
            held = self._with(receipt)
            if held is not None:
                held.until = self._clock.monotonic() + self._lease_seconds
            return held is not None

    def release(self, receipt: str, delay_seconds: float) -> None:
        """As `Queue.release`."""
        with self._lock:
            if (held := self._with(receipt)) is not None:
                held.until, held.in_hand = self._clock.monotonic() + delay_seconds, False

    def done(self, receipts: Iterable[str]) -> None:
        """They are done with: commit up to the first that is not. Raises KafkaException."""
        from confluent_kafka import TopicPartition

        moved: dict[int, int] = {}
        with self._lock:
            for held in filter(None, map(self._with, receipts)):
                del self._held[held.partition, held.offset]
                if (offset := self._water[held.partition].done(held.offset)) is not None:
                    moved[held.partition] = offset
        if moved:
            places = [TopicPartition(self._topic, partition, offset) for partition, offset in moved.items()]
            self._consumer.commit(offsets=places, asynchronous=True)

    # --- parts ---

    def _with(self, receipt: str) -> Held | None:
        """What was delivered with this receipt, if nobody else has it by now."""
        partition, offset, _ = map(int, receipt.split(":"))
        held = self._held.get((partition, offset))
        return held if held is not None and held.in_hand and held.message.receipt == receipt else None

    def _due(self, limit: int, now: float) -> list[Message]:
        """Whose lease has run out, and whose time has come."""
        due = sorted((held for held in self._held.values() if held.until <= now), key=lambda held: held.until)
        return [self._deliver(held, now) for held in due[:limit]]

    def _deliver(self, held: Held, now: float) -> Message:
        times = held.message.deliveries + 1
        receipt = f"{held.partition}:{held.offset}:{times}"
        held.message = msgspec.structs.replace(held.message, receipt=receipt, deliveries=times)
        held.until, held.in_hand = now + self._lease_seconds, True
        return held.message

    def _entered(self, read: Sequence[confluent_kafka.Message]) -> list[Message]:
        now, found = self._clock.monotonic(), deque[Message]()
        for raw in read:
            partition, offset = raw.partition(), raw.offset()
            assert partition is not None and offset is not None
            water = self._water.setdefault(partition, LowWater())
            if offset < water.position:
                continue  # read again after a rebalance that left the partition here
            water.begin(offset)
            message, delay = _message(raw, self._clock.now())
            held = self._held[partition, offset] = Held(partition, offset, message, now + delay)
            self._last_sent_at = message.sent_at
            if delay <= 0:
                found.append(self._deliver(held, now))
        return list(found)

    def _assigned(self, consumer: Any, places: list[confluent_kafka.TopicPartition]) -> None:
        fresh = [place for place in places if place.partition not in self._begun]
        self._begun.update(place.partition for place in fresh)
        if self._beginning.offset is not None:
            for place in fresh:
                place.offset = self._beginning.offset
        elif self._beginning.at is not None and fresh:
            for place in fresh:
                place.offset = int(self._beginning.at * 1000)
            found = {one.partition: one.offset for one in consumer.offsets_for_times(fresh, timeout=_ANSWER_SECONDS)}
            for place in fresh:
                place.offset = found[place.partition]
        consumer.incremental_assign(places)

    def _revoked(self, consumer: Any, places: list[confluent_kafka.TopicPartition]) -> None:
        """What was done with is committed already, or on its way there before our leaving."""
        self._forget(places)
        consumer.incremental_unassign(places)

    def _forget(self, places: list[confluent_kafka.TopicPartition]) -> None:
        """Another member has these partitions, and with them what is open."""
        gone = {place.partition for place in places}
        with self._lock:
            self._water = {partition: water for partition, water in self._water.items() if partition not in gone}
            self._held = {key: held for key, held in self._held.items() if held.partition not in gone}

    def _failed(self, error: Any) -> None:
        self._is_doubtful = True


def _message(raw: confluent_kafka.Message, now: float) -> tuple[Message, float]:
    """A message that nobody has had, and how long it has to wait (s)."""
    listed: Any = raw.headers() or ()
    named = {str(name): _text(value) for name, value in listed}
    dedupe_id, due_at = named.pop(DEDUPE_ID, ""), named.pop(DUE_AT, "")
    _, milliseconds = raw.timestamp()
    place = f"{raw.partition()}:{raw.offset()}"
    made = Message(
        # A topic that was deleted and made anew has the same offsets, at other times.
        id=f"{place}@{milliseconds}",
        body=_bytes(raw.value()),
        receipt=f"{place}:0",
        sent_at=milliseconds / 1000,
        deliveries=0,
        dedupe_id=dedupe_id,
        headers=tuple(named.items()),
    )
    return made, float(due_at) - now if due_at else 0.0


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
