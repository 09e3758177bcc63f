"""Without a file."""

from __future__ import annotations

import pytest

from headgate.config.catalogue import Catalogue
from headgate.config.defaults import zero_config
from headgate.config.load import BUILT_IN, load
from headgate.config.schema import ProviderConfig
from headgate.errors import ConfigInvalid


def test_nothing_at_all_gives_the_simulated_model() -> None:
    loaded = load(None, {})
    assert (loaded.source, loaded.notes) == (BUILT_IN, ())
    assert list(loaded.config.models) == ["simulated"]
    assert loaded.config.models["simulated"].deployments[0].name == "sim/sim-small"
    assert loaded.config.tenants["default"].keys == []
    assert loaded.config.tiers[loaded.config.tenants["default"].tier].models == ["*"]
    assert loaded.config.server.authentication == "required"


def test_an_openai_key_adds_its_models_with_prices() -> None:
    loaded = load(None, {"OPENAI_API_KEY": " sk-x\n"})
    config = loaded.config
    assert config.providers["openai"].base_url == "https://api.openai.com/v1"
    assert config.providers["openai"].api_keys == ["sk-x"]
    assert {"simulated", "gpt-4o-mini", "text-embedding-3-small"} <= set(config.models)
    assert config.models["gpt-4o-mini"].max_output_tokens == 16_384
    catalogue = Catalogue.packaged()
    for name, model in config.models.items():
        assert model.fallback == [], "a fallback might serve simulated text"
        for deployment in model.deployments:
            price = catalogue.price_of(deployment, model, config.providers[deployment.provider])
            assert price is not None and (price.input > 0) is (name != "simulated")
    assert loaded.hash != load(None, {}).hash


def test_the_address_of_openai_may_be_another() -> None:
    environ = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    assert load(None, environ).config.providers["openai"].base_url == "http://127.0.0.1:9/v1"
    with pytest.raises(ConfigInvalid) as invalid:
        load(None, {**environ, "OPENAI_BASE_URL": "s3cret"})
    assert str(invalid.value) == "(no file): providers.openai.base_url: not an http or https URL"


@pytest.mark.parametrize(
    ("environ", "provider", "some"),
    [
        (
            {"ANTHROPIC_API_KEY": "k"},
            ProviderConfig(kind="anthropic", api_key="k"),
            {"claude-sonnet-5", "claude-opus-5"},
        ),
        ({"GEMINI_API_KEY": "k"}, ProviderConfig(kind="gemini", api_key="k"), {"gemini-2.5-pro", "gemini-3.6-flash"}),
        ({"GOOGLE_API_KEY": "k"}, ProviderConfig(kind="gemini", api_key="k"), {"gemini-embedding-001"}),
        (
            {"GOOGLE_API_KEY": "k", "GEMINI_API_KEY": "other", "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9"},
            ProviderConfig(kind="gemini", api_key="k", base_url="http://127.0.0.1:9"),
            {"gemini-2.5-flash"},
        ),
        (
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"},
            ProviderConfig(kind="anthropic", api_key="k", base_url="http://127.0.0.1:9"),
            {"claude-haiku-4-5"},
        ),
    ],
)
def test_keys_of_other_public_apis_add_their_models(
    environ: dict[str, str], provider: ProviderConfig, some: set[str]
) -> None:
    config = zero_config(environ)
    assert config.providers == {"sim": ProviderConfig(kind="sim"), provider.kind: provider}
    assert some <= set(config.models)
    assert all(
        deployment.provider in config.providers for one in config.models.values() for deployment in one.deployments
    )


def test_every_key_there_is_adds_its_models() -> None:
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "k")
    config = zero_config(keys)
    assert list(config.providers) == ["sim", "openai", "anthropic", "gemini"]
    assert {"gpt-5", "claude-sonnet-5", "gemini-3.6-flash"} <= set(config.models)
    assert not {"claude-3-opus-20240229", "gemini-2.0-flash", "claude-3-haiku-20240307"} & set(config.models)


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_none(key: str) -> None:
    assert list(load(None, {"OPENAI_API_KEY": key}).config.models) == ["simulated"]
