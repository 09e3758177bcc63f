"""From the configuration to callers: a tenant's own limits stand in place of its tier's."""

from __future__ import annotations

import asyncio

from headgate.assembly import parts
from headgate.assembly.parts import Assembly
from headgate.clock import SystemClock
from headgate.config.load import parse
from headgate.config.schema import Config
from headgate.gateway.accounts import Accounts
from headgate.gateway.fleet import Setup
from headgate.stores.memory import MemoryKeyStore
from headgate.types import PICO_PER_USD, Caller, Rule, Scope

MODELS = """
providers: {sim: {kind: sim}}
models:
  small: {price: {input: 1, output: 2}, deployments: [{provider: sim, model: sim-small}]}
  large: {price: {input: 9, output: 9}, deployments: [{provider: sim, model: sim-large}]}
"""
PROTECTED = f"""{MODELS}
on_store_failure: allow
limits: {{requests_per_minute: 900}}
tiers:
  pro: {{models: ["*"], requests_per_minute: 60, budgets: {{user_day: 5}}, on_exceed: {{degrade: small}}}}
  free: {{models: [small], requests_per_minute: 6}}
tenants:
  acme: {{tier: pro, timezone: Europe/Berlin, limits: {{requests_per_minute: 600}}, budgets: {{tenant_month: 100}},
    keys: [{{key: hg-acme-alice-0001, user: alice}}, {{key: hg-acme-bob-000002, tier: free}}]}}
  hobby: {{tier: pro, keys: [{{key: hg-hobby-carol-0003}}]}}
"""


def config_of(text: str) -> Config:
    return parse(text.encode(), "headgate.yaml", {}).config


def caller_of(text: str, secret: bytes) -> Caller:
    accounts, config = Accounts(MemoryKeyStore(), SystemClock()), config_of(text)
    parts.configure(accounts, config)
    return accounts.authenticate(secret)


def setup_of(text: str) -> Setup:
    async def assembled() -> Setup:
        return Assembly(SystemClock(), {}).setup(config_of(text), "hash", None)

    return asyncio.run(assembled())


def limits(rules: tuple[Rule, ...]) -> dict[str, int]:
    return {rule.name: rule.limit for rule in rules}


def test_a_caller_has_the_rules_of_its_tier() -> None:
    carol = caller_of(PROTECTED, b"hg-hobby-carol-0003")
    assert limits(carol.tier.rules) == {"requests_per_minute": 60, "budgets.user_day": 5 * PICO_PER_USD}
    assert (carol.timezone, carol.tier.degrade_to) == ("UTC", "small")


def test_what_a_tenant_has_of_its_own_stands_in_place() -> None:
    alice = caller_of(PROTECTED, b"hg-acme-alice-0001")
    assert limits(alice.tier.rules) == {
        "requests_per_minute": 600,
        "budgets.user_day": 5 * PICO_PER_USD,
        "budgets.tenant_month": 100 * PICO_PER_USD,
    }
    assert alice.timezone == "Europe/Berlin"


def test_it_holds_in_whichever_tier_the_tenants_key_is() -> None:
    bob = caller_of(PROTECTED, b"hg-acme-bob-000002")
    assert (bob.tier.name, bob.tier.degrade_to) == ("free", "")
    assert limits(bob.tier.rules) == {"requests_per_minute": 600, "budgets.tenant_month": 100 * PICO_PER_USD}


def test_a_setup_has_what_holds_for_everybody() -> None:
    setup = setup_of(PROTECTED)
    (everybody,) = setup.global_rules
    assert (everybody.limit, everybody.scope) == (900, Scope.GLOBAL)
    assert setup.on_store_failure == "allow" and setup.has_budgets


def test_budgets_are_found_wherever_they_are() -> None:
    tier = 'tiers: {pro: {models: ["*"], requests_per_minute: 5}}'
    assert not setup_of(f"{MODELS}\n{tier}").has_budgets
    assert setup_of(
        f"{MODELS}\n{tier}\ntenants: {{acme: {{tier: pro, budgets: {{more: [{{per: key, tokens: 5}}]}}}}}}"
    ).has_budgets
    assert not setup_of(f"{MODELS}\n{tier}\ntenants: {{acme: {{tier: pro}}}}").has_budgets
