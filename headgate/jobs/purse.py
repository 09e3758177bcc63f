"""What a job may cost: each of its requests first takes the most that it can come to, and gives back what it did not.

A job whose limit is reached is paused with what is done; raising the limit lets it go on. It can cost more only by
what requests under way cost beyond what they held: nothing, unless a provider counts the tokens of a prompt `MARGIN`
above our estimate or sends more output than was asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from headgate.errors import HeadgateError
from headgate.gateway import asking
from headgate.gateway.fleet import ServedModel
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.preflight import estimate_prompt
from headgate.job_ports import Jobs, Purses
from headgate.job_types import Command, Hold
from headgate.limit_errors import JobBudgetHeld, JobBudgetSpent
from headgate.policy.preflight import MARGIN
from headgate.types import Call, Route

AGAIN_SECONDS = 2.0
_REMEMBERED = 1000
_HELD = "What is left of max_cost_usd is held by requests under way."
_SPENT = "What is left of max_cost_usd is not enough for another request: the job is paused. Raise it to go on."

log = logging.getLogger(__name__)


class Bill:
    """What a request came to; nothing before anybody was asked."""

    def __init__(self) -> None:
        self.cost_picousd = 0


class Purse:
    """The purses of all jobs, as one worker sees them."""

    def __init__(self, purses: Purses, jobs: Jobs, pipeline: Pipeline) -> None:
        self._purses = purses
        self._jobs = jobs
        self._pipeline = pipeline
        self._has: OrderedDict[str, bool] = OrderedDict()
        self._short_until: dict[str, float] = {}  # jobs of which others hold what is left, in the event loop's time

    @asynccontextmanager
    async def paying(self, root_id: str, call: Call) -> AsyncIterator[Bill]:
        """Around a request of a job. Raises JobBudgetHeld if others of it may give back what is needed, and
        JobBudgetSpent, which pauses the job."""
        bill = Bill()
        if not await self._limits(root_id):
            yield bill
            return
        await self._hold(root_id, call)
        try:
            yield bill
        finally:
            self._short_until.pop(root_id, None)
            await asyncio.shield(self._settle(call.id, bill.cost_picousd))

    async def _hold(self, root_id: str, call: Call) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._short_until.get(root_id, now):  # another of its many items has just asked
            raise JobBudgetHeld(_HELD, retry_after_seconds=AGAIN_SECONDS)
        match await self._purses.hold(root_id, call.id, self._most_picousd(call)):
            case Hold.HELD:
                if len(self._short_until) >= _REMEMBERED:
                    self._short_until.clear()
                self._short_until[root_id] = now + AGAIN_SECONDS
                raise JobBudgetHeld(_HELD, retry_after_seconds=AGAIN_SECONDS)
            case Hold.SPENT:
                await self._pause(root_id)

    async def _limits(self, root_id: str) -> bool:
        if root_id not in self._has:
            self._has[root_id] = await self._purses.has(root_id)
            while len(self._has) > _REMEMBERED:
                self._has.popitem(last=False)
        return self._has[root_id]

    async def _settle(self, request_id: str, cost_picousd: int) -> None:
        """The answer is there and was paid for: it is not lost because the purse takes nothing right now."""
        try:
            await self._purses.settle(request_id, cost_picousd)
        except HeadgateError as error:
            log.warning("what %s holds of its job's money is put back when it is needed: %s", request_id, error.message)

    async def _pause(self, root_id: str) -> None:
        with suppress(HeadgateError):  # it is over, or the database is away: then the next item says so
            await self._jobs.command(root_id, Command.PAUSE)
        raise JobBudgetSpent(_SPENT, retry_after_seconds=AGAIN_SECONDS)

    def _most_picousd(self, call: Call) -> int:
        """The most that a request can cost, whichever model answers. A router may have several answer it, one after the
        other; of a model's fallbacks only one does."""
        setup = self._pipeline.setup
        router = setup.routers.get(call.model)
        names = (call.model,) if router is None else router.members
        return sum(self._most_of(call, setup.models[name]) for name in names if name in setup.models)

    def _most_of(self, call: Call, model: ServedModel) -> int:
        models = self._pipeline.setup.models
        fallbacks = [models[name] for name in model.spec.fallback if name in models]
        return max(_most(call, one) for one in (model, *fallbacks))


def _most(call: Call, model: ServedModel) -> int:
    tokens = int(estimate_prompt(call, model.prompt_rules).tokens * (1 + MARGIN))
    ceiling = model.output_ceiling[0]
    output = 0 if call.route is Route.EMBEDDINGS else min(call.max_output_tokens or ceiling, ceiling) * call.choices
    most = asking.ask(call, model, input_tokens=tokens, output_tokens=output)
    return most.input_picousd + output * most.output_price
