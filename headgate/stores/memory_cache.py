"""Answers kept in this process, and which of them are dropped when there is no room.

The order is GreedyDual-Size-Frequency (L. Cherkasova, "Improving WWW Proxies Performance with
Greedy-Dual-Size-Frequency Caching Policy", HP Laboratories, HPL-98-69R1, 1998): an entry is worth
`clock + hits x cost / bytes`, the least worthy is dropped, and the clock is set to its worth, so that what nobody asks
for any more grows old against newcomers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from headgate.cache_types import CachedAnswer, CacheScope, CacheSize

ENTRY_BYTES = 1_000  # of an entry beside its answer: the objects, its places in the index and the queues
LEAST_COST_PICOUSD = 1_000_000  # an answer for free saves time still
_SPARE = 1_000  # stale places in a queue before it is made anew


class _Slot:
    __slots__ = ("answer", "bytes", "hits", "worth")

    def __init__(self, answer: CachedAnswer) -> None:
        self.answer = answer
        self.bytes = ENTRY_BYTES + len(answer.body) + len(answer.tail)
        self.hits = 1
        self.worth = 0.0


class MemoryCache:
    """The port `CacheStore` in memory. `now` is wall time, in Unix seconds. Bounds may be changed at any time."""

    def __init__(self, now: Callable[[], float], *, max_entries: int, max_bytes: int, max_entry_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_entry_bytes = max_entry_bytes
        self._now = now
        self._slots: dict[bytes, _Slot] = {}
        self._ids: dict[str, bytes] = {}
        self._worths: list[tuple[float, bytes]] = []  # lowest first; an entry may have become worthier since
        self._expiries: list[tuple[float, bytes]] = []
        self._clock = 0.0
        self._bytes = 0
        self._evicted = 0

    async def get(self, key: bytes) -> CachedAnswer | None:
        slot = self._slots.get(key)
        if slot is None:
            return None
        if slot.answer.expires_at <= self._now():
            self._drop(key)
            return None
        slot.hits += 1
        self._rate(slot)
        return slot.answer

    async def get_all(self, keys: Sequence[bytes]) -> list[CachedAnswer | None]:
        return [await self.get(key) for key in keys]

    def put(self, answer: CachedAnswer) -> None:
        slot, key = _Slot(answer), answer.key
        if len(answer.body) + len(answer.tail) > self.max_entry_bytes or slot.bytes > self.max_bytes:
            return
        if answer.expires_at <= self._now():
            return
        if key in self._slots:
            slot.hits += self._slots[key].hits
            self._drop(key)
        self._rate(slot)
        self._slots[key] = slot
        self._ids[answer.request_id] = key
        self._bytes += slot.bytes
        heapq.heappush(self._worths, (slot.worth, key))
        heapq.heappush(self._expiries, (answer.expires_at, key))
        self._make_room()
        self._tidy()

    async def find(self, request_id: str) -> CachedAnswer | None:
        key = self._ids.get(request_id)
        slot = None if key is None else self._slots.get(key)
        return None if slot is None or slot.answer.expires_at <= self._now() else slot.answer

    async def flush(self, scope: CacheScope) -> int:
        found = [key for key, slot in self._slots.items() if scope.covers(slot.answer)]
        for key in found:
            self._drop(key)
        self._tidy()
        return len(found)

    def size(self) -> CacheSize:
        self._drop_expired()
        return CacheSize(len(self._slots), self._bytes, self._evicted)

    async def aclose(self) -> None:
        return

    def _rate(self, slot: _Slot) -> None:
        cost = max(slot.answer.cost_picousd, LEAST_COST_PICOUSD)
        slot.worth = self._clock + slot.hits * cost / slot.bytes

    def _is_full(self) -> bool:
        return len(self._slots) > self.max_entries or self._bytes > self.max_bytes

    def _make_room(self) -> None:
        if self._is_full():
            self._drop_expired()
        while self._is_full():
            worth, key = self._worths[0]
            slot = self._slots.get(key)
            if slot is None or slot.worth > worth:  # dropped, or asked for since
                if slot is None:
                    heapq.heappop(self._worths)
                else:
                    heapq.heapreplace(self._worths, (slot.worth, key))
                continue
            self._clock = worth
            self._evicted += 1
            self._drop(key)

    def _drop_expired(self) -> None:
        now = self._now()
        while self._expiries and self._expiries[0][0] <= now:
            _, key = heapq.heappop(self._expiries)
            slot = self._slots.get(key)
            if slot is not None and slot.answer.expires_at <= now:
                self._drop(key)

    def _drop(self, key: bytes) -> None:
        slot = self._slots.pop(key)
        self._bytes -= slot.bytes
        if self._ids.get(slot.answer.request_id) == key:
            del self._ids[slot.answer.request_id]

    def _tidy(self) -> None:
        """The queues have places of entries that are gone: not more than there are entries."""
        most = 2 * len(self._slots) + _SPARE
        if len(self._worths) > most:
            self._worths = [(slot.worth, key) for key, slot in self._slots.items()]
            heapq.heapify(self._worths)
        if len(self._expiries) > most:
            self._expiries = [(slot.answer.expires_at, key) for key, slot in self._slots.items()]
            heapq.heapify(self._expiries)
