"""The models a caller may use, in OpenAI's shape with Anthropic's members beside: clients of both ask at one URL."""

from __future__ import annotations

from datetime import UTC, datetime

from headgate.admin.endpoint import Input, Name, Nothing, Visit
from headgate.errors import ModelNotFound
from headgate.gateway.fleet import ServedModel
from headgate.gateway.journey import OURSELVES
from headgate.policy.access import may_use
from headgate.types import Frozen


class ModelId(Input, frozen=True):
    """Which model."""

    model: Name


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


async def list_models(visit: Visit, _: Nothing) -> ModelList:
    """The models that the caller's tier may use."""
    models = list(_allowed(visit).values())
    first, last = (models[0].id, models[-1].id) if models else (None, None)
    return ModelList("list", models, has_more=False, first_id=first, last_id=last)


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
