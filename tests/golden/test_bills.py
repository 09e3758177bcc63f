"""What providers billed, as they told it beside the usage of recorded answers, is what we make of the same usage."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from headgate.config.catalogue import Catalogue
from headgate.policy.pricing import cost_picousd, format_usd
from headgate.wire import openai_usage
from headgate.wire.responses.usage import read_usage as read_responses_usage

# Model, usage as reported, USD as billed: by OpenRouter, then by xAI (in ticks of 1e-10 USD).
CHAT = [
    (
        "claude-sonnet-4-6",
        """{"prompt_tokens": 2572, "prompt_tokens_details": {"cached_tokens": 2240, "cache_write_tokens": 329},
            "completion_tokens": 100, "total_tokens": 2672}""",
        "0.00341475",
    ),
    ("gemini-2.5-flash", '{"prompt_tokens": 17, "completion_tokens": 14, "total_tokens": 31}', "0.0000401"),
    (
        "gpt-5-mini",
        """{"prompt_tokens": 37, "completion_tokens": 92, "total_tokens": 129,
            "completion_tokens_details": {"reasoning_tokens": 64}}""",
        "0.00019325",
    ),
]
RESPONSES = [
    (
        "gpt-5.6-sol",
        """{"input_tokens": 4020, "input_tokens_details": {"cache_write_tokens": 4012, "cached_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 4025}""",
        "0.025265",
    ),
    (
        "grok-4.3",
        """{"input_tokens": 5689, "input_tokens_details": {"cached_tokens": 2048}, "output_tokens": 444,
            "output_tokens_details": {"reasoning_tokens": 245}, "total_tokens": 6133}""",
        "0.00607085",  # 160,708,500 ticks, of which two searches are 0.01 USD
    ),
]


@pytest.mark.parametrize(("model", "reported", "billed_usd"), CHAT)
def test_a_chat_costs_what_was_billed(model: str, reported: str, billed_usd: str) -> None:
    usage = openai_usage.read_usage(msgspec.Raw(reported.encode()))
    price = Catalogue.packaged().price(model)
    assert usage is not None and price is not None
    assert Decimal(format_usd(cost_picousd(usage, price))) == Decimal(billed_usd)


@pytest.mark.parametrize(("model", "reported", "billed_usd"), RESPONSES)
def test_a_response_costs_what_was_billed(model: str, reported: str, billed_usd: str) -> None:
    usage = read_responses_usage(msgspec.Raw(reported.encode()))
    price = Catalogue.packaged().price(model)
    assert usage is not None and price is not None
    assert Decimal(format_usd(cost_picousd(usage, price))) == Decimal(billed_usd)
