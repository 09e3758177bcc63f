"""`headgate serve`: from a configuration to one process that listens, or to the parent of several.

What can be found wrong before there is any process is found here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from headgate.config.load import Loaded, load
from headgate.serving.link import WorkerOptions
from headgate.serving.process import Place, run_process
from headgate.serving.sockets import bind
from headgate.serving.supervisor import Supervisor
from headgate.telemetry.directory import start_directory
from headgate.telemetry.log import configure_logging

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
    loaded = load(options.config, environment)
    server = loaded.config.server
    configure_logging(server.log)
    with ExitStack() as sockets:
        host = options.host or server.host
        listen = sockets.enter_context(bind(host, server.port if options.port is None else options.port))
        metrics = sockets.enter_context(bind(host, server.metrics.port)) if server.metrics.port else None
        place = Place(listen, metrics)
        if options.workers == 1:
            run_process(loaded, environment, place)
            return 0
        return _supervise(options, loaded, environment, place)


def _supervise(options: ServeOptions, loaded: Loaded, environment: Mapping[str, str], place: Place) -> int:
    worker = WorkerOptions(
        config=options.config,
        listen=place.listen.fileno(),
        metrics=None if place.metrics is None else place.metrics.fileno(),
        metrics_directory=str(start_directory(Path(loaded.config.server.data_dir) / METRICS_DIRECTORY)),
    )

    async def run() -> int:
        return await Supervisor(worker, options.workers, loaded, environment).run()

    return asyncio.run(run())
