"""How far jobs are and what becomes of them, for those who look: forecasts, the place in the queue, steps."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headgate.job_ports import JobProspects
from headgate.job_types import Group, Job, JobState, Prospects, Sampled, Step
from headgate.policy.forecast import CostForecast, Eta, cost_forecast, eta
from headgate.ports import Clock
from headgate.types import Frozen

KEEP_SECONDS = 2.0  # an outlook is not made anew before that
MAX_KEPT = 1000
LAST_ENDS = 200  # whose pace counts
_COUNTED_STEP = re.compile(r"([0-9]+)/([0-9]+) .+")  # a step that says how many there are: "3/12 sections"


class Outlook(Frozen, frozen=True):
    """What can be said of a job that is not over; None: nothing yet. `text` is how far a job of steps is."""

    cost: CostForecast | None = None
    eta: Eta | None = None
    queue_position: int | None = None  # 1: it is next
    text: str = ""


NOTHING = Outlook()


class Outlooks:
    """Makes outlooks, and keeps each for a moment, as those who watch a job ask often."""

    def __init__(self, prospects: JobProspects, clock: Clock) -> None:
        self._prospects = prospects
        self._clock = clock
        self._kept: dict[str, tuple[float, Outlook]] = {}

    async def version(self, job_id: str) -> int:
        """A number that grows with every change of a job or of one below it. Raises DatabaseUnavailable."""
        return await self._prospects.version(job_id)

    async def of(self, job: Job) -> Outlook:
        """Raises DatabaseUnavailable."""
        if job.is_over:
            self._kept.pop(job.id, None)
            return NOTHING
        now = self._clock.monotonic()
        made_at, kept = self._kept.get(job.id, (float("-inf"), NOTHING))
        if now - made_at < KEEP_SECONDS:
            return kept
        made = outlook(job, await self._prospects.of(job.id), self._clock.now())
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[job.id] = (now, made)
        return made


def outlook(job: Job, prospects: Prospects, now: float) -> Outlook:
    """From what is known of a job. Pure."""
    steps = _counted(prospects.steps)
    groups = _groups(job, prospects, steps)
    rest = sum(group.rest - group.unsettled for group in groups)
    ends = prospects.ended_at[-LAST_ENDS:]
    waits = job.state in (JobState.QUEUED, JobState.RETRYING) and prospects.ahead is not None
    return Outlook(
        cost=cost_forecast(job.cost_picousd, groups),
        eta=None if job.paused else eta(now, ends, -(-rest // prospects.stride)),
        queue_position=prospects.ahead + 1 if waits and prospects.ahead is not None else None,
        text=_text(prospects.steps, steps),
    )


def _groups(job: Job, prospects: Prospects, steps: tuple[int, int] | None) -> Sequence[Group]:
    groups = prospects.groups
    if steps is not None and job.progress.total == 1:
        done, total = steps
        each = Sampled(1, job.cost_picousd // max(done, 1))
        return (Group(done, max(total - done, 0), job.cost_picousd, float(total - done), (each,) * done),)
    if len(groups) == 1 and groups[0].done and prospects.stride > 1:  # then the exact sum knows more than the sample
        only = groups[0]
        return (Group(only.done, only.rest, job.cost_picousd, only.rest_bytes, only.sample),)
    return groups


def _counted(steps: Sequence[Step]) -> tuple[int, int] | None:
    """How many steps of how many are done, as the newest says that counts them."""
    for step in steps:
        if match := _COUNTED_STEP.fullmatch(step.name):
            return int(match[1]), int(match[2])
    return None


def _text(steps: Sequence[Step], counted: tuple[int, int] | None) -> str:
    if not steps:
        return ""
    if counted is not None:
        return next(step.name for step in steps if _COUNTED_STEP.fullmatch(step.name))
    return steps[0].name
