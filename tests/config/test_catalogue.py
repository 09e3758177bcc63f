"""The packaged price list, and exact prices."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.config import catalogue as catalogue_module
from headgate.config.catalogue import Catalogue, PriceList, to_price
from headgate.config.schema import (
    CapabilitiesConfig,
    DeploymentConfig,
    LongContextConfig,
    ModelConfig,
    PriceConfig,
    ProviderConfig,
)
from headgate.types import PICO_PER_USD, Capabilities, LongContext, Price

CATALOGUE = Catalogue.packaged()
VERSION = "2026-08-01"
GROQ = "https://api.groq.com/openai/v1"


def test_prices_are_pico_dollars_per_token() -> None:
    # 0.15 USD per million tokens = 0.15e12 / 1e6 pico-dollars a token
    assert CATALOGUE.price("gpt-4o-mini") == Price(
        input=150_000,
        output=600_000,
        cached_input=75_000,
        batch=Price(input=75_000, output=300_000, version=VERSION),
        version=VERSION,
    )


def test_every_class_of_a_price_is_there() -> None:
    """Anthropic's table: writes cost 1.25 and 2 times the input, reads a tenth; twice as much above 200,000 tokens."""
    above = Price(6_000_000, 22_500_000, 600_000, None, 7_500_000, VERSION, 12_000_000)
    assert CATALOGUE.price("claude-sonnet-4-5") == Price(
        3_000_000, 15_000_000, 300_000, None, 3_750_000, VERSION, 6_000_000, LongContext(200_000, above)
    )
    haiku, gemini = CATALOGUE.price("claude-3-haiku-20240307"), CATALOGUE.price("gemini-2.5-pro")
    assert haiku is not None and (haiku.cached_input, haiku.cache_write, haiku.cache_write_1h) == (
        30_000,
        300_000,
        500_000,
    )
    assert gemini is not None and gemini.long_context is not None
    assert (gemini.long_context.above_tokens, gemini.long_context.price.output) == (200_000, 15_000_000)


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
    ],
)
def test_a_dated_name_costs_what_the_undated_one_costs(name: str, same_as: str) -> None:
    assert CATALOGUE.price(name) == CATALOGUE.price(same_as) is not None


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),  # Anthropic's own alias
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514"),  # Vertex
        ("claude-sonnet-5@default", "claude-sonnet-5"),
        ("publishers/anthropic/models/claude-opus-4-1@20250805", "claude-opus-4-1"),
        ("projects/p/locations/global/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),  # Gemini
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("models/gemini-embedding-001", "gemini-embedding-001"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),  # Bedrock
        ("anthropic.claude-3-haiku-20240307-v1:0:48k", "claude-3-haiku-20240307"),
        ("us.anthropic.claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("arn:aws:bedrock:eu-west-1:012345678901:inference-profile/eu.anthropic.claude-sonnet-5", "claude-sonnet-5"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),  # Azure
    ],
)
def test_a_model_is_found_under_the_names_of_its_apis(name: str, listed: str) -> None:
    found = CATALOGUE.find(name)
    assert found is not None and found.name == listed


@pytest.mark.parametrize(
    "name",
    [
        "us.amazon.nova-lite-v1:0",
        "mistral.mistral-large-2512",
        "models/",
        "arn:aws:bedrock:x/y",
        "anthropic.",
        "us.gpt-4o",
    ],
)
def test_what_another_cloud_sells_under_a_name_of_its_own_is_not_taken_for_ours(name: str) -> None:
    assert CATALOGUE.find(name) is None and CATALOGUE.capabilities(name) == Capabilities()


@pytest.mark.parametrize(
    ("name", "url", "input_picousd"),
    [
        ("claude-sonnet-4-5", "https://api.anthropic.com", 3_000_000),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "", 3_000_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "", 3_300_000),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "", 3_300_000),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "", 3_000_000),  # older ones cost the same everywhere
        ("claude-sonnet-4-5@20250929", "https://aiplatform.googleapis.com", 3_000_000),
        ("claude-sonnet-4-5@20250929", "https://europe-west1-aiplatform.googleapis.com/v1", 3_300_000),
        ("gemini-2.5-pro", "https://europe-west1-aiplatform.googleapis.com/v1", 1_250_000),
    ],
)
def test_claude_kept_in_a_region_costs_a_tenth_more(name: str, url: str, input_picousd: int) -> None:
    price = CATALOGUE.price(name, url)
    assert price is not None and price.input == input_picousd
    if price.cache_write is not None:
        assert price.cache_write * 4 == input_picousd * 5


@pytest.mark.parametrize("name", ["", "gpt", "gpt-4o-mini-fast", "gpt-4-32k", "2024-07-18", "-2024-07-18", "my/gpt-4o"])
def test_an_unknown_name_has_no_price(name: str) -> None:
    assert CATALOGUE.price(name) is None


def test_a_dated_name_of_its_own_wins() -> None:
    old, new = CATALOGUE.price("gpt-4o-2024-05-13"), CATALOGUE.price("gpt-4o")
    assert old is not None and new is not None and old.input == 2 * new.input


def test_an_open_model_has_the_price_of_its_host_only_there() -> None:
    assert CATALOGUE.price("llama-3.1-8b-instant") is None
    assert CATALOGUE.price("llama-3.1-8b-instant", "http://[broken") is None
    assert CATALOGUE.price("llama-3.1-8b-instant", GROQ) == Price(input=50_000, output=80_000, version=VERSION)


