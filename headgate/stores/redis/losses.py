"""What a process does when Redis has forgotten a tenant: it announces there what it has under way, which is held again
before anybody is admitted.

The ledger is read without all that is announced, so that it does not matter when their rows come into it: each request
is counted by its own settlement, once. That may arrive before the counters are there; it waits in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from headgate.stores.redis import encoding
from headgate.stores.redis.encoding import bulk
from headgate.stores.redis.place import NOTHING, Counted, Held, Place, Spent

ANNOUNCE_SECONDS = 0.5  # for all to hear of a loss; what had ended before it is in the ledger by then
LOOK_SECONDS = 0.2
MOST_DOUBTFUL = 10_000  # beyond, and of a process that hears late, only what is still under way then is held again
_MOST_AT_ONCE = 500
_MOST_RESUMED = 50  # a few milliseconds of the server's
Run = Callable[[str, str, Place, Counted, Counted], Awaitable[tuple[Any, Any]]]


class Losses:
    """Finds out that counters were lost, and brings them back. `run` runs a script for a tenant at its place."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._marker = Place("lives:{lives}")  # no tenant's: it is lost when all are

    async def live_on(self, tenant: str, place: Place, life: float) -> None:
        """The tenant's counters have another life. They were lost (0): what is under way here is announced. Or they are
        there again: what was not announced in time is held again. What the store has closed in the same life stays
        closed."""
        before, place.life = place.life, life
        place.was_known = place.was_known or life != 0.0
        try:
            await self._enter_all(tenant, place)
        except BaseException:
            place.life = before  # again with the next call
            raise

    async def doubtful(self, tenant: str, place: Place) -> Sequence[str]:
        """As `gateway.rebuilding.SharedCounters` has it."""
        if place.is_new:
            return ()
        arguments = bulk(b"%.17g" % ANNOUNCE_SECONDS) + bulk(b"%d" % place.was_known) + bulk(b"%d" % MOST_DOUBTFUL)
        while True:
            head, (wait, ids) = await self._run("doubtful", tenant, place, NOTHING, (3, arguments))
            life = encoding.life_of(head)
            if life != place.life:
                await self.live_on(tenant, place, life)  # now they are among them
            elif wait:
                await asyncio.sleep(min(float(wait), ANNOUNCE_SECONDS))
            else:
                place.doubtful = [] if life else ids
                return list(ids)

    async def rebuild(self, tenant: str, place: Place, spent: Sequence[Spent], *, lost: bool) -> bytes:
        """What is under way counts before the tenant is known again to anybody. Returns what the script said."""
        if place.doubtful:
            doubtful, place.doubtful = place.doubtful, []
            await self._restore(tenant, place, spent, known=False, lost=lost)
            for start in range(0, len(doubtful), _MOST_RESUMED):
                ids = msgspec.msgpack.encode(doubtful[start : start + _MOST_RESUMED])
                await self._run("resume", tenant, place, NOTHING, (1, bulk(ids)))
            spent = ()
        return await self._restore(tenant, place, spent, known=True, lost=lost)

    async def look(self, places: Mapping[str, Place]) -> None:
        """Whether all was lost, which a process that has no call to make would not hear of. Raises StoreUnavailable."""
        marker = self._marker
        head, _ = await self._run("work", "", marker, NOTHING, NOTHING)
        if not encoding.life_of(head):
            head = await self._restore("", marker, (), known=True, lost=False)
        before, marker.life = marker.life, encoding.life_of(head)
        if before in (0.0, marker.life):
            return
        held = [(tenant, place) for tenant, place in places.items() if place.held]
        await asyncio.gather(*[self._hear(*one) for one in held])

    async def _hear(self, tenant: str, place: Place) -> None:
        head, _ = await self._run("work", tenant, place, NOTHING, NOTHING)
        if (life := encoding.life_of(head)) != place.life:
            await self.live_on(tenant, place, life)

    async def _restore(self, tenant: str, place: Place, every: Sequence[Spent], *, known: bool, lost: bool) -> bytes:
        for start in range(0, max(1, len(every)), _MOST_AT_ONCE):
            is_last = start + _MOST_AT_ONCE >= len(every)
            parts = place.spent(every[start : start + _MOST_AT_ONCE], known=known and is_last, after_loss=lost)
            head, _ = await self._run("rebuild", tenant, place, *parts)
        return bytes(head)

    async def _enter_all(self, tenant: str, place: Place) -> None:
        async def enter(hold_id: str, held: Held) -> None:
            if place.held.get(hold_id) is held:  # else it was settled meanwhile
                await self._run("enter", tenant, place, *place.hold(hold_id, held))

        await asyncio.gather(*[enter(*one) for one in place.held.items()])
