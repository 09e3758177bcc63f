"""What workers do, as metrics; what waits for them is in `exposition.py`."""

from __future__ import annotations

from headgate.telemetry.families import Family, number, single
from headgate.types import PICO_PER_USD

JOB_FAMILIES = (
    number(
        "headgate_job_claims_total",
        "Items of jobs that workers leased.",
        lambda snapshot: snapshot.totals.jobs.claimed,
    ),
    Family(
        "headgate_job_ends_total",
        "Leases that ended: succeeded, failed, dead, expired, retried, postponed, waiting (for children), lost.",
        ("how",),
        lambda snapshot: single(snapshot.totals.jobs.ended.items()),
    ),
    number(
        "headgate_job_under_way",
        "Items that workers have in their hands.",
        lambda snapshot: snapshot.gauges.job_under_way,
    ),
    number(
        "headgate_job_concurrency",
        "Items that workers would take at once.",
        lambda snapshot: snapshot.gauges.job_concurrency,
    ),
    number(
        "headgate_job_calls_total",
        "Requests of jobs that were answered.",
        lambda snapshot: snapshot.totals.jobs.calls,
    ),
    number(
        "headgate_job_cost_usd_total",
        "What the answers to requests of jobs have cost, in US dollars.",
        lambda snapshot: snapshot.totals.jobs.cost_picousd / PICO_PER_USD,
    ),
    number(
        "headgate_job_duplicates_total",
        "Calls that were lost with their workers, made again, and are charged to nobody.",
        lambda snapshot: snapshot.totals.jobs.duplicates,
    ),
    number(
        "headgate_job_duplicate_cost_usd_total",
        "What those calls have cost, in US dollars.",
        lambda snapshot: snapshot.totals.jobs.duplicate_picousd / PICO_PER_USD,
    ),
    Family(
        "headgate_intake_messages_total",
        "Messages of the queue that headgate consume takes from: taken, duplicate (a job already), refused.",
        ("fate",),
        lambda snapshot: single(snapshot.gauges.intake_messages.items()),
    ),
    number(
        "headgate_intake_depth",
        "Messages that wait in that queue.",
        lambda snapshot: snapshot.gauges.intake_depth,
    ),
    number(
        "headgate_intake_oldest_seconds",
        "Age of the oldest of them; 0: nothing waits, or the broker does not say.",
        lambda snapshot: snapshot.gauges.intake_oldest_seconds,
    ),
)
