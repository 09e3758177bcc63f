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
from headgate.config.schema import DeploymentConfig, ModelConfig, PriceConfig, ProviderConfig
from headgate.types import PICO_PER_USD, Price

CATALOGUE = Catalogue.packaged()
GROQ = "https://api.groq.com/openai/v1"


def test_prices_are_pico_dollars_per_token() -> None:
    # 0.15 USD per million tokens = 0.15e12 / 1e6 pico-dollars a token
    assert CATALOGUE.price("gpt-4o-mini") == Price(
        input=150_000, output=600_000, cached_input=75_000, version="2026-08-01"
    )
    claude = CATALOGUE.price("claude-sonnet-4-5")
    assert claude is not None and claude.cache_write == 3_750_000


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


@pytest.mark.parametrize("name", ["", "gpt", "gpt-4o-mini-fast", "gpt-4-32k", "2024-07-18", "-2024-07-18", "my/gpt-4o"])
def test_an_unknown_name_has_no_price(name: str) -> None:
    assert CATALOGUE.price(name) is None


def test_a_dated_name_of_its_own_wins() -> None:
    old, new = CATALOGUE.price("gpt-4o-2024-05-13"), CATALOGUE.price("gpt-4o")
    assert old is not None and new is not None and old.input == 2 * new.input


def test_an_open_model_has_the_price_of_its_host_only_there() -> None:
    assert CATALOGUE.price("llama-3.1-8b-instant") is None
    assert CATALOGUE.price("llama-3.1-8b-instant", "http://[broken") is None
    assert CATALOGUE.price("llama-3.1-8b-instant", GROQ) == Price(input=50_000, output=80_000, version="2026-08-01")


def test_where_lists_differ_the_price_on_which_two_agree_was_taken() -> None:
    sonnet, o3 = CATALOGUE.price("claude-sonnet-5"), CATALOGUE.price("o3")
    assert sonnet is not None and (sonnet.input, sonnet.output) == (3_000_000, 15_000_000)
    assert o3 is not None and (o3.input, o3.output) == (2_000_000, 8_000_000)


def test_the_list_is_in_order() -> None:
    content = Path(catalogue_module.__file__).with_name("prices.json").read_bytes()
    models = msgspec.json.decode(content, type=PriceList).models
    assert content.count(b"\n") == len(models) + 2  # one line a model
    assert len({model.name for model in models}) == len(models) > 100
    for model in models:
        price = to_price(model.price_config())
        for usd, picousd in ((model.input, price.input), (model.output, price.output)):
            assert picousd * 10**6 == usd * PICO_PER_USD, model.name
        assert model.input > 0 and (model.output > 0) is (model.kind != "embedding"), model.name
        assert (model.cached_input or 0) <= model.input <= (model.cache_write or 10**9), model.name


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


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_every_price_with_six_decimals_is_exact(usd_per_million: Decimal) -> None:
    price = to_price(PriceConfig(input=usd_per_million, cached_input=usd_per_million))
    assert Decimal(price.input) / PICO_PER_USD * 10**6 == usd_per_million
    assert (price.cached_input, price.output, price.reasoning) == (price.input, 0, None)
