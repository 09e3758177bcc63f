"""One gateway process: an application, its listeners, and the signals that reload and end it.

It ends in this order: not ready, let answers finish for `drain_seconds` and refuse new requests, end the rest with a
typed error, accept no more, settle, close. SIGTERM and SIGINT begin that, a second SIGINT does not wait for answers;
SIGHUP reloads.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

import msgspec
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate import __version__
from headgate.admin import admin_key
from headgate.app import Application
from headgate.config.load import Loaded
from headgate.config.problems import line_of, report
from headgate.config.schema import ServerConfig
from headgate.errors import ConfigInvalid, DatabaseUnavailable
from headgate.serving.link import Link
from headgate.serving.listener import Listener
from headgate.serving.sockets import url_of
from headgate.serving.welcome import Welcome, first_key
from headgate.types import Severity

LOOK_SECONDS = 0.05  # how often a draining process looks whether it is done
LAST_WORDS_SECONDS = 5.0  # how long interrupted streams have to say so
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """Where a process stands in its service. Only the first one of a service says welcome."""

    listen: socket.socket
    metrics: socket.socket | None = None
    metrics_directory: Path | None = None
    link: Link | None = None  # to the parent, if there is one
    is_first: bool = True


def run_process(loaded: Loaded, environment: Mapping[str, str], place: Place) -> None:
    """Serve until told to end. Raises HeadgateError or OSError if the process cannot start."""

    async def run() -> None:
        await Process(loaded, environment, place).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


class Process:
    """Made and run inside the event loop."""

    def __init__(self, loaded: Loaded, environment: Mapping[str, str], place: Place) -> None:
        server = loaded.config.server
        self._place = place
        self._admin_secret = admin_key.admin_key(Path(server.data_dir), environment.get(admin_key.VARIABLE)).secret
        self._application = application = Application(
            loaded,
            environment,
            metrics_directory=place.metrics_directory,
            reload_others=self._reload_others,
        )
        self._listeners = [
            Listener(place.listen, application.asgi, application.protocol(lambda: self._listeners[0].connections))
        ]
        if place.metrics is not None:
            self._listeners.append(Listener(place.metrics, application.metrics_asgi, HttpToolsProtocol))
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Serve until told to end. Raises HeadgateError or OSError if it cannot start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._application.start()
        try:
            for listener in self._listeners:
                listener.keep_alive(self._server.keep_alive_seconds)
                listener.tell_date(self._application.clock.now())
                await listener.start()
            self._begin(self._tell_date())
            if self._place.link is not None:
                self._begin(self._follow(self._place.link))
            if self._place.is_first:
                self._begin(self._welcome())
            await self._stopping.wait()
            await self._drain()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._application.stop()

    async def _drain(self) -> None:
        """Until the last answer is sent, whoever comes is told to go elsewhere: a port that is closed would say less,
        also to who asks /readyz, and would drop those who wait to be accepted."""
        log.info("draining: %d connections are open", self._listeners[0].connections)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._server.drain_seconds
        self._application.drain()
        for listener in self._listeners:
            listener.close_idle()
        if not await self._is_true_by(deadline, lambda: not any(listener.answering for listener in self._listeners)):
            self._application.interrupt()
            self._hurried.clear()
            deadline = loop.time() + LAST_WORDS_SECONDS
            await self._is_true_by(deadline, lambda: not any(listener.answering for listener in self._listeners))
        for listener in self._listeners:
            listener.close()
        if not await self._is_true_by(deadline, lambda: not any(listener.connections for listener in self._listeners)):
            for listener in self._listeners:
                listener.abort()

    async def _is_true_by(self, deadline: float, condition: Callable[[], bool]) -> bool:
        """Whether it became true before the loop's time was the deadline or somebody got impatient."""
        try:
            async with asyncio.timeout_at(deadline):
                # uvicorn's sets of connections and tasks tell nobody when they are empty
                while not condition() and not self._hurried.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return condition()
        return not self._hurried.is_set()

    def _interrupt(self) -> None:
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    def _reload(self) -> None:
        """By a signal or the parent's word: nobody waits for the answer, so it goes to the log."""
        try:
            self._application.reload()
        except ConfigInvalid as error:
            log.error("the configuration was not reloaded, the old one stays in use:\n%s", report(error.problems))
        for listener in self._listeners:
            listener.keep_alive(self._server.keep_alive_seconds)

    async def _reload_others(self) -> None:
        if self._place.link is not None:
            await self._place.link.reload_others()

    async def _follow(self, link: Link) -> None:
        await link.follow(self._reload)
        self._application.drain()
        for listener in self._listeners:
            listener.close()  # an orphan would hold the port against the next parent
        self._stopping.set()

    async def _tell_date(self) -> None:
        while True:
            await asyncio.sleep(1)
            for listener in self._listeners:
                listener.tell_date(self._application.clock.now())

    async def _welcome(self) -> None:
        for note in self._application.running.loaded.notes:
            log.log(logging.WARNING if note.severity is Severity.WARNING else logging.INFO, "%s", line_of(note))
        virtual_key, known = None, False
        while not known:
            try:
                virtual_key, known = await first_key(self._application), True
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        running = self._application.running
        welcome = Welcome(
            version=__version__,
            url=url_of(self._place.listen),
            data_dir=self._server.data_dir,
            model=next(iter(running.setup.models), "MODEL"),
            admin_secret=self._admin_secret,
            virtual_key=virtual_key,
            needs_key=self._server.authentication == "required",
        )
        print(welcome.text(), flush=True)  # noqa: T201 - for the person who started it, not for the log

    @property
    def _server(self) -> ServerConfig:
        return self._application.running.loaded.config.server

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))
