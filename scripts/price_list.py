"""The packaged price list, from a public one that was compared with two others.

    python -m scripts.price_list model_prices.json > headgate/config/prices.json

Takes facts only: names, prices, sizes, what a model can. The source is the list of BerriAI/litellm, with what two
others say beside each model as `cross_check`. Every choice that is not the source's own stands in a table here, with
its reason. Left out: priority and flex tiers, sound.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

Line = dict[str, Any]
Amounts = dict[str, Decimal]  # USD per million tokens by class

SOURCES = (
    "BerriAI/litellm, model_prices_and_context_window.json (MIT), 2026-08-01",
    "compared with pydantic/genai-prices (MIT), 2026-08-21",
    "compared with simonw/llm-prices, 2026-08-05",
)

PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "reasoning",
}
CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "images",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
}
TIER = re.compile(r"(.+)_above_(\d+)k_tokens")
PROVIDERS = {"cohere_chat": "cohere"}
HOSTS = {"groq": "api.groq.com", "together_ai": "api.together.xyz"}  # open models cost this only there

# Models of these were looked at one by one: what the source does not say that they can, they cannot.
COMPLETE = ("openai", "anthropic", "gemini")

# Anthropic, "Prompt caching": what is written for an hour costs twice the input. The source has 6 USD for all Claude 3.
HOUR_FACTOR = 2

# Anthropic, "Pricing": from Sonnet 4.5 on, regional endpoints of Amazon and Google cost 10 % more than global ones.
REGIONAL = re.compile(r"claude-(haiku-4-5|opus-4-[5-8]|opus-5|sonnet-4-[56]|sonnet-5)")

ALIASES = {
    "claude-3-7-sonnet-20250219": ("claude-3-7-sonnet-latest",),
    "claude-3-opus-20240229": ("claude-3-opus-latest",),
    "claude-sonnet-4-20250514": ("claude-sonnet-4-0",),
    "gpt-3.5-turbo": ("gpt-35-turbo",),  # Azure's
    "gpt-5.6": ("gpt-5.6-sol",),
    "grok-4": ("grok-4-0709",),
}
CANNOT = {
    # Anthropic, "Structured outputs": from Opus 4.1 and Sonnet 4.5 on.
    "claude-3-haiku-20240307": ("json_schema",),
    "claude-3-opus-20240229": ("json_schema",),
    "claude-3-7-sonnet-20250219": ("json_schema",),
    "claude-sonnet-4-20250514": ("json_schema",),
    # DeepSeek, "JSON Output": objects of no given schema.
    "deepseek-chat": ("json_schema",),
    "deepseek-reasoner": ("json_schema",),
    "deepseek-v4-flash": ("json_schema",),
    "deepseek-v4-pro": ("json_schema",),
}
# Where two other lists agree against the source, they are followed, but not here.
KEPT = {"mistral-large-latest": "stands for mistral-large-2512; the other lists have the one before it"}
NOTES = {**KEPT, "claude-sonnet-5": "the source has the introductory 2 and 10 USD"}
ADDITIONS: Sequence[Line] = (
    {
        "name": "gpt-4o-2024-05-13",
        "provider": "openai",
        "kind": "chat",
        "price": {"input": "5", "output": "15"},
        "capabilities": {"tools": True, "images": True, "json_schema": False, "reasoning": False},
        "context_tokens": 128000,
        "max_output_tokens": 4096,
        "agreement": "single",
        "note": "from OpenAI's own page",
    },
)


def usd_per_million(per_token: float) -> Decimal:
    """Exact: the source's numbers are decimal fractions that were written as floats."""
    amount = Decimal(repr(per_token)) * 10**6
    if amount != round(amount, 6):
        raise ValueError(f"{per_token} USD a token has more than 6 decimals per million")
    return amount


def written(price: Mapping[str, Any]) -> Line:
    """Prices as texts, so that nobody reads them as floats; what is empty is left out."""
    found: Line = {}
    for kind, amount in price.items():
        if isinstance(amount, Mapping):
            if amount:
                found[kind] = written(amount)
        else:
            found[kind] = int(amount) if kind == "above_tokens" else f"{amount.normalize():f}"
    return found


