"""The cache as operators see it: what it finds and keeps, what it has of one request, and dropping answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from headgate.admin.audit import auditor
from headgate.admin.endpoint import Input, Name, Visit
from headgate.cache_types import CachedAnswer, CacheScope, Hit, SemanticActivity
from headgate.errors import NotFound
from headgate.policy.pricing import format_usd
from headgate.types import Frozen


class CacheStats(Frozen, frozen=True):
    """What the caches of all models together keep, and what became of requests since the processes started."""

    entries: int
    bytes: int
    max_entries: int
    max_bytes: int
    evicted: int  # answers dropped to keep others
    hits: Mapping[str, int]  # by kind: exact, semantic, coalesced, idempotent
    misses: int
    hit_rate: float | None  # of requests that were looked for; null: there were none
    kept: int  # answers that were put in
    not_kept: Mapping[str, int]  # by reason
    saved_usd: str  # what they would have cost from a provider
    semantic: Mapping[str, SemanticActivity] = {}  # by model, of those whose questions were looked for by their meaning


class FlushCache(Input, frozen=True):
    """Drop the answers that agree in everything that is given; without anything, all."""

    tenant: Name | None = None
    model: Name | None = None  # that was asked for, or that answered
    prompt_version: Name | None = None


class Flushed(Frozen, frozen=True):
    """How many answers were dropped."""

    flushed: int


class RequestId(Input, frozen=True):
    """A request whose answer may be kept: the id that its answer had."""

    request_id: Annotated[str, msgspec.Meta(max_length=200)]


class CacheEntry(Frozen, frozen=True):
    """An answer that is kept. Times are Unix seconds; `answer` is what the client was sent."""

    request_id: str
    tenant: str
    user: str | None
    model: str
    prompt_version: str | None
    route: str
    stream: bool
    answered_by: str
    deployment: str
    provider: str
    stored_at: float
    expires_at: float
    cost_usd: str
    answer: str


async def stats(visit: Visit, _: Input) -> CacheStats:
    """What is kept, what was found, and what that has saved."""
    services = visit.services
    size, activity = services.cache.size(), await services.cache_activity()
    bounds = services.settings.in_force.config.cache
    hits = sum(count for how, count in activity.found.items() if how != Hit.IDEMPOTENT)  # which is no cache's doing
    looked = hits + activity.missed
    return CacheStats(
        entries=size.entries,
        bytes=size.bytes,
        max_entries=bounds.max_entries,
        max_bytes=bounds.max_bytes,
        evicted=size.evicted,
        hits=activity.found,
        misses=activity.missed,
        hit_rate=round(hits / looked, 6) if looked else None,
        kept=activity.kept,
        not_kept=activity.not_kept,
        saved_usd=format_usd(activity.saved_picousd),
        semantic=activity.semantic,
    )


async def flush(visit: Visit, command: FlushCache) -> Flushed:
    """Drop answers of a tenant, a model, a prompt version, or what all given have in common."""
    scope = CacheScope(command.tenant, command.model, command.prompt_version)
    flushed = Flushed(await visit.services.flush(scope))
    named = [name for name in (command.tenant, command.model, command.prompt_version) if name is not None]
    await auditor(visit).note(command, " ".join(named) or "everything", after=msgspec.json.encode(flushed).decode())
    return flushed


async def entry(visit: Visit, query: RequestId) -> CacheEntry:
    """The answer to a request, if it is kept."""
    kept = await visit.services.cache.find(query.request_id)
    if kept is None:
        raise NotFound(f"No answer to the request {query.request_id} is kept.", param="request_id")
    return _shown(kept)


def _shown(kept: CachedAnswer) -> CacheEntry:
    return CacheEntry(
        request_id=kept.request_id,
        tenant=kept.tenant,
        user=kept.user,
        model=kept.model,
        prompt_version=kept.prompt_version,
        route=kept.route,
        stream=kept.stream,
        answered_by=kept.answered_by,
        deployment=kept.deployment,
        provider=kept.provider,
        stored_at=kept.stored_at,
        expires_at=kept.expires_at,
        cost_usd=format_usd(kept.cost_picousd),
        answer=(kept.body + kept.tail).decode(errors="replace"),
    )
