"""Nothing is collected here in an environment that does not have these clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.upstream import Upstream

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the internet for prices as it starts

CLIENTS = {"litellm": "test_litellm.py", "llama_index": "test_llama_index.py"}
collect_ignore = [file for package, file in CLIENTS.items() if find_spec(package) is None]


@pytest.fixture(scope="session")
def renaming_gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serves other vendors' models under names of Claude's, for clients that take no other."""

    def served(provider: str, model: str) -> dict[str, object]:
        return {"price": "free", "retries": 0, "deployments": [{"provider": provider, "model": model}]}

    models = {
        "claude-3-7-sonnet-20250219": served("upstream", "gpt-5-mini"),
        "claude-sonnet-4-20250514": served("anthropic", "claude-sonnet-4-5"),
        "claude-3-haiku-20240307": served("gemini", "gemini-2.5-flash"),
    }
    gateway = Gateway(tmp_path_factory.mktemp("renaming"), running_upstream.url, {"models": models})
    gateway.start()
    yield gateway
    gateway.stop()
