"""A courier when one batch is broken, when its lease is lost, and when a job is to be erased that a provider has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.clock import SystemClock
from headgate.errors import Conflict
from headgate.job_types import EraseScope, JobQuota
from headgate.jobs.courier import Courier
from headgate.jobs.erasing import Upkeep
from headgate.provider_batch_types import Stage
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from tests.jobs.test_courier import Office, opened, run


def broken_once(office: Office) -> Courier:
    """The first time that a provider is asked something breaks that no error tells of."""
    usual, broken = office.means.api, [KeyError("gone")]

    def api(*about: Any) -> Any:
        if broken:
            raise broken.pop()
        return usual(*about)

    return Courier("one", msgspec.structs.replace(office.means, api=api))


def test_one_batch_that_breaks_leaves_the_others_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            await office.submit("one", "two", "three")
            await office.submit("four", "five", "six")
            await broken_once(office).look()
            assert [len(batch.requests) for batch in vendor.batches] == [3]
            assert [batch.stage for batch in await office.batches.open()] == [Stage.SENT, Stage.RUNNING]

    run(scenario)


class Slipping:
    """A lease that others get after it was taken so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def take(self, name: str, owner: str, seconds: float) -> int | None:
        self.times -= 1
        return 1 if self.times >= 0 else None


def test_who_lost_the_lease_hands_over_nothing_more(tmp_path: Path) -> None:
    """Many batches take longer than the lease: another courier may be at the same ones by then."""

    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            for number in range(3):
                await office.submit(f"one {number}", "two", "three")
            usual = office.means.api

            def slowly(*about: Any) -> Any:
                office.clock.time += 150.0
                return usual(*about)

            await Courier("one", msgspec.structs.replace(office.means, leases=Slipping(1), api=slowly)).look()
            assert len(vendor.batches) == 1

    run(scenario)


def test_a_job_is_not_erased_while_a_provider_has_requests_of_it(tmp_path: Path) -> None:
    """What the provider's batch comes to would be paid and in no ledger."""

    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            stores = SqlJobUpkeep(office.database, office.clock)
            upkeep = Upkeep(office.jobs, stores, SystemClock(), lambda caller: JobQuota())
            scope = EraseScope(job_id=job.id, tenant="acme")
            with pytest.raises(Conflict, match="a provider still has"):
                await upkeep.erase(scope, cancel=True)
            assert (await office.jobs.get(job.id)).is_over and not await stores.expire(-1.0)
            vendor.end()
            await office.look(61.0)
            assert len(await office.rows()) == 3
            assert (await upkeep.erase(scope, cancel=False)).jobs == 1
            left = "SELECT (SELECT count(*) FROM provider_batches), (SELECT count(*) FROM provider_batch_items)"
            rows = await office.database.run(
                office.database.reading, lambda connection: connection.exec_driver_sql(left).one()
            )
            assert tuple(rows) == (0, 0)

    run(scenario)
