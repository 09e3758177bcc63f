"""`headgate` whose courier looks for lost batches after a second instead of five minutes.

python -m tests.faults.hurried serve|work OPTIONS
"""

from __future__ import annotations

from headgate.cli import main
from headgate.jobs import courier

LOOKUP_SECONDS = 1.0


if __name__ == "__main__":
    courier.LOOK_SECONDS, courier.LEASE_SECONDS, courier.LOOKUP_SECONDS = 0.1, 1.0, LOOKUP_SECONDS
    main()
