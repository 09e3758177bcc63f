"""A worker's main program: `python -m headgate.serving.worker OPTIONS`, started by the supervisor alone."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import msgspec

from headgate.config.load import load
from headgate.errors import HeadgateError
from headgate.serving.failures import sentence
from headgate.serving.link import WorkerOptions
from headgate.serving.process import Place, run_process
from headgate.telemetry.log import configure_logging


def main(text: str) -> int:
    """Serve until the parent ends it or is gone. What is wrong at the start is said on stderr, in one sentence."""
    options = msgspec.json.decode(text, type=WorkerOptions)
    try:
        loaded = load(options.config, os.environ)
        configure_logging(loaded.config.server.log)
        place = Place(
            listen=socket.socket(fileno=options.listen),
            metrics=None if options.metrics is None else socket.socket(fileno=options.metrics),
            metrics_directory=Path(options.metrics_directory),
            parent=socket.socket(fileno=options.link),
            is_first=options.is_first,
        )
        run_process(loaded, os.environ, place)
    except (HeadgateError, OSError) as error:
        sys.stderr.write(f"{sentence(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
