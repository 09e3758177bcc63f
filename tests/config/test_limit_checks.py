"""What `headgate check` says about limits and budgets."""

from __future__ import annotations

import pytest

from headgate.config.load import parse
from headgate.config.problems import line_of
from headgate.errors import ConfigInvalid
from tests.config.reading import marked

MODELS = """\
providers: {sim: {kind: sim}}
models:
  small: {price: {input: 0.15, output: 0.60}, deployments: [{provider: sim, model: a}]}
  large: {price: {input: 3, output: 15}, deployments: [{provider: sim, model: b}]}
  gift: {price: free, deployments: [{provider: sim, model: c}]}
"""


def said(text: str, workers: int = 1) -> list[str]:
    """Errors, warnings and notes."""
    try:
        return [line_of(one) for one in parse(text.encode(), "f.yaml", {}, workers).notes]
    except ConfigInvalid as invalid:
        return [line_of(one) for one in invalid.problems]


@pytest.mark.parametrize(
    "lines, words",
    [
        (
            "tiers: {»pro: {models: [small], budgets: {user_day: 9, more: "
            "[{per: user, window: day, usd: 5, enforce: false}]}}}",
            "budgets.more[0] is only tried, and has no effect beside one",
        ),
        ("tiers: {pro: {models: [small], budgets: {user_day: »9_000_001}}}", "more than 9,000,000 USD cannot be"),
        ("tiers: {pro: {models: [small], velocity: {usd_per_5_minutes: »1_000_000_000}}}", "more than 9,000,000 USD"),
        ("tiers: {pro: {models: [small], budgets: {more: [»{per: key}]}}}", "without an amount; add usd: .. or tokens"),
        ("tiers: {pro: {models: [small], budgets: {more: [{per: key, usd: 1, window: »rolling}]}}}", "add seconds: .."),
        (
            "tiers: {pro: {models: [small], budgets: {more: [{per: key, usd: 1, window: day, seconds: »5}]}}}",
            "warning: tiers.pro.budgets.more[0].seconds: has no effect without window: rolling",
        ),
        (
            "tiers: {pro: {models: [small], budgets: {more: [{per: request, usd: 1, window: »day}]}}}",
            "warning: tiers.pro.budgets.more[0].window: has no effect",
        ),
        (
            "tiers: {pro: {models: [small], budgets: {more: [{per: model, usd: 1, only: [»smal]}]}}}",
            'there is no model "smal"; did you mean "small"?',
        ),
        (
            "tiers: {pro: {models: [small], budgets: {more: [{per: user, usd: 1, only: »[small]}]}}}",
            "names models or tags, and this counts per user",
        ),
        (
            "tenants: {acme: {tier: pro, budgets: {more: [»{per: tag}]}}}\ntiers: {pro: {models: [small]}}",
            "without an amount",
        ),
        (
            "limits: {requests_per_minute: 5, burst_seconds: »61}",
            "warning: limits.burst_seconds: above 60 has",
        ),
        ("tiers: {pro: {models: [small], per_key: {burst_seconds: »90}}}", "warning: tiers.pro.per_key.burst_seconds"),
        (
            "tiers: {pro: {models: [small]}}\ntenants: {a: {tier: pro, limits: {burst_seconds: »90}}}",
            "warning: tenants.a.limits.burst_seconds",
        ),
        ("tiers: {pro: {models: [small], budgets: {user_day: »0}}}", "warning: tiers.pro.budgets.user_day: less than"),
        (
            "tiers: {pro: {models: [large], budgets: {more: [{per: key, usd: »0.000017}]}}}",
            "warning: tiers.pro.budgets.more[0].usd: less than a single token costs",
        ),
        (
            "tiers: {pro: {models: [small, large], on_exceed: {degrade: »large}}}",
            'warning: tiers.pro.on_exceed.degrade: "large" is no cheaper than any other model',
        ),
        (
            "tiers: {pro: {models: [small], velocity: {usd_per_5_minutes: 1, action: »degrade}}}",
            "warning: tiers.pro.velocity.action: there is no model to go on with",
        ),
    ],
)
def test_what_cannot_count_or_would_refuse_everything(lines: str, words: str) -> None:
    text, at = marked(MODELS + lines)
    (line,) = said(text)
    assert line.startswith(f"f.yaml:{at}: ") and words in line


@pytest.mark.parametrize(
    "lines",
    [
        "tiers: {pro: {models: [large], budgets: {more: [{per: key, usd: 0.000018}]}}}",
        "tiers: {pro: {models: [gift], budgets: {user_day: 0}}}",
        "tiers: {pro: {models: ['*'], on_exceed: {degrade: small}, velocity: {usd_per_5_minutes: 1, action: degrade}}}",
        "tiers: {pro: {models: [large], on_exceed: {degrade: small}}}",
        "tiers: {pro: {models: [small], budgets: {more: [{per: tag, tokens: 5, only: [anything]}]}}}",
        "tiers: {pro: {models: [small], burst_seconds: 60}}",
    ],
)
def test_what_is_well(lines: str) -> None:
    assert said(MODELS + lines, workers=1) == []


@pytest.mark.parametrize(
    "lines",
    [
        "limits: {requests_per_minute: 5}",
        "tiers: {pro: {models: [small], budgets: {user_day: 1}}}",
        "tiers: {pro: {models: [small], loop_guard: {same_request_in_a_row: 3}}}",
        "tiers: {pro: {models: [small]}}\ntenants: {acme: {tier: pro, limits: {concurrent_requests: 3}}}",
    ],
)
def test_several_workers_need_a_shared_store_as_soon_as_anything_is_limited(lines: str) -> None:
    text, at = marked(f"{MODELS}store: »memory\n{lines}")
    (line,) = said(text, workers=2)
    assert line.startswith(f"f.yaml:{at}: store: with several workers each would count by itself")
    assert said(text, workers=1) == []
    assert said(text.replace("store: memory", "store: redis://localhost:6379/0"), workers=2) == []
    assert said(f"{MODELS}tiers: {{pro: {{models: [small], max_output_tokens: 5}}}}", workers=2) == []
