"""What kinds of jobs need to know of models before they ask one."""

from __future__ import annotations

from collections.abc import Callable

from headgate.errors import InvalidRequest, ModelNotFound
from headgate.gateway.fleet import Setup
from headgate.policy import access, pricing
from headgate.types import Caller, Frozen, Price

UNKNOWN_CONTEXT_TOKENS = 16_000  # of a model of which nobody says it; every model of the last years has that


class ModelFacts(Frozen, frozen=True):
    """Of a public model or of a router, which is as weak and as dear as any of its models."""

    context_tokens: int  # prompt and answer together
    prices: tuple[Price, ...]

    def most_picousd(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a request of so many tokens costs."""
        most = pricing.dearest(self.prices, input_tokens, for_an_hour=False)
        return input_tokens * most.input + output_tokens * most.output


class Models:
    """Models and routers by name, as the configuration now has them."""

    def __init__(self, setup: Callable[[], Setup]) -> None:
        self._setup = setup

    def check(self, caller: Caller, name: str, param: str) -> None:
        """Raises ModelNotFound if there is no such model for the caller."""
        if not self._setup().has(name) or not access.may_use(caller.tier, name):
            raise ModelNotFound(
                f"The model '{name}' does not exist or your key may not use it. GET /v1/models lists yours.",
                param=param,
            )

    def facts(self, name: str) -> ModelFacts:
        """Raises ModelNotFound."""
        setup = self._setup()
        router = setup.routers.get(name)
        names = (name,) if router is None else router.members
        served = [setup.models[each] for each in names if each in setup.models]
        if not served:
            raise ModelNotFound(f"The model '{name}' does not exist any more.", param="model")
        deployments = [one.spec for model in served for one in model.deployments]
        contexts = [one.capabilities.context_tokens for one in deployments]
        return ModelFacts(
            context_tokens=min((each for each in contexts if each is not None), default=UNKNOWN_CONTEXT_TOKENS),
            prices=tuple(price for model in served for price in model.prices),
        )


def at_least(value: int, least: int, param: str) -> None:
    """Raises InvalidRequest if a number is too small."""
    if value < least:
        raise InvalidRequest(f"'{param}' must be at least {least}.", param=param)
