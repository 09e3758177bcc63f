"""The parent of several workers: starts them, replaces those that die, passes on reloads, ends them.

Serves nothing itself and knows nothing of what workers do. The first worker is started alone: what cannot work at all
is said once, and what is made at the first start is made once. A worker that died is replaced, later and later if it
keeps happening; if one cannot even start and no other one is there, the parent gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence

import msgspec

from headgate.config.load import Loaded, load
from headgate.config.problems import report
from headgate.errors import ConfigInvalid
from headgate.serving.link import READY, RELOAD, RELOADED, WorkerOptions, read_word

WORKER_MODULE = "headgate.serving.worker"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
SETTLED_SECONDS = 60.0  # a worker that lived this long did not die of starting
RELOAD_SECONDS = 10.0  # how long a reload waits for a worker's word
GRACE_SECONDS = 30.0  # beyond the time for draining, before a worker that does not end is killed

log = logging.getLogger(__name__)


class Worker:
    """One worker process, seen from the parent."""

    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.writer = writer
        self.is_ready = False
        self.is_gone = False
        self.reloaded = asyncio.Event()

    def send(self, number: signal.Signals) -> None:
        """A signal, if there is still somebody to get it."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def reload(self) -> None:
        """Return when it has read the configuration again, or is gone, or does not answer."""
        if self.is_gone:
            return
        self.reloaded.clear()
        self.writer.write(RELOAD)
        try:
            async with asyncio.timeout(RELOAD_SECONDS):
                await self.reloaded.wait()
        except TimeoutError:
            log.warning("worker %d has not read the configuration again yet", self.process.pid)


class Supervisor:
    """Made and run once, inside the event loop; `run` returns the exit code of the whole service."""

    def __init__(
        self,
        posts: Sequence[WorkerOptions],
        close_sockets: Callable[[], None],
        loaded: Loaded,
        environment: Mapping[str, str],
    ) -> None:
        """A worker for each of `posts`. Their sockets stay open here until the service ends, so that connections wait
        while a worker that died is replaced."""
        self._posts = posts
        self._close_sockets = close_sockets
        self._config = posts[0].config
        self._drain_seconds = loaded.config.server.drain_seconds
        self._environment = environment
        self._workers: set[Worker] = set()
        self._first_is_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._gave_up = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, or until it gives up. SIGHUP reloads all workers."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._reload_all()))
        self._begin(self._end_workers())
        async with asyncio.TaskGroup() as posts:
            posts.create_task(self._keep_filled(msgspec.structs.replace(self._posts[0], is_first=True)))
            await self._first_is_ready.wait()
            for options in self._posts[1:]:
                posts.create_task(self._keep_filled(options))
        return 1 if self._gave_up else 0

    async def _keep_filled(self, options: WorkerOptions) -> None:
        """One post, with one worker after the other on it."""
        loop, failures = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            worker, began = await self._start(options), loop.time()
            why = _why(await worker.process.wait())
            self._workers.discard(worker)
            if self._stopping.is_set():
                return
            if not worker.is_ready and not any(other.is_ready for other in self._workers):
                log.critical("worker %d could not start (%s), and there is no other one", worker.process.pid, why)
                self._gave_up = True
                self._stop()
                return
            options = msgspec.structs.replace(options, is_first=False)
            failures = 1 if loop.time() - began >= SETTLED_SECONDS else failures + 1
            pause_seconds = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
            log.error("worker %d ended (%s); another one starts in %g s", worker.process.pid, why, pause_seconds)
            await self._pause(pause_seconds)

    async def _start(self, options: WorkerOptions) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            options = msgspec.structs.replace(options, link=theirs.fileno())
            inherited = [number for number in (options.listen, options.metrics, options.link) if number is not None]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", WORKER_MODULE, msgspec.json.encode(options).decode()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=inherited,
                start_new_session=True,  # a ctrl-C in the terminal is for the parent to pass on
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = Worker(process, writer)
        self._workers.add(worker)
        self._begin(self._follow(worker, reader))
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        return worker

    async def _follow(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        """Hear what a worker says until it is gone."""
        while word := await read_word(reader):
            if word == READY:
                worker.is_ready = True
                self._first_is_ready.set()
            elif word == RELOADED:
                worker.reloaded.set()
            elif word == RELOAD:
                self._begin(self._reload_others(worker))
        worker.is_gone = True
        worker.reloaded.set()
        worker.writer.close()

    async def _reload_all(self) -> None:
        """A broken configuration is said once, and no worker hears of it."""
        try:
            loaded = load(self._config, self._environment, len(self._workers))
        except ConfigInvalid as error:
            log.error("the configuration was not reloaded, the old one stays in use:\n%s", report(error.problems))
            return
        self._drain_seconds = loaded.config.server.drain_seconds
        await asyncio.gather(*(worker.reload() for worker in self._workers))

    async def _reload_others(self, asking: Worker) -> None:
        await asyncio.gather(*(worker.reload() for worker in self._workers if worker is not asking))
        if not asking.is_gone:
            asking.writer.write(RELOADED)

    def _stop(self) -> None:
        self._stopping.set()
        self._first_is_ready.set()  # nobody needs to wait for it any more

    def _interrupt(self) -> None:
        """A second ctrl-C does not wait for streams."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.send(signal.SIGINT)
        self._stop()

    async def _end_workers(self) -> None:
        await self._stopping.wait()
        self._close_sockets()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        await asyncio.sleep(self._drain_seconds + GRACE_SECONDS)
        for worker in self._workers:
            log.error("worker %d does not end and is killed", worker.process.pid)
            worker.send(signal.SIGKILL)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _why(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
