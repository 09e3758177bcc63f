"""A queue in a Redis stream, read by a consumer group; what is delayed waits in a sorted set beside it.

Others may add to the stream with XADD: the message is the field `body`. What every receiver is done with is deleted,
unless other groups read the stream too. Needs Redis 6.2 or later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from headgate.errors import MissingExtra
from headgate.ports import Clock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_types import Headers, Message, QueueBacklog
from headgate.queues.places import Place

if TYPE_CHECKING:
    from redis.asyncio import Redis

Answer = TypeVar("Answer")

GROUP = "headgate"
LIMIT_SECONDS = 5.0  # what an answer may take
REMEMBERED_SECONDS = 24 * 3600  # a dedupe id
_LONGEST_WAIT_SECONDS = 1.0  # for new messages before old ones of lost receivers are looked for
_REFUSED_ADVICE = "Correct the user and password, or what the user may do: ACL SETUSER."
_HEADERS = msgspec.json.Decoder(Headers)
_FOLDER = Path(__file__).parent
_TEXTS = {name: (_FOLDER / f"{name}.lua").read_text() for name in ("send", "take", "settle")}


class RedisQueue:
    """The port `Queue` on Redis or Valkey. Make it inside the event loop; it connects when it is used."""

    drops_duplicates = True

    def __init__(self, place: Place, clock: Clock, lease_seconds: float) -> None:
        """Raises MissingExtra."""
        self._place = place
        self._clock = clock
        self._stream = place.name.encode()
        self._delayed = f"{place.name}:delayed".encode()
        self._sent = f"{place.name}:sent:".encode()
        self._group = place.option("group", GROUP)
        self._consumer = clock.new_id("consumer")
        self._lease_ms = int(lease_seconds * 1000)
        self._redis = _connect(place.address)
        self._scripts = {name: self._redis.register_script(text) for name, text in _TEXTS.items()}

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        fields = _fields(body, self._clock.now(), dedupe_id, headers)
        arguments = [dedupe_id, REMEMBERED_SECONDS, int(delay_seconds * 1000), *fields]
        await self._run("send", [self._stream, self._delayed, self._sent], arguments)

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while True:
            due_ms, found = await self._run(
                "take", [self._stream, self._delayed], [self._group, self._consumer, self._lease_ms, limit]
            )
            if found or not limit:
                return [_message(*one) for one in found]
            left = until - self._clock.monotonic()
            wait = min(left, _LONGEST_WAIT_SECONDS, self._lease_ms / 4000, due_ms / 1000 if due_ms >= 0 else left)
            fresh = await self._read(limit, wait)
            if fresh or left <= 0:
                return [_message(entry_id, fields, 1) for entry_id, fields in fresh]

    async def extend(self, message: Message) -> bool:
        return bool(await self._settle("extend", [message.receipt, ""]))

    async def ack(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._settle("ack", [part for message in messages for part in (message.receipt, "")])

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        fields = _fields(message.body, message.sent_at, message.dedupe_id, message.headers)
        again = [*fields, b"origin", message.id.encode(), b"deliveries", b"%d" % message.deliveries]
        await self._settle("release", [message.receipt, msgspec.msgpack.encode(_as_text(again))], delay_seconds)

    async def backlog(self) -> QueueBacklog:
        await self._run("take", [self._stream, self._delayed], [self._group, self._consumer, self._lease_ms, 0])
        groups = await self._answer(self._redis.xinfo_groups(self._stream))
        mine = next(group for group in groups if _text(group["name"]) == self._group)
        length = await self._answer(self._redis.xlen(self._stream))
        delayed = await self._answer(self._redis.zcard(self._delayed))
        lag = mine.get("lag")
        waiting = length - mine["pending"] if lag is None else lag
        last = f"({_text(mine['last-delivered-id'])}"
        first: Any = await self._answer(self._redis.xrange(self._stream, last, count=1))
        age = max(0.0, self._clock.now() - _message(first[0][0], first[0][1], 1).sent_at) if first else 0.0
        return QueueBacklog(int(waiting) + int(delayed), age)

    async def aclose(self) -> None:
        await self._redis.aclose()

    # --- parts ---

    async def _settle(self, what: str, parts: Sequence[str | bytes], delay_seconds: float = 0.0) -> int:
        arguments = [what, self._group, self._consumer, int(delay_seconds * 1000), *parts]
        return int(await self._run("settle", [self._stream, self._delayed], arguments))

    async def _read(self, limit: int, wait: float) -> list[Any]:
        """What nobody has had, as soon as there is some."""
        block = max(1, int(wait * 1000)) if wait > 0 else None
        asked = self._redis.xreadgroup(self._group, self._consumer, {self._stream: ">"}, count=limit, block=block)
        answer: Any = await self._answer(asked, LIMIT_SECONDS + max(0.0, wait))
        return list(answer[0][1]) if answer else []

    async def _run(self, name: str, keys: list[bytes], arguments: list[Any]) -> Any:
        return await self._answer(self._scripts[name](keys=keys, args=arguments))

    async def _answer(self, asked: Awaitable[Answer], seconds: float = LIMIT_SECONDS) -> Answer:
        from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

        try:
            async with asyncio.timeout(seconds):
                return await asked
        except (RedisError, OSError, TimeoutError) as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error  # the client made an error of it now and then
            words = str(error) or "it did not answer in time"
            is_refused = isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError)
            advice = _REFUSED_ADVICE if is_refused else "Start Redis there, or correct the address."
            raise QueueUnavailable(f"The queue {self._place.shown} cannot be used: {words}. {advice}") from error


def _connect(address: str) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise MissingExtra("A queue in Redis needs headgate[redis]: pip install 'headgate[redis]'.") from None
    # How long a server may take is measured here: its silence while nothing is sent is no failure.
    return Redis.from_url(address, socket_timeout=None, retry=Retry(NoBackoff(), 0), protocol=2)


def _fields(body: bytes, sent_at: float, dedupe_id: str, headers: Headers) -> list[bytes]:
    fields = [b"body", body, b"sent_at", b"%.6f" % sent_at]
    if dedupe_id:
        fields += [b"dedupe_id", dedupe_id.encode()]
    return [*fields, b"headers", msgspec.json.encode(headers)] if headers else fields


def _as_text(fields: Sequence[bytes]) -> list[msgspec.Raw]:
    """MessagePack strings of any bytes, as Redis packs its own: it unpacks binary values of no other kind."""
    return [msgspec.Raw(b"\xdb" + len(field).to_bytes(4, "big") + field) for field in fields]


def _message(entry_id: bytes, listed: Any, count: int) -> Message:
    pairs = listed.items() if isinstance(listed, dict) else zip(listed[::2], listed[1::2], strict=True)
    fields: dict[bytes, bytes] = dict(pairs)
    body = fields.get(b"body")
    if body is None:  # of somebody who writes other fields: shown as it is
        body = msgspec.json.encode({_text(name): _text(value) for name, value in fields.items()})
    receipt = entry_id.decode()
    return Message(
        id=_text(fields.get(b"origin", entry_id)),
        body=body,
        receipt=receipt,
        sent_at=float(fields.get(b"sent_at", int(receipt.split("-")[0]) / 1000)),
        deliveries=int(fields.get(b"deliveries", 0)) + int(count),
        dedupe_id=_text(fields.get(b"dedupe_id", b"")),
        headers=_HEADERS.decode(fields.get(b"headers", b"[]")),
    )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
