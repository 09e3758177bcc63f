"""Providers that say in their headers how much is left, and a gateway that believes them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.gateway import ALICE, Gateway, Json
from tests.e2e.upstream import Exchange, Script, Upstream, chat_answer

QUOTA_WAIT_SECONDS = 2.0
USED_UP = 0
Left = Callable[[str, int], tuple[int, str]]  # of an upstream model and its how manyth request: how many left, reset


@pytest.fixture(scope="module")
def limited_gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Each test has a model of its own, as what is known of a deployment's quota outlives the test."""
    folder: Path = tmp_path_factory.mktemp("limited")
    gateway = Gateway(folder, running_upstream.url, {"models": models()}, quota_wait_seconds=QUOTA_WAIT_SECONDS)
    gateway.start()
    yield gateway
    gateway.stop()


def models() -> Json:
    def served(*deployments: Json) -> Json:
        return {"price": {"input": 1, "output": 2}, "retries": 0, "deployments": list(deployments)}

    def upstream(model: str, **more: Any) -> Json:
        return {"provider": "upstream", "model": model, **more}

    return {
        "around": served(upstream("around-1"), upstream("around-2")),
        "waits": served(upstream("waits-1"), upstream("waits-2")),
        "late": served(upstream("late-1")),
        "claude": served({"provider": "anthropic", "model": "claude-quota"}),
        "configured": served(upstream("configured-1", limits={"requests_per_minute": 3})),
    }


def saying(left: Left) -> Script:
    """Answers, and says how many of 100 requests are left in a window that ends at the reset."""
    asked: Counter[str] = Counter()

    async def script(exchange: Exchange) -> None:
        model = exchange.body["model"]
        asked[model] += 1
        remaining, reset = left(model, asked[model])
        await exchange.json(
            chat_answer("Hello"),
            200,
            "x-ratelimit-limit-requests: 100",
            f"x-ratelimit-remaining-requests: {remaining}",
            f"x-ratelimit-reset-requests: {reset}",
        )

    return script


def ask(gateway: Gateway, model: str) -> tuple[int, dict[str, str], bytes]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return gateway.request("POST", "/v1/chat/completions", body)


def ask_often(gateway: Gateway, model: str, times: int) -> list[int]:
    with ThreadPoolExecutor(10) as threads:
        return [status for status, _, _ in threads.map(lambda _: ask(gateway, model), range(times))]


def asked_for(upstream: Upstream) -> Counter[str]:
    return Counter(upstream.exchange(number).body["model"] for number in range(1, upstream.requests + 1))


def test_all_requests_go_where_quota_is_left_and_none_fails(limited_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying(lambda model, _: (USED_UP, "45s") if model == "around-1" else (90, "1s")))
    assert [ask(limited_gateway, "around")[0] for _ in range(2)] == [200, 200]
    assert asked_for(upstream) == {"around-1": 1, "around-2": 1}
    assert ask_often(limited_gateway, "around", 50) == [200] * 50
    assert asked_for(upstream) == {"around-1": 1, "around-2": 51}


def test_when_all_quota_is_used_up_requests_wait_for_the_reset(limited_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying(lambda _, number: (USED_UP, "1500ms") if number == 1 else (90, "1s")))
    began = time.monotonic()
    assert [ask(limited_gateway, "waits")[0] for _ in range(2)] == [200, 200]
    assert ask_often(limited_gateway, "waits", 10) == [200] * 10
    assert time.monotonic() - began >= 1.4
    assert limited_gateway.metric("headgate_waited_seconds_count") >= 10
    assert limited_gateway.metric("headgate_waiting") == 0


def test_who_cannot_wait_so_long_is_told_the_true_time(limited_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying(lambda _, number: (USED_UP, "3s") if number == 1 else (90, "1s")))
    with openai.OpenAI(base_url=f"{limited_gateway.url}/v1", api_key=ALICE, max_retries=0) as client:
        assert client.models.list().data  # it is warm, as less than a second is left for the second request
        assert ask(limited_gateway, "late")[0] == 200
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="late", messages=[{"role": "user", "content": "Hello"}])
    error, headers = refused.value, refused.value.response.headers
    assert (error.code, error.type) == ("provider_quota", "rate_limit_error")
    assert "0 of 100 requests" in error.message
    assert 2 <= int(headers["retry-after"]) <= 3 and headers.get("x-should-retry") != "false"
    assert upstream.requests == 1
    time.sleep(int(headers["retry-after-ms"]) / 1000)  # what a client does, on the clock of another process
    assert ask(limited_gateway, "late")[0] == 200


def test_anthropics_headers_and_errors(limited_gateway: Gateway, upstream: Upstream) -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=40)).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def script(exchange: Exchange) -> None:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-quota",
            "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 9, "output_tokens": 3},
        }
        lines = [f"anthropic-ratelimit-input-tokens-{name}" for name in ("limit: 50000", "remaining: 0")]
        await exchange.json(message, 200, *lines, f"anthropic-ratelimit-input-tokens-reset: {reset}")

    upstream.plays(script)
    body = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
    assert limited_gateway.request("POST", "/v1/messages", body)[0] == 200
    status, headers, refusal = limited_gateway.request("POST", "/v1/messages", body)
    assert status == 429 and json.loads(refusal)["error"]["type"] == "rate_limit_error"
    assert 30 <= int(headers["retry-after"]) <= 40
    assert upstream.requests == 1


def test_a_configured_limit_holds(limited_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying(lambda *_: (90, "1s")))
    answers = [ask(limited_gateway, "configured") for _ in range(7)]
    assert [status for status, _, _ in answers] == [200] * 3 + [429] * 4
    assert upstream.requests == 3
    waits = [int(headers["retry-after"]) for _, headers, _ in answers[3:]]
    assert all(30 <= wait <= 61 for wait in waits[:3]), waits
    assert 90 <= waits[3] <= 121, "three of them fit into the next minute"
