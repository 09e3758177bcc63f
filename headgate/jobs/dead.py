"""Dead letters of one database."""

from __future__ import annotations

import msgspec

from headgate.job_ports import DeadItems
from headgate.queue_ports import DeadLetters


class DeadLetterOffice(msgspec.Struct, frozen=True):
    """Items of jobs that were given up, and messages that could not be used."""

    items: DeadItems
    messages: DeadLetters
