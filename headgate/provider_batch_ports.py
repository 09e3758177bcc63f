"""The ports of providers' batch APIs: the API itself, and what is on record of what was handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from headgate.provider_batch_types import (
    BatchStanding,
    Candidate,
    Handover,
    LineResult,
    ProviderBatch,
    Stage,
    Taken,
    WaitingJob,
)


class BatchApi(Protocol):
    """One account at one provider. Raises UpstreamError: one whose `should_retry` is set, or that has no status, says
    nothing about whether the call was carried out."""

    async def submit(self, batch: Handover) -> str:
        """Hand a batch over; returns the provider's id of it."""

    async def find(self, batch_id: str, size: int, since: float) -> list[Candidate]:
        """What may be a batch of so many lines that was handed over after `since` (Unix seconds), newest first.

        Where the API has a place for our id it is the one that has it; else each of that time and size.
        """

    async def standing(self, provider_id: str) -> BatchStanding:
        """How it stands."""

    def results(self, standing: BatchStanding) -> AsyncIterator[LineResult]:
        """What came of the lines of a batch that has ended, in any order."""

    async def cancel(self, provider_id: str) -> None:
        """Begin nothing more of it. What is done stays. May be repeated."""

    async def clear(self, batch_id: str, provider_id: str, since: float) -> None:
        """Delete what the provider keeps of a batch that is over: what was handed over and what came of it. Its own id
        is empty if it is not known, then what was uploaded for it since that time is. What is gone is no error."""


class ProviderBatches(Protocol):
    """What is on record of batches at providers. Raises DatabaseUnavailable."""

    async def waiting(self) -> list[WaitingJob]:
        """Jobs of requests with items that nobody has begun."""

    async def decide(self, job_id: str, execution: str, reason: str) -> None:
        """Say how a job's items are executed: `batch` keeps them from workers, `live` gives them back."""

    async def prepare(self, batch: ProviderBatch, request_ids: Sequence[str], max_bytes: int) -> list[Taken]:
        """Put waiting items of its job into a new batch, which is on record from now on: at most one for each id, and
        only so many that their requests are below `max_bytes`, but one at least."""

    async def taken(self, batch: ProviderBatch) -> list[Taken]:
        """The items of a batch, also those that were erased meanwhile."""

    async def save(self, batch: ProviderBatch, was: Stage | None = None) -> bool:
        """Keep how far we are with it. False: nothing was changed, as it is not where it `was` any more."""

    async def open(self) -> list[ProviderBatch]:
        """Those that are not over, and those that are and of which the provider has something yet, oldest first."""

    async def wanted(self, batch: ProviderBatch) -> int:
        """Items of a batch that somebody still waits for: neither cancelled nor expired meanwhile."""