def test_where_lists_differ_the_price_on_which_two_agree_was_taken() -> None:
    sonnet, o3 = CATALOGUE.price("claude-sonnet-5"), CATALOGUE.price("o3")
    assert sonnet is not None and (sonnet.input, sonnet.output) == (3_000_000, 15_000_000)
    assert o3 is not None and (o3.input, o3.output) == (2_000_000, 8_000_000)
    assert {"claude-sonnet-5", "o3"} <= {model.name for model in CATALOGUE.with_agreement("majority")}
    assert "deepseek-chat" in {model.name for model in CATALOGUE.with_agreement("disputed")}


def test_the_list_is_in_order() -> None:
    content = Path(catalogue_module.__file__).with_name("prices.json").read_bytes()
    models = msgspec.json.decode(content, type=PriceList).models
    assert content.count(b"\n") == len(models) + 2  # one line a model
    assert len({model.name for model in models}) == len(models) > 100
    for model in models:
        listed, price = model.price, to_price(model.price)
        for usd, picousd in ((listed.input, price.input), (listed.output, price.output)):
            assert picousd * 10**6 == usd * PICO_PER_USD, model.name
        assert price.input > 0 and (price.output > 0) is (model.kind != "embedding"), model.name
        tier = price.long_context.price if price.long_context else price
        for one in (price, tier):
            dearest = one.cache_write_1h or one.cache_write or one.input
            assert (one.cached_input or 0) <= one.input <= (one.cache_write or one.input) <= dearest, model.name
        assert tier.input >= price.input and tier.output >= price.output, model.name
        assert not price.batch or price.batch.input * 2 == price.input, model.name
        assert model.kind == "embedding" or model.capabilities.tools is not None or model.provider == "mistral"


def test_the_location_of_vertex_decides_what_claude_costs() -> None:
    claude, model = DeploymentConfig(provider="p", model="claude-opus-4-6@default"), ModelConfig(deployments=[])
    for location, input_picousd in (("global", 5_000_000), ("europe-west1", 5_500_000), ("eu", 5_500_000)):
        price = CATALOGUE.price_of(claude, model, ProviderConfig(kind="vertex", location=location))
        assert price is not None and price.input == input_picousd


def test_capabilities_are_those_of_the_list() -> None:
    claude = Capabilities(True, True, True, True, context_tokens=200_000, max_output_tokens=64_000)
    assert CATALOGUE.capabilities("us.anthropic.claude-haiku-4-5-20251001-v1:0") == claude
    assert CATALOGUE.capabilities("gpt-3.5-turbo") == Capabilities(True, False, False, False, 16_385, 4_096)
    assert CATALOGUE.capabilities("codestral-latest").tools is None, "not known"
    assert CATALOGUE.capabilities("mine") == Capabilities()


def test_the_nearest_capability_counts() -> None:
    openai = ProviderConfig(kind="openai")
    nowhere_else = CapabilitiesConfig(images=True, tools=False)
    model = ModelConfig(deployments=[], capabilities=nowhere_else, context_tokens=8_000)
    plain = DeploymentConfig(provider="p", model="gpt-3.5-turbo")
    own = DeploymentConfig(provider="p", model="mine", capabilities=CapabilitiesConfig(tools=True))
    assert CATALOGUE.capabilities_of(plain, model, openai) == Capabilities(False, True, False, False, 8_000, 4_096)
    assert CATALOGUE.capabilities_of(own, model, openai) == Capabilities(True, True, context_tokens=8_000)


def test_the_models_of_today() -> None:
    names = [model.name for model in CATALOGUE.models("openai")]
    assert {"gpt-4o-mini", "gpt-5", "text-embedding-3-small"} <= set(names)
    assert not {"gpt-4o-2024-08-06", "gpt-3.5-turbo-0125", "gpt-5-pro"} & set(names)
    assert "claude-3-opus-20240229" not in [model.name for model in CATALOGUE.models("anthropic")]


def test_the_nearest_price_counts() -> None:
    openai, sim = ProviderConfig(kind="openai"), ProviderConfig(kind="sim")
    plain = DeploymentConfig(provider="p", model="gpt-4o")
    own = DeploymentConfig(provider="p", model="gpt-4o", price=PriceConfig(input=Decimal(1)))
    listed, priced = ModelConfig(deployments=[]), ModelConfig(deployments=[], price="free")
    assert CATALOGUE.price_of(own, priced, openai) == Price(input=10**6, version="config")
    assert CATALOGUE.price_of(plain, priced, openai) == Price(input=0, version="config")
    assert CATALOGUE.price_of(plain, listed, openai) == CATALOGUE.price("gpt-4o")
    assert CATALOGUE.price_of(plain, listed, sim) == Price(input=0, version="config")
    assert CATALOGUE.price_of(DeploymentConfig(provider="p", model="mine"), listed, openai) is None


def test_what_a_long_prompt_costs_differs_only_where_it_is_said() -> None:
    price = PriceConfig(
        input=Decimal(1),
        output=Decimal(5),
        cache_write=Decimal("1.25"),
        long_context=LongContextConfig(above_tokens=1000, input=Decimal(2), cached_input=Decimal("0.2")),
    )
    tier = Price(2_000_000, 5_000_000, 200_000, cache_write=1_250_000)
    assert to_price(price).long_context == LongContext(1000, tier)


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_every_price_with_six_decimals_is_exact(usd_per_million: Decimal) -> None:
    price = to_price(PriceConfig(input=usd_per_million, cached_input=usd_per_million))
    assert Decimal(price.input) / PICO_PER_USD * 10**6 == usd_per_million
    assert (price.cached_input, price.output, price.reasoning) == (price.input, 0, None)
