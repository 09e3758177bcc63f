"""Deleting at providers what they have of batches that are over: what was handed over, and what came of it.

It is begun when all of that is in our database, and on record until it is done, whatever dies. When it fails it is
tried again, after pauses that grow, for a day or so; then what is left stays there, and the log says so.
"""

from __future__ import annotations

import logging

import msgspec

from headgate.errors import DatabaseUnavailable, NotFound
from headgate.jobs.batch_means import CourierMeans
from headgate.provider_batch_ports import BatchApi
from headgate.provider_batch_types import ProviderBatch, Stage

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
GIVE_UP_SECONDS = 2 * 86_400.0  # after it was handed over: a batch takes a day at most

log = logging.getLogger(__name__)


class Clearing:
    """Remembers how often it was tried, which a restart may forget: each batch is tried once at least."""

    def __init__(self, means: CourierMeans) -> None:
        self._means = means
        self._tries: dict[str, tuple[int, float]] = {}  # by our id: how often, and when again

    async def go_on(self, batch: ProviderBatch) -> None:
        """Delete what there is of a batch, if its time has come. Raises DatabaseUnavailable."""
        now = self._means.clock.now()
        tries, next_at = self._tries.get(batch.id, (0, 0.0))
        if now < next_at or not batch.has_files:
            return
        try:
            await self._api(batch).clear(batch.id, batch.provider_id, batch.sent_at)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # whatever it is, the job is not to suffer for it
            if now < batch.sent_at + GIVE_UP_SECONDS:
                pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 10), LONGEST_PAUSE_SECONDS)
                self._tries[batch.id] = (tries + 1, now + pause)
                return
            log.warning(
                "what %s has of the batch %s (%s) could not be deleted and stays there: %s",
                batch.deployment, batch.id, batch.provider_id or "of unknown id", error,
            )  # fmt: skip
        self._tries.pop(batch.id, None)
        await self._means.batches.save(msgspec.structs.replace(batch, has_files=False), was=Stage.OVER)

    def _api(self, batch: ProviderBatch) -> BatchApi:
        deployments = self._means.gate.pipeline.setup.deployments()
        deployment = next((one for one in deployments if one.spec.name == batch.deployment), None)
        if deployment is None:
            raise NotFound(f"{batch.deployment} is not configured any more.")
        return self._means.api(deployment, batch.key_fingerprint)
