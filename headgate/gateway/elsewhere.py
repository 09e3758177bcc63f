"""Requests that another process has under way: who asks the same here waits for the answer that will be kept.

Once only, and for a while. When the other process has no answer to give, because it failed, died, or its answer may not
be kept, everybody who waited asks for himself: a second wait would cost more time than it saves money.
"""

from __future__ import annotations

import asyncio

from headgate.ports import Clock, Leads

FIRST_PAUSE_SECONDS = 0.01  # then half as long again each time
LONGEST_PAUSE_SECONDS = 0.1
MOST_SECONDS = 60.0


class Elsewhere:
    """What this process has to do with the requests of others."""

    def __init__(self, leads: Leads, clock: Clock) -> None:
        self._leads = leads
        self._clock = clock

    async def wait(self, key: bytes, question: bytes) -> bool:
        """Until no other process asks this; False if none did, and then others wait for this one."""
        process = await self._leads.claim(key, question)
        if not process:
            return False
        until, pause = self._clock.monotonic() + MOST_SECONDS, FIRST_PAUSE_SECONDS
        while self._clock.monotonic() < until and await self._leads.asks(process, key):
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)
        return True

    def over(self, key: bytes) -> None:
        """A request of this process is over, and its answer is put into the store, if it is one to keep."""
        self._leads.release(key)
