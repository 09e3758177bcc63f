"""The ports of providers' batch APIs: the API itself, and what is on record of what was handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from headgate.provider_batch_types import BatchStanding, Handover, LineResult, ProviderBatch, Taken, WaitingJob


class BatchApi(Protocol):
    """One account at one provider. Raises UpstreamError: one whose `should_retry` is set, or that has no status, says
    nothing about whether the call was carried out."""

    async def submit(self, batch: Handover) -> str:
        """Hand a batch over; returns the provider's id of it."""

    async def find(self, batch: Handover, since: float) -> str | None:
        """The provider's id of a batch that may have been handed over after `since` (Unix seconds); None: it was not.

        Where the API has no place for our id it is found by its time and size.
        """

    async def standing(self, provider_id: str) -> BatchStanding:
        """How it stands."""

    def results(self, standing: BatchStanding) -> AsyncIterator[LineResult]:
        """What came of the lines of a batch that has ended, in any order."""

    async def cancel(self, provider_id: str) -> None:
        """Begin nothing more of it. What is done stays. May be repeated."""


class ProviderBatches(Protocol):
    """What is on record of batches at providers. Raises DatabaseUnavailable."""

    async def waiting(self) -> list[WaitingJob]:
        """Jobs of requests with items that nobody has begun."""

    async def decide(self, job_id: str, execution: str, reason: str) -> None:
        """Say how a job's items are executed: `batch` keeps them from workers, `live` gives them back."""

    async def prepare(self, batch: ProviderBatch, request_ids: Sequence[str]) -> list[Taken]:
        """Put waiting items of its job into a new batch, at most one for each id, which is on record from now on."""

    async def taken(self, batch: ProviderBatch) -> list[Taken]:
        """The items of a batch."""

    async def save(self, batch: ProviderBatch) -> None:
        """Keep how far we are with it."""

    async def open(self) -> list[ProviderBatch]:
        """Those that are not over, oldest first."""

    async def wanted(self, batch: ProviderBatch) -> int:
        """Items of a batch that somebody still waits for: neither cancelled nor expired meanwhile."""
