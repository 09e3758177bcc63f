"""What applications keep under /v1/cache: their own intermediate results, beside the answers of models.

The same store, bounds and rules for personal data hold as for answers. A value is its tenant's, or one user's.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from headgate.admin.endpoint import Input, Name, Visit
from headgate.cache_types import CachedAnswer
from headgate.errors import BodyTooLarge, Forbidden, InvalidRequest, NotFound
from headgate.policy.objects import MOST_SECONDS, USUAL_SECONDS, object_key, texts_of
from headgate.policy.pii.rules import Scope
from headgate.types import Frozen

OURSELVES = "headgate"
MOST_AT_ONCE = 20_000  # characters that are looked through on the event loop
GONE_SECONDS = 1.0  # how long a value that was deleted is kept as nothing
_USER = "x-headgate-user"

Seconds = Annotated[float, msgspec.Meta(gt=0, le=MOST_SECONDS)]


class ObjectId(Input, frozen=True):
    """A value by its name within a namespace; the name may contain slashes."""

    namespace: Name
    key: Name


class KeepObject(ObjectId, frozen=True):
    """Keep a value, in place of what is there."""

    value: Any  # any JSON
    ttl_seconds: Seconds = USUAL_SECONDS  # at most 30 days
    private: bool = False  # for the same user only; else for everybody of the tenant


class KeptObject(Frozen, frozen=True):
    """A value that is kept, but for the value. Times are Unix seconds."""

    namespace: str
    key: str
    stored_at: float
    expires_at: float
    private: bool


class FoundObject(Frozen, frozen=True):
    """A value that is kept. Times are Unix seconds."""

    namespace: str
    key: str
    stored_at: float
    expires_at: float
    private: bool
    value: msgspec.Raw  # as it was sent


class DeletedObject(Frozen, frozen=True):
    """Whether there was something."""

    deleted: bool


async def keep_object(visit: Visit, command: KeepObject) -> KeptObject:
    """Keep a value for a while. What contains personal data is kept as the block `pii` says, or refused."""
    services, tenant, user = visit.services, visit.caller().tenant, _user(visit)
    body = msgspec.json.encode(command.value)
    most = services.settings.in_force.config.cache.max_entry_bytes
    if len(body) > most:
        raise BodyTooLarge(f"The value has {len(body)} bytes; `cache.max_entry_bytes` allows {most}.")
    if command.private and user is None:
        raise InvalidRequest(f"Nobody in particular asks: send {_USER}, or a key of a user.", param="private")
    scope, reason = await _scope(visit, command.value, user)
    if scope is Scope.NOTHING:
        raise InvalidRequest(f"The value may not be kept: {reason}.", param="value")
    private = command.private or scope is Scope.USER
    now, expires_at = services.clock.now(), services.clock.now() + command.ttl_seconds
    kept = CachedAnswer(
        key=object_key(tenant, command.namespace, command.key, user if private else None),
        request_id=visit.request_id,
        tenant=tenant,
        user=user,
        model=_model(command.namespace),
        prompt_version=None,
        route="cache",
        stream=False,
        answered_by=_model(command.namespace),
        origin="",
        deployment="",
        provider=OURSELVES,
        stored_at=now,
        expires_at=expires_at,
        cost_picousd=0,
        body=body,
    )
    for other in await _found(visit, command, user):
        if other.key != kept.key and private is False:
            _forget(visit, other)  # or its user would not see the new one
    services.cache.put(kept)
    return KeptObject(command.namespace, command.key, now, expires_at, private)


async def get_object(visit: Visit, query: ObjectId) -> FoundObject:
    """A value that was kept: one's own if there is one, else the tenant's."""
    found = await _found(visit, query, user := _user(visit))
    if not found:
        raise NotFound(f"Nothing is kept as '{query.key}' in '{query.namespace}'.", param="key")
    kept = found[0]
    private = user is not None and kept.key == object_key(kept.tenant, query.namespace, query.key, user)
    return FoundObject(query.namespace, query.key, kept.stored_at, kept.expires_at, private, msgspec.Raw(kept.body))


async def delete_object(visit: Visit, query: ObjectId) -> DeletedObject:
    """Forget a value, one's own and the tenant's."""
    found = await _found(visit, query, _user(visit))
    for kept in found:
        _forget(visit, kept)
    return DeletedObject(bool(found))


async def _found(visit: Visit, name: ObjectId, user: str | None) -> list[CachedAnswer]:
    """What is kept of that name for the caller, the user's own first."""
    tenant = visit.caller().tenant
    holders = [None] if user is None else [user, None]
    keys = [object_key(tenant, name.namespace, name.key, holder) for holder in holders]
    found = await visit.services.cache.get_all(keys)
    return [kept for kept in found if kept is not None and kept.body and kept.tenant == tenant]


def _forget(visit: Visit, kept: CachedAnswer) -> None:
    now = visit.services.clock.now()
    visit.services.cache.put(msgspec.structs.replace(kept, body=b"", stored_at=now, expires_at=now + GONE_SECONDS))


async def _scope(visit: Visit, value: object, user: str | None) -> tuple[Scope, str]:
    from headgate.policy.pii.keeping import keep  # what looks for personal data takes a while to load

    rules, text = visit.services.running().setup.pii, "\n".join(texts_of(value))
    if len(text) <= MOST_AT_ONCE:
        decision = keep(rules, "", text, user=user)
    else:
        decision = await asyncio.to_thread(keep, rules, "", text, user=user)
    return decision.scope, decision.reason.replace("the answer", "it")


def _user(visit: Visit) -> str | None:
    """Whose the request is. Raises Forbidden for a key that is bound to another user."""
    bound, named = visit.caller().user, visit.headers.get(_USER)
    if bound is not None and named is not None and named != bound:
        raise Forbidden(f"This key belongs to the user '{bound}' and may not act for another.", param=_USER)
    return bound or named


def _model(namespace: str) -> str:
    """What operators drop a namespace by."""
    return f"cache/{namespace}"
