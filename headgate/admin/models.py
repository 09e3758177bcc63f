"""The models a caller may use, in OpenAI's shape with Anthropic's members beside: clients of both ask at one URL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from headgate.admin.endpoint import Input, Name, Visit
from headgate.errors import InvalidRequest, ModelNotFound
from headgate.gateway.fleet import ServedModel
from headgate.gateway.journey import OURSELVES
from headgate.policy.access import may_use
from headgate.types import Frozen


class ModelId(Input, frozen=True):
    """Which model."""

    model: Name


class ModelsQuery(Input, frozen=True):
    """A page of them, as Anthropic's SDKs ask for one; without a `limit` all there are."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    after_id: Name | None = None
    before_id: Name | None = None


class Model(Frozen, frozen=True):
    """A model by its public name. `created` is when this process read its configuration, in Unix seconds."""

    id: str
    object: str
    created: int
    owned_by: str  # the provider of its first deployment; headgate's are routers
    type: str
    display_name: str
    created_at: str  # the same time as RFC 3339


class ModelList(Frozen, frozen=True):
    """The models of the caller's tier."""

    object: str
    data: list[Model]
    has_more: bool
    first_id: str | None
    last_id: str | None


async def list_models(visit: Visit, query: ModelsQuery) -> ModelList:
    """The models that the caller's tier may use; `has_more` says that there are more in the direction asked for."""
    if query.after_id is not None and query.before_id is not None:
        raise InvalidRequest("Send either 'after_id' or 'before_id'.", param="before_id")
    models = list(_allowed(visit).values())
    places = {model.id: place for place, model in enumerate(models)}
    begin = places.get(query.after_id, -1) + 1 if query.after_id is not None else 0
    end = places.get(query.before_id, len(models)) if query.before_id is not None else len(models)
    page = models[begin:end]
    if query.limit is not None:
        page = page[-query.limit :] if query.before_id is not None else page[: query.limit]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return ModelList("list", page, has_more=len(page) < end - begin, first_id=first, last_id=last)


async def get_model(visit: Visit, wanted: ModelId) -> Model:
    """One of the models that the caller's tier may use."""
    models = _allowed(visit)
    if wanted.model not in models:
        raise ModelNotFound(
            f"The model '{wanted.model}' does not exist or your key may not use it. GET /v1/models lists yours.",
            param="model",
        )
    return models[wanted.model]


def _allowed(visit: Visit) -> dict[str, Model]:
    tier, running = visit.caller().tier, visit.services.running()
    created = int(running.loaded_at)
    at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    owners = {name: _owner(model) for name, model in running.setup.models.items()}
    owners |= dict.fromkeys(running.setup.routers, OURSELVES)
    return {
        name: Model(name, "model", created, owner, type="model", display_name=name, created_at=at)
        for name, owner in owners.items()
        if may_use(tier, name)
    }


def _owner(model: ServedModel) -> str:
    return model.deployments[0].spec.provider if model.deployments else OURSELVES
