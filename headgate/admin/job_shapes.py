"""What callers hear of their jobs. Also for commands that ask a server, which need nothing of what it is made of."""

from __future__ import annotations

import msgspec

from headgate.admin.endpoint import Input, Name
from headgate.job_types import ItemState, JobState
from headgate.types import Frozen


class JobId(Input, frozen=True):
    """Which job."""

    job_id: Name


class Progress(Frozen, frozen=True, omit_defaults=True):
    """How many items are over, of how many. `text` is how far a job of steps is: "3/12 sections"."""

    done: int
    total: int
    text: str | None = None


class Problem(Frozen, frozen=True):
    """Why something failed."""

    code: str
    message: str


class Execution(Frozen, frozen=True):
    """Where a job's items are executed: `live`, or in the provider's `batch` API; and why there."""

    by: str
    reason: str


class JobView(Frozen, frozen=True):
    """A job. Times are Unix seconds. `duplicate_cost_usd` is what was paid for calls that were lost with their workers
    and is not charged. `provisional_cost_usd`, not in lists, is what `cost_usd` has in it for such calls until their
    items are done: then it is charged no more.

    Of a single job that is not over, not in lists: `forecast_usd` is what it will cost and `eta` when it will be over,
    if the rest is like what is done, each with the interval in which it is with 95 % probability; `queue_position` is
    the place of a job that waits, among the items of everybody. Null where nothing can be said yet.
    """

    id: str
    kind: str
    state: JobState
    paused: bool
    progress: Progress
    items: dict[str, int]
    cost_usd: str
    duplicate_cost_usd: str
    provisional_cost_usd: str
    forecast_usd: str | None
    forecast_usd_between: tuple[str, str] | None
    eta: float | None
    eta_between: tuple[float, float] | None
    queue_position: int | None
    priority: int
    created_at: float
    start_at: float | None
    deadline_at: float | None
    execution: Execution | None
    window: str | None
    max_cost_usd: str | None
    timezone: str | None
    opens_at: float | None
    finished_at: float | None
    error: Problem | None
    version: int


class JobList(Frozen, frozen=True):
    """A page of jobs."""

    data: list[JobView]
    next: str | None


class ItemView(Frozen, frozen=True):
    """An item of a job, with the answer it has, or null."""

    number: int
    state: ItemState
    attempts: int
    finished_at: float | None
    result: msgspec.Raw
    error: Problem | None
    label: str | None


class ItemList(Frozen, frozen=True):
    """A page of items, in their order."""

    data: list[ItemView]
    next: int | None


class ModelEstimate(Frozen, frozen=True):
    """At most, of one model."""

    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str


class EstimateView(Frozen, frozen=True):
    """What a job would take at most, if every answer is as long as it may be. The numbers of the plan may be sent with
    the job, so that it stays as it is whatever happens to the configuration; for extractions they are 0."""

    models: list[ModelEstimate]
    cost_usd: str
    chunk_tokens: int
    context_tokens: int
    fan_in: int
