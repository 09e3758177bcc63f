"""The report of a job over documents, as it is told."""

from __future__ import annotations

import msgspec

from headgate.admin.job_shapes import JobView
from headgate.report_types import FailureRow, PartRow, SlowRow
from headgate.types import Frozen


class CostView(Frozen, frozen=True):
    """What was asked of a model on a day (UTC) for a shard of the documents; shard 0 is what puts summaries together.
    `duplicate_cost_usd` was paid for calls that were lost with their workers and is charged to nobody."""

    model: str
    day: str
    shard: int
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: str
    duplicate_cost_usd: str


class ReportView(Frozen, frozen=True):
    """A job, its parts, where the money went, what failed, what was slow, and the result if there is one."""

    job: JobView
    parts: list[PartRow]
    costs: list[CostView]
    failure_count: int
    failures: list[FailureRow]
    slowest: list[SlowRow]
    result: msgspec.Raw
