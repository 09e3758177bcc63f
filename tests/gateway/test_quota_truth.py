"""Providers that enforce what they say, under an overload: nearly everything they allow is used, and nearly nothing is
refused by them, by one process and by several that share the quota."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from headgate.errors import ProviderQuota
from headgate.gateway.fleet import DeploymentPlan, DeploymentSpec
from headgate.policy.quota import QuotaLimits
from headgate.ports import UpstreamResponse
from headgate.types import Caller, Operation
from tests.gateway.corridor import EVERYTHING, PRICE, Corridor, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedResponse, answer

SECONDS = 240.0
PERIOD_SECONDS = 60.0


class Provider:
    """Implements `ports.Provider`. Allows `limit` requests a minute: refilled steadily, or all at each full minute."""

    name = "up"
    kind = "openai"

    def __init__(self, limit: int, *, steady: bool, tells: bool = True) -> None:
        self.limit = limit
        self.steady = steady
        self.tells = tells
        self.served = 0
        self.refused = 0
        self._level = float(limit)
        self._at = 0.0

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        now = asyncio.get_running_loop().time()
        if self.steady:
            self._level = min(self.limit, self._level + (now - self._at) * self.limit / PERIOD_SECONDS)
        elif now // PERIOD_SECONDS > self._at // PERIOD_SECONDS:
            self._level = float(self.limit)
        self._at = now
        taken = self._level >= 1 - 1e-6
        self._level -= taken
        told = self._headers(now, taken)
        await asyncio.sleep(0.3)
        self.served += taken
        self.refused += not taken
        if taken:
            return ScriptedResponse(Reply(answer().steps, headers={**JSON, **told}))
        refusal = json.dumps({"error": {"message": "too many"}}).encode()
        return ScriptedResponse(Reply([refusal], status=429, headers={**JSON, **told}))

    async def aclose(self) -> None:
        return

    def _headers(self, now: float, taken: bool) -> dict[str, str]:
        per_second = self.limit / PERIOD_SECONDS
        full = (self.limit - self._level) / per_second if self.steady else PERIOD_SECONDS - now % PERIOD_SECONDS
        wait = (1 - self._level) / per_second if self.steady else full
        said = {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(int(self._level)),
            "x-ratelimit-reset-requests": f"{full * 1000:.0f}ms",
        }
        return (said if self.tells else {}) | ({} if taken else {"retry-after-ms": f"{wait * 1000:.0f}"})


def plan(provider: Provider, limits: QuotaLimits) -> DeploymentPlan:
    spec = DeploymentSpec(
        name="up/model",
        provider="up",
        kind="openai",
        upstream_model="their-model",
        endpoints=("http://one",),
        price=PRICE,
    )
    return DeploymentPlan(spec, lambda: provider, ("key-1",), limits)


async def overload(gateways: Sequence[Corridor], requests_per_second: float) -> tuple[int, int]:
    """For so long; clients do not come back. How many were answered, and how many refused by headgate itself."""
    visits, tenants = [], [Caller(f"key_{name}", name, None, EVERYTHING) for name in ("acme", "hobby", "third")]
    for number in range(int(SECONDS * requests_per_second)):
        gateway = gateways[number % len(gateways)]
        visit = gateway.visit(gateway.call(stream=False), caller=tenants[number % 3])
        visits.append(asyncio.create_task(visit))
        await asyncio.sleep(1 / requests_per_second)
    errors = [visit.error for visit in await asyncio.gather(*visits)]
    return sum(error is None for error in errors), sum(isinstance(error, ProviderQuota) for error in errors)


@pytest.mark.parametrize("steady", [True, False], ids=["steady", "window"])
@pytest.mark.parametrize("processes", [1, 3])
def test_all_that_a_provider_allows_is_used_and_hardly_more_is_asked(steady: bool, processes: int) -> None:
    async def scenario() -> None:
        provider = Provider(120, steady=steady)
        gateways = [Corridor(model(plan(provider, QuotaLimits()), retries=0)) for _ in range(processes)]
        answered, refused = await overload(gateways, 6.0)
        allowed = 120 * SECONDS / PERIOD_SECONDS + (120 if steady else 0)  # a full bucket at the start
        assert answered == provider.served >= 0.97 * allowed
        assert provider.refused <= (0.02 if processes == 1 else 0.10) * provider.served
        assert answered + refused + provider.refused == 6 * SECONDS, "everybody got one of the three"

    run(scenario)


def test_a_configured_limit_is_used_and_never_passed() -> None:
    async def scenario() -> None:
        provider = Provider(120, steady=False, tells=False)
        gateway = Corridor(model(plan(provider, QuotaLimits(requests_per_minute=120)), retries=0))
        answered, _ = await overload([gateway], 6.0)
        assert provider.refused == 0
        assert answered == provider.served >= 0.97 * 120 * SECONDS / PERIOD_SECONDS

    run(scenario)


def test_a_provider_that_only_says_429_is_left_alone_until_it_says() -> None:
    async def scenario() -> None:
        provider = Provider(120, steady=False, tells=False)
        gateway = Corridor(model(plan(provider, QuotaLimits()), retries=0))
        answered, _ = await overload([gateway], 6.0)
        assert answered == provider.served >= 0.97 * 120 * SECONDS / PERIOD_SECONDS
        assert provider.refused <= 0.05 * provider.served

    run(scenario)
