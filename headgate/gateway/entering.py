"""Letting in what no provider is asked for, because its answer is there already."""

from __future__ import annotations

from headgate.gateway.admission import Admissions
from headgate.gateway.journey import Journey
from headgate.gateway.settling import Settler


async def let_in_unpaid(journey: Journey, settler: Settler, admissions: Admissions) -> None:
    """Let a request in that costs nothing, if it can be accounted for and limits on requests let it pass.

    Raises as `Settler.check` and `Admissions.admit_unpaid`.
    """
    settler.check(journey.setup.on_database_failure)
    await admissions.admit_unpaid(journey)
    journey.is_let_in = True
