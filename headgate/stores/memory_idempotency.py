"""Idempotency keys in memory: for simulations and tests."""

from __future__ import annotations

import msgspec

from headgate.idempotency_types import KeyedRequest, KeyedResult


class MemoryIdempotencyStore:
    """The port `IdempotencyStore` in memory, bounded: beyond `max_keys` the oldest ones are forgotten."""

    def __init__(self, max_keys: int = 10_000) -> None:
        self._max_keys = max_keys
        self._requests: dict[bytes, KeyedRequest] = {}  # by key, the first that was taken first

    async def claim(self, request: KeyedRequest, now: float) -> KeyedRequest:
        found = self._requests.get(request.key)
        if found is not None and found.expires_at > now:
            return found
        self._requests.pop(request.key, None)
        if len(self._requests) >= self._max_keys:
            del self._requests[next(iter(self._requests))]
        self._requests[request.key] = request
        return request

    async def take_over(self, found: KeyedRequest, request: KeyedRequest) -> bool:
        now = self._requests.get(found.key)
        if now is None or now.result is not None:
            return False
        if (now.request_id, now.alive_until) != (found.request_id, found.alive_until):
            return False
        self._requests[request.key] = request
        return True

    async def read(self, key: bytes) -> KeyedRequest | None:
        return self._requests.get(key)

    async def finish(self, key: bytes, request_id: str, result: KeyedResult) -> bool:
        found = self._requests.get(key)
        if found is None or found.request_id != request_id or found.result is not None:
            return False
        self._requests[key] = msgspec.structs.replace(found, result=result, owner="")
        return True

    async def release(self, key: bytes, request_id: str) -> None:
        found = self._requests.get(key)
        if found is not None and found.request_id == request_id and found.result is None:
            del self._requests[key]

    async def keep_alive(self, owner: str, until: float) -> None:
        for key, request in self._requests.items():
            if request.owner == owner:
                self._requests[key] = msgspec.structs.replace(request, alive_until=until)

    async def prune(self, now: float) -> int:
        over = [key for key, request in self._requests.items() if request.expires_at <= now]
        for key in over:
            del self._requests[key]
        return len(over)
