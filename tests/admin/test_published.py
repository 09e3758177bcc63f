"""The page about limits that a team shows its customers."""

from __future__ import annotations

import json
import re

import pytest

from headgate.admin.published import page
from headgate.config.load import parse
from headgate.config.schema import Config
from headgate.errors import NotFound

CONFIG = """
providers: {sim: {kind: sim}}
models:
  small: {price: {input: 0.15, output: 0.6}, deployments: [{provider: sim, model: sim-small}]}
  large: {price: {input: 3, output: 15}, deployments: [{provider: sim, model: sim-large}]}
routers: {auto: {from: [small, large]}}
tiers:
  free:
    models: [small]
    features: {images: false}
    requests_per_minute: 30
    tokens_per_minute: 40_000
    burst_seconds: 10
    per_user: {requests_per_minute: 12}
    budgets: {user_day: 0.5, tenant_month: 50, more: [{per: key, window: week, usd: 3, enforce: false}]}
    max_output_tokens: 1000
    loop_guard: {requests_per_session: 200, same_request_in_a_row: 5}
  "p|ro":
    models: ["*"]
    requests_per_minute: 600
    concurrent_requests: 50
    budgets:
      request: 2
      tenant_month: 3000
      more: [{per: model, window: rolling, seconds: 86400, tokens: 5_000_000, only: [large]}]
    on_exceed: {degrade: small}
    velocity: {usd_per_5_minutes: 20.25, baseline_factor: 10}
  trial: {models: [small], requests_per_minute: 5, enforce: false}
tenants:
  acme: {tier: free, timezone: Europe/Berlin, limits: {requests_per_minute: 90}, budgets: {tenant_month: 75.5}}
"""


def config() -> Config:
    return parse(CONFIG.encode(), "headgate.yaml", {}).config


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_tiers_are_compared_and_described() -> None:
    text = page(config())
    assert "| requests in any minute | 30 | 600 | 5 |" in text
    assert "| spending a month | $50 | $3,000 | no limit |" in text
    assert "| images | no | yes | yes |" in text
    free = section(text, "free")
    assert "| requests in any minute | all your keys together | 30, no more than 5 of them at once |" in free
    assert "| requests in any minute | each user | 12, no more than 2 of them at once |" in free
    assert "| spending a day | each user | $0.50 |" in free
    assert "| spending a week | each key | $3 (being tried: nothing is refused yet) |" in free
    assert "| longest answer | 1,000 tokens |" in free and "| models | `small` |" in free
    assert "requests are refused until it resets" in free
    assert "ended after 200 requests, or the same request 5 times in a row" in free
    pro = section(text, "p|ro")
    assert "| tokens in any 24 hours | the model `large` | 5,000,000 tokens |" in pro
    assert "| spending | each request | $2 |" in pro and "`small` answers instead" in pro
    assert "more than $20.25 in five minutes or 10 times what is usual for it is refused requests" in pro
    assert "| models | `small`, `large`, `auto` |" in pro, "routers are models, too"
    assert "nothing is refused yet" in section(text, "trial") and "limits are being tried" not in free
    assert "|  | free | p\\|ro | trial |" in text, "a name cannot break the table"


def test_refusals_are_those_that_callers_get() -> None:
    bodies = [json.loads(block)["error"] for block in re.findall(r"```json\n(.*?)\n```", page(config()), re.DOTALL)]
    rate, budget = bodies
    assert (rate["code"], rate["limit"]["name"], rate["limit"]["limit"]) == (
        "rate_limit_exceeded", "requests_per_minute", 30,
    )  # fmt: skip
    assert (budget["code"], budget["limit"]["limit"], budget["limit"]["unit"]) == ("budget_exceeded", "0.5", "usd")
    assert budget["limit"]["resets_at"].endswith("T00:00:00Z")
    assert page(config()) == page(config()), "the same page, whenever it is written"


def test_the_page_of_one_tenant_has_its_own_limits() -> None:
    text = page(config(), "acme")
    free = section(text, "free")
    assert "| requests in any minute | all your keys together | 90, no more than 15 of them at once |" in free
    assert "| spending a month | all your keys together | $75.50 |" in free
    assert "the time zone Europe/Berlin" in text and "\n## trial\n" not in text
    with pytest.raises(NotFound, match="acme"):
        page(config(), "nobody")


def test_a_gateway_without_limits_says_so() -> None:
    plain = parse(CONFIG.split("tiers:")[0].encode() + b'tiers: {all: {models: ["*"]}}', "headgate.yaml", {}).config
    text = page(plain)
    assert "No limits." in section(text, "all") and "```json" not in text
