"""`headgate serve`: from a configuration to one process that listens, or to the parent of several.

What can be found wrong before there is any process is found here.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from headgate.config.load import Loaded, load
from headgate.serving.link import WorkerOptions
from headgate.serving.sockets import bind, bind_for_workers
from headgate.serving.supervisor import Supervisor
from headgate.telemetry.directory import start_directory
from headgate.telemetry.log import configure_logging

METRICS_SETTING = "server.metrics.port"
METRICS_DIRECTORY = "metrics"  # in data_dir: where workers show each other their numbers


class ServeOptions(msgspec.Struct, frozen=True):
    """What the command line says; None: what the configuration says."""

    config: str | None = None
    host: str | None = None
    port: int | None = None
    workers: int = 1


def serve(options: ServeOptions, environment: Mapping[str, str]) -> int:
    """Serve until told to end; returns the exit code.

    Raises ConfigInvalid, CannotListen, or what starting an application raises (HeadgateError, OSError).
    """
    loaded = load(options.config, environment, options.workers)
    server = loaded.config.server
    configure_logging(server.log)
    host, port = options.host or server.host, server.port if options.port is None else options.port
    with ExitStack() as sockets:
        listens = [sockets.enter_context(one) for one in bind_for_workers(host, port, options.workers)]
        metrics = (
            sockets.enter_context(bind(host, server.metrics.port, setting=METRICS_SETTING))
            if server.metrics.port
            else None
        )
        if options.workers == 1:
            _run_alone(loaded, environment, listens[0], metrics)
            return 0
        posts = _posts(options.config, server.data_dir, listens, metrics)

        async def supervise() -> int:
            return await Supervisor(posts, sockets.close, loaded, environment).run()

        return asyncio.run(supervise())


def _run_alone(
    loaded: Loaded, environment: Mapping[str, str], listen: socket.socket, metrics: socket.socket | None
) -> None:
    """Its modules are loaded here alone: the parent of several processes serves nothing."""
    gc.disable()  # what is imported stays
    from headgate.serving.process import Place, run_process

    gc.enable()
    run_process(loaded, environment, Place(listen, metrics))


def _posts(
    config: str | None, data_dir: str, listens: Sequence[socket.socket], metrics: socket.socket | None
) -> list[WorkerOptions]:
    directory = start_directory(Path(data_dir) / METRICS_DIRECTORY)
    return [
        WorkerOptions(
            config=config,
            listen=listen.fileno(),
            metrics=None if metrics is None else metrics.fileno(),
            metrics_directory=str(directory),
        )
        for listen in listens
    ]
