"""The block `embedder`. The mark » stands where the problem is expected to be told."""

from __future__ import annotations

import pytest

from headgate.config.embedder_schema import EmbedderConfig
from tests.config.reading import config, errors, marked

PROVIDERS = """
providers:
  openai: {kind: openai, base_url: 'https://api.openai.com/v1', api_key: sk-one}
  claude: {kind: anthropic, api_key: sk-ant}
"""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("embedder: {provider: »opnai, model: m}", 'there is no provider "opnai"; did you mean "openai"?'),
        ("embedder: {provider: »claude, model: m}", "headgate cannot ask the kind anthropic for embeddings"),
        ("»embedder: {provider: openai}", "embedder.model: missing"),
        ("embedder: {provider: openai, model: m, directory: »/tmp}", "lies in no folder here"),
        ("embedder: {model: »m}", "the local embedder has a model of its own"),
        ("embedder: {price: »1}", "the local embedder has a model of its own"),
        ("»embedder: {provider: openai, model: nobody-knows-it}", "embedder.price: no price"),
        ("embedder: {dimensions: »384}", "the local embedder has a model of its own"),
        ("embedder: {provider: openai, model: m, dimensions: »0}", "dimensions"),
    ],
)
def test_what_cannot_work_is_told(written: str, said: str) -> None:
    plain, place = marked(PROVIDERS + written + "\n")
    found = errors(plain)
    assert any(place in line and said in line for line in found), found


def test_a_provider_may_be_called_as_this_machine_is() -> None:
    plain = PROVIDERS.replace("openai:", "local:")
    assert config(plain).embedder == EmbedderConfig()


def test_what_is_right_is_read() -> None:
    assert config(PROVIDERS).embedder == EmbedderConfig()
    chosen = config(PROVIDERS + "embedder: {provider: openai, model: text-embedding-3-small, dimensions: 512}\n")
    assert chosen.embedder == EmbedderConfig(provider="openai", model="text-embedding-3-small", dimensions=512)
