"""A process that appends rows as fast as it can, and names each on standard output once `append` has returned.

python -m tests.stores.writer FOLDER FIRST_NUMBER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from headgate.clock import SystemClock
from headgate.stores.journal import FileJournal
from tests.stores.records import record


def main() -> None:
    journal = FileJournal(Path(sys.argv[1]), SystemClock(), segment_bytes=20_000)
    number = int(sys.argv[2])
    while True:
        journal.append(record(number))
        os.write(1, b"%d\n" % number)
        number += 1


if __name__ == "__main__":
    main()
