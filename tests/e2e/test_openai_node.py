"""The npm package openai, unchanged, against a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import javascript
from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.test_leaving import left, stepwise
from tests.e2e.upstream import Exchange, Upstream, chat_chunk, failing, saying

Run = Callable[..., Any]


@pytest.fixture
def run(node_packages: Path, gateway: Gateway) -> Run:
    """Do a task of `client.mjs` and return what it found."""

    def run(task: str, model: str = "small", key: str = ALICE) -> Any:
        return javascript.run(node_packages / "client.mjs", task, f"{gateway.url}/v1", key, model)

    return run


def test_chat(run: Run, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    answer = run("chat")
    assert answer["content"] == "Hello to you"
    assert answer["usage"]["total_tokens"] == 12
    assert answer["request_id"].startswith("req_")


def test_a_stream(run: Run, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    assert run("stream") == {"content": "Hello to you", "finish": "stop"}


def test_tools(run: Run) -> None:
    called = run("tools", "simulated")
    assert called["name"] == "weather" and isinstance(called["arguments"]["city"], str)


def test_embeddings_and_models(run: Run) -> None:
    assert run("embeddings", "simulated") == {"dimensions": 8}
    assert {"small", "simulated"} <= set(run("models"))


def test_errors(run: Run, upstream: Upstream) -> None:
    error = run("error", "no-such-model")
    assert (error["kind"], error["status"], error["code"]) == ("NotFoundError", 404, "model_not_found")
    assert (error["param"], error["type"]) == ("model", "invalid_request_error")
    assert error["requestID"].startswith("req_") and "no-such-model" in error["message"]
    error = run("error", key="hg-wrong")
    assert (error["kind"], error["code"]) == ("AuthenticationError", "invalid_api_key")
    upstream.plays(
        failing(429, {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}})
    )
    error = run("error")
    assert (error["kind"], error["code"]) == ("RateLimitError", "rate_limit_exceeded")


def test_a_stream_that_breaks(run: Run, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.event(chat_chunk({"content": "Hel"}))
        exchange.client_left.set()  # cuts the connection

    upstream.plays(script)
    assert run("broken") == {"kind": "APIError", "code": "stream_incomplete", "words": ["Hel"]}


def test_leaving(run: Run, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(stepwise)
    left(gateway, upstream, run("leave")["request_id"])
