"""One connection to a Redis server, for all requests of a process at once.

Commands of one round of the event loop go out with one write, and answers come back in order, so that nobody waits for
anybody's round trip but his own. redis-py makes the connection; from then on the socket's callback reads, which costs
less. Who waits too long is told so, and the connection is given up: an answer that comes
late would belong to the wrong question. While the server is away every call fails at once, and one background task
tries again and again to reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from headgate.errors import MissingExtra, StoreUnavailable
from headgate.stores.redis.scripts import Script

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

LIMIT_SECONDS = 0.25  # what a store that is away may cost a request
_CONNECT_SECONDS = 1.0  # for one try in the background, from the first packet to the loaded scripts
_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 1.0
_LATE_SECONDS = 0.02  # this process itself was busy for so long: the answer may be there, unread
_REMEDIES = {
    "OOM": "its memory is full: raise maxmemory, and set maxmemory-policy noeviction",
    "READONLY": "it is a replica: point `store` at the primary",
    "LOADING": "it is loading its data; it will be used when it is ready",
    "BUSY": "a script of somebody else blocks it: SCRIPT KILL ends it",
    "MISCONF": "it cannot write its snapshot: free its disk",
    "NOAUTH": "it wants a password: put it into `store`, redis://:PASSWORD@HOST",
    "WRONGPASS": "user or password in `store` are wrong",
    "NOPERM": "its user may not run scripts: allow EVALSHA, SCRIPT, INFO and the keys headgate:*",
    "CLUSTERDOWN": "its cluster is down",
    "MOVED": "it is one node of a cluster: point `store` at a proxy of the cluster, or at a server of its own",
    "MASTERDOWN": "it is a replica without its primary: point `store` at the primary",
}
_INNER_KIND = re.compile(r" -([A-Z]+) ")

log = logging.getLogger(__name__)


class ScriptFailed(Exception):
    """The server is well, and this one command is not: what it was about is damaged."""


class Call:
    """A command under way."""

    __slots__ = ("arguments", "future", "script", "sent_at")

    def __init__(self, script: Script | None, arguments: bytes, future: asyncio.Future[Any], sent_at: float) -> None:
        self.script = script
        self.arguments = arguments  # the whole command after its length
        self.future = future
        self.sent_at = sent_at


class ReplyError(Exception):
    """The server's error in place of an answer."""


class Replies(asyncio.Protocol):
    """Takes answers apart as they arrive. `lost` hears why the connection ended."""

    def __init__(self, take: Callable[[Iterable[Any]], None], lost: Callable[[str], None]) -> None:
        import hiredis

        self._nothing = object()  # has arrived
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=self._nothing)
        self._take = take
        self._lost = lost

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._take(iter(self._reader.gets, self._nothing))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(str(exc) if exc is not None else "the connection was closed")


