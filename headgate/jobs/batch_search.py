"""Looking for a batch at its provider whose handing over was cut short."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from headgate.provider_batch_ports import BatchApi
from headgate.provider_batch_types import AtProvider, BatchStanding, Candidate
from headgate.types import Frozen


class Found(Frozen, frozen=True, gc=False):
    """What came of it. `provider_id`: of ours; empty: it is not there, or, if it `is_open`, nobody can tell yet."""

    provider_id: str = ""
    is_open: bool = False


class Search:
    """Remembers which batches have been found to be somebody else's."""

    def __init__(self) -> None:
        self._others: dict[str, set[str]] = {}

    async def among(
        self, batch_id: str, api: BatchApi, candidates: Sequence[Candidate], line_ids: Collection[str]
    ) -> Found:
        """Which of the candidates is a batch of ours: the one that has its id, else the one whose lines are ours, which
        can be read when it has ended. Raises UpstreamError."""
        others = self._others.setdefault(batch_id, set())
        is_open = False
        for candidate in candidates:
            if candidate.is_certain:
                return Found(candidate.provider_id)
            if candidate.provider_id in others:
                continue
            standing = await api.standing(candidate.provider_id)
            if standing.state is not AtProvider.ENDED:
                is_open = True
            elif await _has(api, standing, line_ids):
                return Found(candidate.provider_id)
            else:
                others.add(candidate.provider_id)
        return Found(is_open=is_open)

    def forget(self, batch_id: str) -> None:
        """It is over."""
        self._others.pop(batch_id, None)


async def _has(api: BatchApi, standing: BatchStanding, line_ids: Collection[str]) -> bool:
    """Whether the lines of a batch are ours: all of them are, or none is."""
    async for result in api.results(standing):
        return result.id in line_ids
    return False
