"""`headgate serve` for one process, which on SIGUSR1 tells its log which tasks are under way inside it.

python -m tests.faults.watched --config FILE --port N
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
from collections import Counter

import uvloop

from headgate.config.load import load
from headgate.serving.process import Place, Process
from headgate.serving.sockets import bind
from headgate.telemetry.log import configure_logging

log = logging.getLogger(__name__)


def tell_tasks() -> None:
    gc.collect()
    names = Counter(str(task.get_coro().__qualname__) for task in asyncio.all_tasks())
    log.info("tasks: %s", " ".join(f"{name}={count}" for name, count in sorted(names.items())))


async def serve(config: str, port: int) -> None:
    loaded = load(config, os.environ)
    configure_logging(loaded.config.server.log)
    with bind(loaded.config.server.host, port) as listen:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_tasks)
        await Process(loaded, os.environ, Place(listen)).run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--port", required=True, type=int)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.config, options.port))
