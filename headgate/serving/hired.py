"""`headgate work` and `headgate consume`: processes that work and serve nothing but metrics and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from headgate.assembly.working import Hired, Taking
from headgate.config.load import load
from headgate.serving.process import Place, run_process
from headgate.serving.sockets import bind
from headgate.telemetry.log import configure_logging


class WorkOptions(msgspec.Struct, frozen=True):
    """What the command line says of a process that only works; None: what the configuration says."""

    config: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    concurrency: int | Literal["auto"] | None = None
    queue: str | None = None


def work(options: WorkOptions, environment: Mapping[str, str]) -> int:
    """Work on jobs until told to end, beside gateways on the same database; returns the exit code.

    Raises ConfigInvalid, also if limits would be counted by each process for itself; CannotListen; InvalidRequest or
    MissingExtra for a queue that cannot be opened here; what starting an application raises (HeadgateError, OSError).
    """
    loaded = load(options.config, environment, workers=2)
    configure_logging(loaded.config.server.log)
    with bind(options.host, options.port) as listen:
        run_process(loaded, environment, Place(listen, hired=Hired(options.concurrency, options.queue)))
    return 0


class ConsumeOptions(msgspec.Struct, frozen=True):
    """What the command line says of a process that takes requests from a queue."""

    address: str
    tenant: str | None
    most_waiting: int
    works: bool
    config: str | None = None
    host: str = "127.0.0.1"
    port: int = 0


def consume(options: ConsumeOptions, environment: Mapping[str, str]) -> int:
    """Take requests until told to end; returns the exit code.

    Raises what `work` raises.
    """
    loaded = load(options.config, environment, workers=2 if options.works else 1)
    configure_logging(loaded.config.server.log)
    taking = Taking(options.address, options.tenant, options.most_waiting)
    with bind(options.host, options.port) as listen:
        run_process(loaded, environment, Place(listen, hired=Hired(works=options.works, takes=taking)))
    return 0
