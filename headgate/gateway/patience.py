"""Requests that wait for what is not theirs: an answer that another request, or another process, is about to get.

They have no watchdog yet, since no provider is asked for them; what ends all that is under way must end them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from headgate.errors import HeadgateError
from headgate.gateway.journey import Journey

T = TypeVar("T")


class Patience:
    """Of one process's requests. Belongs to its event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Journey, asyncio.Task[object]] = {}

    async def until(self, journey: Journey, waiting: Coroutine[object, object, T]) -> T:
        """What the coroutine returns. Raises the journey's interruption if that comes before, or has come."""
        if journey.interruption is not None:
            waiting.close()
            raise journey.interruption
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        self._waiting[journey] = task
        try:
            return await waiting
        except asyncio.CancelledError:
            if journey.interruption is not None and task.uncancel() == 0:  # else its client has left as well
                raise journey.interruption from None
            raise
        finally:
            del self._waiting[journey]

    def end(self, journey: Journey, error: HeadgateError) -> None:
        """A journey without a watchdog is to end: at once if it waits, else before a provider is asked."""
        journey.interruption = error
        if (task := self._waiting.get(journey)) is not None:
            task.cancel()
