"""An asyncio event loop whose clock jumps instead of waiting: a day of traffic in the time its work takes.

Owns virtual time and the refusal of everything that real time would leak in through: sockets, threads, child processes.
Knows nothing of gateways. What runs on it is the same code that runs on uvloop; only the waiting is left out.

Two runs of one program take the same steps in the same order, as long as the program itself does not depend on the
order of a set, on `id()` or on hash randomisation. (`asyncio.TaskGroup` keeps its tasks in a set: when it aborts,
the order in which several children are cancelled is not fixed.)
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Deadlock(RuntimeError):
    """Every task waits and nothing is scheduled that could wake one. The message says which tasks, and where."""


class NotSimulated(RuntimeError):
    """Something asked the virtual loop for the real world: a socket, a thread, a child process, a signal."""


class VirtualSelector(selectors.BaseSelector):
    """Stands where the operating system would be waited for: adds the wait to the clock and returns at once.

    The loop registers its own wake-up pipe when it is made; any file after that is refused.
    """

    def __init__(self, start: float) -> None:
        self.now = start
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Asked with the seconds until the next timer, or None when there is none. Raises Deadlock."""
        if timeout is None:
            raise Deadlock(_describe_deadlock(asyncio.get_running_loop()))
        if timeout > 0:
            self.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Raises NotSimulated for the second file and every one after it."""
        if self._keys:
            raise NotSimulated(f"{fileobj!r} is a real file or socket; the virtual loop has none")
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at `start` seconds and moves only when every task waits, straight to the next timer."""

    _scheduled: list[asyncio.TimerHandle]  # asyncio's own

    def __init__(self, start: float = 0.0) -> None:
        self._virtual = VirtualSelector(start)
        self._thread_id_of_maker = threading.get_ident()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.now

    @property
    def _clock_resolution(self) -> float:
        """How far from now asyncio calls a timer due. Its constant of 1 ns is lost in the rounding of large times, and
        then a timer that is due would never fire."""
        return math.ulp(self._virtual.now)

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        """asyncio sets the resolution of the real clock."""

    def timers(self) -> int:
        """How many timers are set, those that were cancelled not counted."""
        return sum(not timer.cancelled() for timer in self._scheduled)

    def call_soon_threadsafe(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon` for the loop's own thread (signal handlers use it). Raises NotSimulated for any other."""
        if threading.get_ident() != self._thread_id_of_maker:
            raise NotSimulated("another thread called into the virtual loop; threads run in real time")
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        """Raises NotSimulated."""
        raise NotSimulated(f"{func!r} asked for a thread; threads run in real time, use an adapter without them")

    async def create_connection(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotSimulated."""
        raise NotSimulated("a connection was asked for on the virtual loop; use the simulated provider")

    async def create_server(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotSimulated."""
        raise NotSimulated("a listener was asked for on the virtual loop; call the pipeline itself")

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotSimulated."""
        raise NotSimulated("a child process was asked for on the virtual loop; processes run in real time")

    subprocess_shell = subprocess_exec


def run_virtual(main: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """Run `main` to its end on a fresh virtual loop whose time begins at `start` seconds, and return its result.

    As with `asyncio.run`, tasks that are left over are cancelled. Raises Deadlock, NotSimulated and what `main` raises.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)


def _describe_deadlock(loop: asyncio.AbstractEventLoop) -> str:
    waiting = sorted(f"  {task.get_name()}: {_where(task)}" for task in asyncio.all_tasks(loop))
    return f"at {loop.time():.6f} s nothing is scheduled and {len(waiting)} tasks wait:\n" + "\n".join(waiting)


def _where(task: asyncio.Task[Any]) -> str:
    """The line a task waits at, in its own code: the outermost frame, and the innermost when that is another."""
    frames = []
    awaited: Any = task.get_coro()
    while awaited is not None and getattr(awaited, "cr_frame", None) is not None:
        frames.append(awaited.cr_frame)
        awaited = awaited.cr_await
    places = [f"{frame.f_code.co_qualname} line {frame.f_lineno}" for frame in frames]
    return " > ".join(places) or repr(task)
