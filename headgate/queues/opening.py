"""Opening a queue by its address."""

from __future__ import annotations

from headgate.ports import Clock
from headgate.queue_ports import Queue
from headgate.queues.places import Place, place_of

LEASE_SECONDS = 30.0


def open_queue(address: str | Place, clock: Clock, lease_seconds: float = LEASE_SECONDS) -> Queue:
    """The queue at redis://, amqp://, kafka:// or sqs://; a queue in the database is made with its `Database`.

    Make it inside the event loop; it connects when it is used. Raises InvalidRequest for an address that is none, and
    MissingExtra.
    """
    place = address if isinstance(address, Place) else place_of(address)
    lease_seconds = place.lease_seconds(lease_seconds)
    if place.scheme in ("amqp", "amqps"):
        from headgate.queues.rabbit import RabbitQueue

        return RabbitQueue(place, clock, lease_seconds)
    if place.scheme == "kafka":
        from headgate.queues.kafka.queue import KafkaQueue

        return KafkaQueue(place, clock, lease_seconds)
    if place.scheme == "sqs":
        from headgate.queues.sqs import SqsQueue

        return SqsQueue(place, clock, lease_seconds)
    from headgate.queues.redis.queue import RedisQueue

    return RedisQueue(place, clock, lease_seconds)
