"""The block about jobs; part of `schema.py`."""

from __future__ import annotations

from typing import Literal

from headgate.config.blocks import Block, Count, CountFromZero, Positive


class JobsConfig(Block, frozen=True):
    """Work that is done later, and who does it."""

    workers: Literal["inside", "off"] = "inside"  # a worker in every gateway process, or none: jobs wait
    concurrency: Count = 16  # items that a worker has under way at once
    lease_seconds: Positive = 30.0  # an item whose worker is not heard of for so long is given to another
    retries: CountFromZero = 5  # of an item that failed, with growing pauses; limits and budgets of ours do not count
    lost_workers: Count = 3  # an item that so many workers were lost with is put aside
