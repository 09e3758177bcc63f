"""What `headgate jobs` says of a job."""

from __future__ import annotations

from headgate.admin.jobs import view
from headgate.commands.jobs import sentence
from headgate.job_types import Counts, Job, JobState, Owner
from headgate.types import PICO_PER_USD


def test_what_of_the_cost_may_go_again_is_said() -> None:
    job = Job(
        id="job_1",
        owner=Owner("acme", "key_1"),
        kind="chat",
        state=JobState.RUNNING,
        counts=Counts(succeeded=1, leased=1),
        created_at=1.0,
        priority=0,
        start_at=0.0,
        deadline_at=None,
        paused=False,
        finished_at=None,
        error_code="",
        error="",
        version=1,
        cost_picousd=3 * PICO_PER_USD,
        provisional_picousd=2 * PICO_PER_USD,
    )
    cost = "3 USD (2 of it provisional: for calls that were lost with their workers)"
    assert sentence(view(job)) == f"job_1 is running: 1 leased, 1 succeeded; {cost}"
