"""The block about providers' batch APIs; part of `schema.py`."""

from __future__ import annotations

from typing import Literal

from headgate.config.blocks import Block, Count, NotNegative, Positive, Share


class BatchConfig(Block, frozen=True):
    """Doing the work of jobs in the provider's own batch API: it takes up to a day, and costs less."""

    # never; auto: when a job's deadline leaves time for it and it costs less; always: whenever it is possible
    use: Literal["never", "auto", "always"] = "never"
    min_items: Count = 20  # auto: jobs with fewer items that wait are done live
    min_hours: Positive = 4.0  # auto: jobs whose deadline is nearer are done live
    spill_hours: NotNegative = 1.0  # so long before the deadline what the provider has not done is done live
    discount: Share = 0.5  # of the price, where no price of batches is known
    max_items: Count = 5_000  # of one batch
    poll_seconds: Positive = 60.0  # between questions how a batch stands


class GatherConfig(Block, frozen=True):
    """Requests for embeddings that come at nearly the same time, sent to the provider as one."""

    max_wait_ms: Positive = 10.0  # so long the first of them waits for others
    max_batch_tokens: Count = 8_000  # of their inputs together
