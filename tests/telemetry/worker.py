"""A worker process for the tests of metrics over several processes: counts on command, answers with what it sees."""

from __future__ import annotations

import sys
from pathlib import Path

from headgate.telemetry.directory import MetricsDirectory
from headgate.telemetry.exposition import exposition
from tests.telemetry.samples import metrics, record


def work(directory: Path) -> None:
    """Commands, one a line: `count`, `publish`, `show`, `close`. Each is answered with a line, `show` with many."""
    counted = metrics(in_flight=lambda: 1)
    shared = MetricsDirectory(directory)
    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "count":
                counted.settled(record(), ())
            case "publish":
                shared.publish(counted.snapshot())
            case "show":
                print(exposition(shared.merged(counted.snapshot())).decode(), end="")
            case "close":
                shared.publish(counted.snapshot())
                shared.close()
        print("ok", flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
