"""A process that has requests under way, ends some of them as the gateway does, says so, and waits to be killed.

python -m tests.stores.noter FOLDER BEGUN ENDED APPENDED

Of the requests 0 to BEGUN, the first ENDED get their row and are forgotten, and the next APPENDED get their row and
are not: the process is killed between the two.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from headgate.clock import SystemClock
from headgate.stores.journal import FileJournal
from tests.stores.records import record, under_way


def main() -> None:
    begun, ended, appended = map(int, sys.argv[2:5])
    journal = FileJournal(Path(sys.argv[1]), SystemClock(), segment_bytes=20_000, slots=begun)
    slots = [journal.begin(under_way(number)) for number in range(begun)]
    for number in range(ended + appended):
        journal.append(record(number))
        if number < ended:
            journal.end(slots[number])
    os.write(1, b"ready\n")
    signal.pause()


if __name__ == "__main__":
    main()