class Line:
    """Make it inside the event loop. `on_trouble` hears a sentence when the store is lost, "" when it is back."""

    def __init__(
        self,
        url: str,
        scripts: Mapping[str, Script],
        on_trouble: Callable[[str], None],
        limit_seconds: float,
        what: str = "store of limits and budgets",
    ) -> None:
        self.last_error = ""
        self.failures = 0  # times that the store was lost
        self.epoch = b""  # of the server: another one after a restart or a failover
        self.generation = 0  # times that it was reached
        self._limit_seconds = limit_seconds
        self._what = what
        self._place = place(url)
        self._scripts = scripts
        self._on_trouble = on_trouble
        self._pool = _pool(url)
        self._connection: AbstractConnection | None = None
        self._open: set[AbstractConnection] = set()
        self._outbox: list[Call] = []
        self._pending: deque[Call] = deque()
        self._flushing = False
        self._watching = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def healthy(self) -> bool:
        """Whether the store answers, as far as is known."""
        return self._connection is not None

    async def run(self, script: Script, count: int, arguments: bytes) -> Any:
        """The script's answer. `count` arguments follow its hash. Raises StoreUnavailable within `limit_seconds`, or
        ScriptFailed."""
        if self._connection is None:
            await self.reach()
        return await self._ask(script, count, arguments)

    def post(self, script: Script, count: int, arguments: bytes) -> asyncio.Future[Any] | None:
        """As `run`, for what nobody waits for: it is sent before whatever is sent later. None: it cannot be."""
        return None if self._connection is None else self._ask(script, count, arguments)

    def _ask(self, script: Script, count: int, arguments: bytes) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        command = b"*%d\r\n%b%b" % (count + 2, script.run, arguments)
        self._send(Call(script, command, future, self._loop.time()))
        return future

    def open(self) -> None:
        """Begin to connect; needs a running event loop."""
        if self._connecting is None:
            self._connecting = self._start(self._connect())

    async def reach(self) -> None:
        """Wait for the first connection; a connection that was lost is not waited for. Raises StoreUnavailable."""
        self.open()
        assert self._connecting is not None, "it was opened"
        if self.last_error:
            raise self._unavailable(self.last_error)
        waiter = asyncio.shield(self._connecting)
        try:
            async with asyncio.timeout(self._limit_seconds):
                await waiter
        except TimeoutError:
            raise self._unavailable(
                self.last_error or f"no connection within {self._limit_seconds:g} seconds"
            ) from None
        if self._connection is None:
            raise self._unavailable(self.last_error or "no connection")

    async def aclose(self) -> None:
        """Close the connection; calls under way fail."""
        self._closed = True
        self._fail("headgate is shutting down")
        self._connection = self._transport = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._open):
            await self._hang_up(connection)

    # --- writing ---

    def _send(self, call: Call) -> None:
        self._outbox.append(call)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        connection, transport, calls = self._connection, self._transport, self._outbox
        if connection is None or transport is None or not calls:
            return
        self._outbox = []
        self._pending.extend(calls)
        self._watch()
        try:
            transport.write(b"".join([call.arguments for call in calls]))
        except Exception as error:  # of any kind: the connection is of no use any more
            self._lose(connection, str(error))

    # --- reading ---

    def _arrived(self, connection: AbstractConnection, replies: Iterable[Any]) -> None:
        if connection is not self._connection:
            return
        try:
            for reply in replies:
                call = self._pending.popleft()
                if isinstance(reply, ReplyError):
                    self._refused(connection, call, reply)
                elif not call.future.done():
                    call.future.set_result(reply)
        except Exception as error:  # what came is no answer
            self._lose(connection, str(error))

    def _refused(self, connection: AbstractConnection, call: Call, error: Exception) -> None:
        """The server answered with an error. What concerns it as a whole is as if it were away."""
        words = f"{error}"
        kind = _kind(error)
        if kind == "NOSCRIPT" and call.script is not None:  # SCRIPT FLUSH
            self._send(Call(None, call.script.load(), self._loop.create_future(), call.sent_at))
            self._send(Call(None, call.arguments, call.future, call.sent_at))
            return
        if not call.future.done():
            reason = _sentence(kind, words)
            call.future.set_exception(self._unavailable(reason) if kind in _REMEDIES else ScriptFailed(reason))
            call.future.exception()  # who asked may have left
        if kind in _REMEDIES:
            self._lose(connection, _sentence(kind, words))

    # --- waiting no longer ---

    def _watch(self) -> None:
        if not self._watching and self._pending:
            self._watching = True
            due = self._pending[0].sent_at + self._limit_seconds
            self._loop.call_at(due, self._overdue, due)

    def _overdue(self, due: float) -> None:
        self._watching = False
        if not self._pending or self._connection is None:
            return
        now = self._loop.time()
        if now > due + _LATE_SECONDS:
            self._watching = True
            self._loop.call_later(_LATE_SECONDS, self._overdue, math.inf)  # once: what has arrived is read first
            return
        if self._pending[0].sent_at + self._limit_seconds <= now:
            self._lose(self._connection, f"no answer within {self._limit_seconds:g} seconds")
        else:
            self._watch()

    # --- losing and finding it ---

    def _lose(self, connection: AbstractConnection, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = self._transport = None
        self.failures += 1
        self._start(self._hang_up(connection))
        self._fail(reason)
        if not self._closed:
            self._connecting = self._start(self._connect())

    def _fail(self, reason: str) -> None:
        if not self.last_error:
            self._tell(reason)
        self.last_error = reason
        calls = [*self._pending, *self._outbox]
        self._pending.clear()
        self._outbox.clear()
        for call in calls:
            if not call.future.done():
                call.future.set_exception(self._unavailable(reason))
                call.future.exception()

    def _tell(self, reason: str) -> None:
        if not self._closed:
            self._on_trouble(f"The {self._what} at {self._place} cannot be used: {reason}")

    async def _connect(self) -> None:
        """Until it is reached."""
        delay = _FIRST_RETRY_SECONDS
        while True:
            connection: AbstractConnection = self._pool.make_connection()
            self._open.add(connection)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await connection.connect()
                    epoch = await self._greet(connection)
                break
            except Exception as error:  # a name that is not found, a refused connection, a wrong password, ...
                words = "no answer" if isinstance(error, TimeoutError) else str(error)
                reason = _sentence(_kind(error), words)
                if not self.last_error:
                    self.failures += 1
                self._fail(reason)
                await self._hang_up(connection)
                if self._closed:
                    return  # a cancellation may be lost in the client, which makes an error of it
            except BaseException:
                await self._hang_up(connection)
                raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY_SECONDS)
        self.epoch = epoch
        self.generation += 1
        self._pending = deque()
        self._connection = connection
        self._transport = transport = self._taken_over(connection)
        if transport.is_closing():  # before anybody listened
            self._lose(connection, "the connection was closed")
            return
        if self.last_error:
            self.last_error = ""
            self._on_trouble("")

    async def _greet(self, connection: AbstractConnection) -> bytes:
        """Load the scripts; returns the server's epoch."""
        commands = [b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n", *(script.load() for script in self._scripts.values())]
        await connection.send_packed_command([b"".join(commands)], check_health=False)
        info = bytes(await connection.read_response(timeout=math.inf))
        for _ in self._scripts:
            await connection.read_response(timeout=math.inf)
        for line in info.split(b"\r\n"):
            if line.startswith(b"run_id:"):
                return line[len(b"run_id:") :]
        return b"-"

    def _taken_over(self, connection: AbstractConnection) -> asyncio.WriteTransport:
        """From here on what arrives is handed to this line; redis-py only closes the connection."""
        writer = connection._writer
        assert writer is not None, "it was greeted"
        transport = writer.transport
        transport.set_protocol(
            Replies(partial(self._arrived, connection), lambda reason: self._lose(connection, reason))
        )
        return transport

    async def _hang_up(self, connection: AbstractConnection) -> None:
        with contextlib.suppress(Exception):
            await connection.disconnect(nowait=True)
        self._open.discard(connection)

    def _unavailable(self, reason: str) -> StoreUnavailable:
        message = f"The {self._what} at {self._place} cannot be used: {reason.removesuffix('.')}."
        return StoreUnavailable(message, retry_after_seconds=1.0)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def place(url: str) -> str:
    """Host, port and database of a URL, or the path of a socket: without the password."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{host}{parts.path}"


def _pool(url: str) -> Any:
    try:
        import hiredis  # noqa: F401  # redis-py is several times slower without it
        from redis.asyncio.connection import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise MissingExtra("A store on Redis needs the package redis: pip install 'headgate[redis]'.") from error
    return ConnectionPool.from_url(
        url, protocol=2, socket_timeout=None, socket_connect_timeout=_CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _kind(error: Exception) -> str:
    """The first word of a server's error, which redis-py makes a class of for some."""
    names = {
        "NoScriptError": "NOSCRIPT",
        "ReadOnlyError": "READONLY",
        "OutOfMemoryError": "OOM",
        "BusyLoadingError": "LOADING",
        "NoPermissionError": "NOPERM",
        "AuthenticationError": "NOAUTH",
        "AuthenticationWrongNumberOfArgsError": "NOAUTH",
        "ClusterDownError": "CLUSTERDOWN",
        "MovedError": "MOVED",
        "MasterDownError": "MASTERDOWN",
    }
    found = _INNER_KIND.search(str(error))  # Redis 6 wraps what a command in a script has met
    if found is not None and found[1] in _REMEDIES:
        return found[1]
    return names.get(type(error).__name__, str(error).split(" ", 1)[0].lstrip("-"))


def _sentence(kind: str, words: str) -> str:
    return f"{_REMEDIES[kind]} ({words})" if kind in _REMEDIES else words
