"""The block about jobs; part of `schema.py`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.config.blocks import Block, Count, CountFromZero, Positive, Share
from headgate.config.delivery_schema import JobMailConfig, JobWebhooksConfig

Factor = Annotated[float, msgspec.Meta(gt=1)]
LeaseSeconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class BackgroundConfig(Block, frozen=True):
    """What the requests of jobs leave to those that somebody waits for."""

    gate: bool = True  # false: requests of jobs go in as if they were interactive
    quota_share: Share = 0.8  # of a provider's quota: when everybody together has used so much, jobs wait
    budget_share: Share = 0.9  # of any budget: when so much of it is spent or held, jobs wait
    in_flight_share: Share = 0.5  # of server.max_in_flight: when so many requests are under way, jobs wait
    ttft_factor: Factor = 1.5  # first content so much later than without jobs: there are too many of their requests
    max_concurrency: Count = 256  # requests of jobs for one model, and items of a worker whose concurrency is auto


class JobsQuotaConfig(Block, frozen=True):
    """How much a tenant's jobs may take."""

    bytes: Count | None = None  # of requests and results that are kept; default: no limit
    open_items: Count | None = None  # items that are not over; default: no limit


class JobsConfig(Block, frozen=True):
    """Work that is done later, and who does it."""

    workers: Literal["inside", "off"] = "inside"  # a worker in every gateway process, or none: jobs wait
    # items that a worker has under way at once; auto: as many as the gate lets through
    concurrency: Count | Literal["auto"] = "auto"
    lease_seconds: LeaseSeconds = 30.0  # an item whose worker is not heard of for so long is given to another
    retries: CountFromZero = 5  # of an item that failed, with growing pauses; limits and budgets of ours do not count
    lost_workers: Count = 3  # an item that so many workers were lost with is put aside
    # how callers reach this gateway, e.g. https://llm.example.com: what links begin with; default: server.host and port
    public_url: str = ""
    webhooks: JobWebhooksConfig = JobWebhooksConfig()  # URLs that callers have called when their jobs end
    mail: JobMailConfig | None = None  # mail that callers have sent when their jobs end; default: none is sent
    # topics that callers may have answers sent to, e.g. kafka://broker:9092/answers-*; a * at the end: any ending
    reply_to: list[str] = []
    # kinds of jobs that are functions of yours, by name, as module:function; read at the start of a process
    pipelines: dict[str, str] = {}
    background: BackgroundConfig = BackgroundConfig()  # what jobs leave to requests that somebody waits for
    quota: JobsQuotaConfig = JobsQuotaConfig()  # how much a tenant's jobs may take; a tier may say otherwise
    open_hours: Positive = 72.0  # a job that waits for more requests of its caller for so long is cancelled
    retention_days: Count = 30  # jobs that were over so long ago are erased; the ledger keeps its rows
