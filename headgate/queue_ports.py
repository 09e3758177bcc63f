"""The ports of queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.queue_types import DeadLetter, Headers, Message, NewDeadLetter, QueueBacklog


class Queue(Protocol):
    """Messages from anybody to one of many receivers, each at least once, whatever becomes of processes and brokers.

    A message that was received is leased: who neither acknowledges it nor asks for more time within the lease finds
    it delivered again, to himself or another. Raises QueueUnavailable; a queue that is not there is made.
    """

    drops_duplicates: bool  # a message with a dedupe id that was there before is dropped by the queue itself

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        """Returns when the queue has it for good. Nobody receives it before the delay is over.

        Sending it again with the same id does no harm: the queue drops it, or receivers see the id. Raises
        MessageRefused.
        """

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        """The next messages, as soon as there is one; none if there is none for so long.

        A `limit` of 0 takes nothing and keeps the receiver's place among the others: ask at least once a minute.
        """

    async def extend(self, message: Message) -> bool:
        """Another whole lease from now on; False: it belongs to another by now."""

    async def ack(self, messages: Sequence[Message]) -> None:
        """They are done with. Those that belong to others by now stay."""

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        """Give it back, to be delivered again after the delay; others do not wait for it."""

    async def backlog(self) -> QueueBacklog:
        """What waits."""

    async def aclose(self) -> None:
        """Disconnect; what was received and not acknowledged is delivered again. May be repeated."""


class DeadLetters(Protocol):
    """Messages that could not be used. Raises DatabaseUnavailable."""

    async def add(self, letter: NewDeadLetter) -> None:
        """Keep it; one from the same position is there already and stays as it is."""

    async def page(self, limit: int, after: int | None = None) -> tuple[list[DeadLetter], int | None]:
        """The newest first, and the cursor of the next page or None."""

    async def get(self, letter_id: int) -> DeadLetter:
        """Raises NotFound."""

    async def drop(self, letter_ids: Sequence[int]) -> int:
        """Forget them; how many there were."""


class Signal(Protocol):
    """A sign to another process that looking may be worth while. It may get lost. Raises QueueUnavailable."""

    async def give(self) -> None:
        """Let another process know, or this one."""

    async def wait(self) -> None:
        """Until a sign was given; those that were given meanwhile are one."""

    async def aclose(self) -> None:
        """Disconnect. May be repeated."""
