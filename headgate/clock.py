"""The real clock: the one adapter that reads the operating system's time and randomness."""

from __future__ import annotations

import os
import random
import time


class SystemClock:
    """Implements `ports.Clock`. Make one per process, after the fork: its random stream is seeded once.

    The stream is a Mersenne twister seeded with 256 bits of `os.urandom`: cheap, different in every process, and not
    for secrets. Ids name things; they never grant access to them.
    """

    def __init__(self) -> None:
        self.random = random.Random(os.urandom(32))
        self.now = time.time
        self.monotonic = time.monotonic
        self._bits = self.random.getrandbits

    def new_id(self, prefix: str) -> str:
        """`prefix_`, 12 hex digits of Unix milliseconds and 14 random ones, so ids sort by time to the millisecond.

        10,000 ids made within one millisecond by all processes together collide with a probability of 7e-10
        (birthday bound, n^2 / 2^57).
        """
        return f"{prefix}_{int(self.now() * 1000):012x}{self._bits(56):014x}"
