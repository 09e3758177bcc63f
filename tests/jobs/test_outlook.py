"""What is said of a job that is not over."""

from __future__ import annotations

import msgspec

from headgate.job_types import Counts, Group, Job, JobState, Owner, Prospects, Sampled, Step
from headgate.jobs.outlook import outlook

JOB = Job(
    id="job_1", owner=Owner("acme", "key_1"), kind="chat", state=JobState.RUNNING, counts=Counts(queued=5, succeeded=5),
    created_at=0.0, priority=0, start_at=0.0, deadline_at=None, paused=False, finished_at=None, error_code="", error="",
    version=9, cost_picousd=1000,
)  # fmt: skip
ALIKE = Group(5, 5, 900, 500.0, (Sampled(100, 180),) * 5)
STEADY = Prospects((ALIKE,), (10.0, 12.0, 14.0, 16.0, 18.0), 1, (), 7)


def changed(**fields: object) -> Job:
    return msgspec.structs.replace(JOB, **fields)  # type: ignore[arg-type]  # fields as they come


def test_the_exact_sum_is_what_the_forecast_begins_with() -> None:
    seen = outlook(JOB, msgspec.structs.replace(STEADY, stride=2), 18.0)
    assert seen.cost is not None and seen.cost.cost_picousd == 2000
    seen = outlook(JOB, STEADY, 18.0)
    assert seen.cost is not None and seen.cost.cost_picousd == 1900
    assert seen.eta is not None and seen.eta.at == 28.0
    assert seen.queue_position is None and seen.text == ""


def test_every_item_that_was_looked_at_stands_for_several() -> None:
    sampled = msgspec.structs.replace(STEADY, stride=5)
    seen = outlook(JOB, sampled, 18.0)
    assert seen.eta is not None and seen.eta.at == 20.0


def test_a_job_that_waits_has_a_place_and_one_that_is_paused_no_end() -> None:
    waiting = outlook(changed(state=JobState.QUEUED, counts=Counts(queued=10)), STEADY, 18.0)
    assert waiting.queue_position == 8
    assert outlook(changed(paused=True), STEADY, 18.0).eta is None
    nothing = msgspec.structs.replace(STEADY, ahead=None)
    assert outlook(changed(state=JobState.QUEUED), nothing, 18.0).queue_position is None


def test_steps_that_count_say_how_far_it_is_and_what_it_will_cost() -> None:
    steps = (Step("merge begins", 9.0), Step("3/12 sections", 8.0), Step("plan", 7.0))
    one = changed(counts=Counts(leased=1), cost_picousd=300)
    seen = outlook(one, Prospects((Group(0, 1, 0, 10.0),), (), 1, steps, None), 18.0)
    assert seen.text == "3/12 sections" and seen.cost is not None and seen.cost.cost_picousd == 1200
    named = outlook(one, Prospects((Group(0, 1, 0, 10.0),), (), 1, steps[2:], None), 18.0)
    assert (named.text, named.cost) == ("plan", None)