def line(key: str, model: Mapping[str, Any]) -> Line:
    """One model as the packaged list has it."""
    provider = PROVIDERS.get(model["litellm_provider"], model["litellm_provider"])
    name = key.removeprefix(f"{provider}/")
    agreement, price = agreed(prices(model), model["cross_check"], keep=name in KEPT)
    tier = long_context(model)
    if provider == "anthropic":
        for some in (price, tier):
            if some:
                some["cache_write_1h"] = some["input"] * HOUR_FACTOR
    found = {
        "name": name,
        "aliases": ALIASES.get(name),
        "provider": provider,
        "host": HOSTS.get(provider),
        "kind": model["mode"],
        "price": written({**price, "long_context": tier, "batch": batch(model)}),
        "regional_percent": 110 if REGIONAL.fullmatch(name) else None,
        "capabilities": capabilities(name, provider, model),
        "context_tokens": context_tokens(model),
        "max_output_tokens": int(model.get("max_output_tokens") or 0),
        "retired": model.get("deprecation_date"),
        "agreement": agreement if agreement != "all" else None,
        "note": NOTES.get(name),
    }
    return {member: value for member, value in found.items() if value}


def prices(model: Mapping[str, Any]) -> Amounts:
    """What the source says. A class that costs what it would without a price of its own is left out."""
    found = {kind: usd_per_million(model[member]) for member, kind in PRICES.items() if model.get(member)}
    if found.get("reasoning") == found.get("output"):
        found.pop("reasoning", None)
    return found


def long_context(model: Mapping[str, Any]) -> Amounts:
    tier: Amounts = {}
    for member, per_token in model.items():
        above = TIER.fullmatch(member)
        if above and above[1] in PRICES:
            tier["above_tokens"] = Decimal(above[2]) * 1000
            tier[PRICES[above[1]]] = usd_per_million(per_token)
    return tier


def batch(model: Mapping[str, Any]) -> Amounts:
    found = {kind: model.get(f"{member}_batches") for member, kind in PRICES.items()}
    return {kind: usd_per_million(per_token) for kind, per_token in found.items() if per_token}


def agreed(source: Amounts, check: Mapping[str, Any], *, keep: bool) -> tuple[str, Amounts]:
    """How many lists agree, and the price that most of them have; classes they do not name keep their proportion."""
    others = [other for name, other in check.items() if name != "status"]
    if check["status"] == "unchecked":
        return "single", source
    if check["status"] == "agree" or "output" not in source:  # the price of an embedding's output means nothing
        return "all", source
    first, *rest = [(Decimal(str(other["input_mtok"])), Decimal(str(other["output_mtok"]))) for other in others]
    if (source["input"], source["output"]) in (first, *rest):
        return "majority", source
    if keep or first not in rest:
        return "disputed", source
    factor = first[0] / source["input"]
    chosen = {kind: amount * factor for kind, amount in source.items()}
    chosen |= {"input": first[0], "output": first[1]}
    if others[0]["cache_read_mtok"]:
        chosen["cached_input"] = Decimal(str(others[0]["cache_read_mtok"]))
    return "majority", chosen


def capabilities(name: str, provider: str, model: Mapping[str, Any]) -> dict[str, bool]:
    """What is known; nothing for embeddings."""
    if model["mode"] == "embedding":
        return {}
    silence = False if provider in COMPLETE else None
    found = {kind: model.get(member, silence) for member, kind in CAPABILITIES.items()}
    found |= dict.fromkeys(CANNOT.get(name, ()), False)
    return {kind: can for kind, can in found.items() if can is not None}


def context_tokens(model: Mapping[str, Any]) -> int:
    """Prompt and answer together: the source has the prompt alone for some, which the other list's window shows."""
    prompt, answer = int(model.get("max_input_tokens") or 0), int(model.get("max_output_tokens") or 0)
    window = model["cross_check"].get("genai_prices_2026-08-21", {}).get("context_window")
    return prompt + answer if window == prompt + answer else prompt


def price_list(source: Mapping[str, Any]) -> str:
    """The file: one line a model, so that differences can be read."""
    models = [line(key, model) for key, model in source["models"].items() if model.get("input_cost_per_token")]
    names = [model["name"] for model in models]
    for addition in ADDITIONS:
        models.insert(names.index("gpt-4o") + 1, addition)
    head = {"version": source["snapshot"].split(" ")[0], "sources": SOURCES}
    lines = ",\n".join(f"  {json.dumps(model)}" for model in models)
    return f'{json.dumps(head)[:-1]}, "models": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(price_list(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
