"""Where a provider is when the configuration does not say."""

from __future__ import annotations

import pytest

from headgate.config.addresses import base_url
from headgate.config.schema import ProviderConfig


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        (ProviderConfig(kind="openai"), ""),
        (ProviderConfig(kind="openai", base_url="http://a/v1"), "http://a/v1"),
        (ProviderConfig(kind="anthropic"), "https://api.anthropic.com"),
        (ProviderConfig(kind="gemini"), "https://generativelanguage.googleapis.com/v1beta"),
        (ProviderConfig(kind="vertex", project="p"), "https://aiplatform.googleapis.com/v1"),
        (ProviderConfig(kind="vertex", location="europe-west4"), "https://europe-west4-aiplatform.googleapis.com/v1"),
        (ProviderConfig(kind="vertex", location="eu"), "https://aiplatform.eu.rep.googleapis.com/v1"),
        (ProviderConfig(kind="vertex", base_url="http://a/v1beta1"), "http://a/v1beta1"),
        (ProviderConfig(kind="bedrock"), ""),
        (ProviderConfig(kind="bedrock", region="eu-central-1"), "https://bedrock-runtime.eu-central-1.amazonaws.com"),
        (ProviderConfig(kind="bedrock", region="cn-north-1"), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        (ProviderConfig(kind="bedrock", region="us-east-1", base_url="http://a"), "http://a"),
        (ProviderConfig(kind="azure"), ""),
    ],
)
def test_an_address_is_configured_or_known(provider: ProviderConfig, address: str) -> None:
    assert base_url(provider) == address
