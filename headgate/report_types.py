"""What is told of a job when it is reported on: where its money went, what failed, what was slow."""

from __future__ import annotations

from headgate.types import Frozen


class CostRow(Frozen, frozen=True, gc=False):
    """Requests of a model on one day (UTC, counted from 1970) for one shard of documents; shard 0: for none."""

    model: str
    day: int
    shard: int
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_picousd: int
    duplicate_picousd: int  # paid for calls that were lost, not charged


class FailureRow(Frozen, frozen=True, gc=False):
    """An item that did not succeed. `job_id` and `number` find it."""

    job_id: str
    number: int
    label: str
    state: str
    code: str
    message: str
    attempts: int


class SlowRow(Frozen, frozen=True, gc=False):
    """A request that took long."""

    job_id: str
    number: int
    label: str
    model: str
    seconds: float
    output_tokens: int


class PartRow(Frozen, frozen=True, gc=False):
    """A job of the tree: its name below the root, and its items that are over, that succeeded, and all."""

    name: str
    kind: str
    state: str
    done: int
    succeeded: int
    total: int


class JobReport(Frozen, frozen=True):
    """All of a job. Lists are not longer than was asked for; `failure_count` counts all."""

    parts: tuple[PartRow, ...]
    costs: tuple[CostRow, ...]
    failure_count: int
    failures: tuple[FailureRow, ...]
    slowest: tuple[SlowRow, ...]
