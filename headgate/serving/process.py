"""One gateway process: an application, its listeners, and the signals that reload and end it.

It ends in this order: not ready, let answers finish for `drain_seconds` and refuse new requests, end the rest with a
typed error, accept no more, settle, close. SIGTERM and SIGINT begin that, a second SIGINT does not wait for answers;
SIGHUP reloads.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

import msgspec
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate.admin import admin_key
from headgate.app import Application
from headgate.assembly.working import Hired
from headgate.config.load import Loaded
from headgate.config.schema import ServerConfig
from headgate.errors import DatabaseUnavailable, HeadgateError
from headgate.serving.failures import sentence
from headgate.serving.link import Link
from headgate.serving.listener import Listener
from headgate.serving.sockets import url_of
from headgate.serving.welcome import told_to_work, welcome

LOOK_SECONDS = 0.05  # how often a draining process looks whether it is done
LAST_WORDS_SECONDS = 5.0  # how long interrupted streams have to say so
RETRY_SECONDS = 1.0
COLLECT_AFTER = (20_000, 20, 20)  # new objects, young collections, middle collections

log = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """Where a process stands in its service. Only the first one of a service says welcome. One that was `hired` works
    and serves nothing but metrics and health."""

    listen: socket.socket
    metrics: socket.socket | None = None
    metrics_directory: Path | None = None
    parent: socket.socket | None = None  # the link to it, if there is one
    is_first: bool = True
    hired: Hired | None = None


def run_process(loaded: Loaded, environment: Mapping[str, str], place: Place) -> None:
    """Serve until told to end. Raises HeadgateError or OSError if the process cannot start."""

    async def run() -> None:
        await Process(loaded, environment, place).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _spare_the_collector() -> None:
    """Requests leave next to no cycles behind, and what was imported stays: looking through all of it after every 700
    new objects took 6 % of a request, and now and then held up all streams for as long as a full collection takes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


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
        self._listeners: list[Listener] = []
        if place.hired is None:
            protocol = application.protocol(lambda: self._listeners[0].connections)
            self._listeners.append(Listener(place.listen, application.asgi, protocol))
        else:
            application.working.hire(place.hired)
            self._listeners.append(Listener(place.listen, application.metrics_asgi, HttpToolsProtocol))
        if place.metrics is not None:
            self._listeners.append(Listener(place.metrics, application.metrics_asgi, HttpToolsProtocol))
        self._link: Link | None = None
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
            self._tell_listeners()
            _spare_the_collector()
            for listener in self._listeners:
                await listener.start()
            self._begin(self._keep_telling_listeners())
            if self._place.parent is not None:
                self._link = Link(*await asyncio.open_connection(sock=self._place.parent))
                self._begin(self._follow(self._link))
            await self._arrive_or_stop()
            await self._stopping.wait()
            await self._drain()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._application.stop()

    async def _arrive_or_stop(self) -> None:
        arrival = self._begin(self._arrive())
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((arrival, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if arrival.done():
            arrival.result()

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
        except HeadgateError as error:
            log.error("the configuration was not reloaded, the old one stays in use: %s", sentence(error))

    async def _reload_others(self) -> None:
        if self._link is not None:
            await self._link.reload_others()

    async def _follow(self, link: Link) -> None:
        await link.follow(self._reload)
        self._application.drain()
        for listener in self._listeners:
            listener.close()  # an orphan would hold the port against the next parent
        self._stopping.set()

    async def _keep_telling_listeners(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._tell_listeners()

    def _tell_listeners(self) -> None:
        """What changes with the time and with a reload."""
        for listener in self._listeners:
            listener.tell_date(self._application.clock.now())
            listener.keep_alive(self._server.keep_alive_seconds)

    async def _arrive(self) -> None:
        """Say that this process serves, once the database has answered. Raises IncompatibleDatabase."""
        text = ""
        while True:
            try:
                await self._application.accounts.refresh()
                if self._place.hired is not None:
                    text = told_to_work(url_of(self._place.listen), self._admin_secret)
                elif self._place.is_first:
                    text = await welcome(self._application, url_of(self._place.listen), self._admin_secret)
                break
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        if text:
            print(text, flush=True)  # noqa: T201 - for the person who started it, not for the log
        if self._link is not None:
            self._link.tell_ready()

    @property
    def _server(self) -> ServerConfig:
        return self._application.running.loaded.config.server

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task
