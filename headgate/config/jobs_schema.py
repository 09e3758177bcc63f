"""The block about jobs; part of `schema.py`."""

from __future__ import annotations

from typing import Literal

from headgate.config.blocks import Block, Count, CountFromZero, Positive
from headgate.config.delivery_schema import JobMailConfig, JobWebhooksConfig


class JobsConfig(Block, frozen=True):
    """Work that is done later, and who does it."""

    workers: Literal["inside", "off"] = "inside"  # a worker in every gateway process, or none: jobs wait
    concurrency: Count = 16  # items that a worker has under way at once
    lease_seconds: Positive = 30.0  # an item whose worker is not heard of for so long is given to another
    retries: CountFromZero = 5  # of an item that failed, with growing pauses; limits and budgets of ours do not count
    lost_workers: Count = 3  # an item that so many workers were lost with is put aside
    # how callers reach this gateway, e.g. https://llm.example.com: what links begin with; default: server.host and port
    public_url: str = ""
    webhooks: JobWebhooksConfig = JobWebhooksConfig()  # URLs that callers have called when their jobs end
    mail: JobMailConfig | None = None  # mail that callers have sent when their jobs end; default: none is sent
    # topics that callers may have answers sent to, e.g. kafka://broker:9092/answers-*; a * at the end: any ending
    reply_to: list[str] = []
