"""What limits and budgets do beside refusing: alerts, reloads, routes without an answer, and the example."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway import ADMIN_KEY, ROOT, Gateway, Json
from tests.e2e.upstream import Exchange, Upstream, chat_answer

HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TIERS: dict[str, Json] = {
    "told": {"budgets": {"tenant_month": 1}},
    "lowered": {"budgets": {"tenant_month": 1}},
    "counting": {"requests_per_minute": 2},
    "embedding": {"tokens_per_minute": 100},
}


def key(tier: str) -> str:
    return f"hg-{tier}-key-000000"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Upstream]:
    """Takes alerts."""
    upstream = Upstream()
    upstream.start()

    async def taken(exchange: Exchange) -> None:
        await exchange.json({})

    upstream.plays(taken)
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def limited(
    running_upstream: Upstream, receiver: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A tier and a tenant for each test; a token of output costs 0.002 USD, one of a prompt 0.001."""
    deployments = [{"provider": "upstream", "model": "gpt-4o-mini"}]
    more = {
        "models": {"dear": {"price": {"input": 1000, "output": 2000}, "retries": 0, "deployments": deployments}},
        "tiers": {name: {"models": ["*"], **tier} for name, tier in TIERS.items()},
        "tenants": {name: {"tier": name, "keys": [{"key": key(name)}]} for name in TIERS},
    }
    gateway = Gateway(tmp_path_factory.mktemp("in-force"), running_upstream.url, more)
    change(gateway, alerts=[{"on": ["budget"], "webhook": f"{receiver.url}/hook", "secret": SECRET}])
    gateway.start()
    yield gateway
    gateway.stop()


def change(gateway: Gateway, **blocks: Any) -> None:
    config = json.loads(gateway.config_file.read_text())
    gateway.config_file.write_text(json.dumps(config | blocks))


def ask(gateway: Gateway, tier: str, path: str = CHAT, **more: Any) -> tuple[int, dict[str, str], Json]:
    body = {"model": "dear", "messages": HELLO, "max_tokens": 480, **more}
    status, headers, answer = gateway.request("POST", path, body, key=key(tier))
    return status, headers, json.loads(answer)


async def spends_nearly_a_dollar(exchange: Exchange) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 480, "total_tokens": 489}
    await exchange.json(chat_answer("Hello", usage=usage))


def test_each_threshold_of_a_budget_is_told_once_and_signed(
    limited: Gateway, upstream: Upstream, receiver: Upstream
) -> None:
    upstream.plays(spends_nearly_a_dollar)
    assert [ask(limited, "told")[0] for _ in range(5)] == [200, 402, 402, 402, 402]
    names: dict[str, Any] = {}
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    exec(page.split("```python\n")[1].split("```")[0], names)
    percents = []
    for number in (1, 2):
        call = receiver.exchange(number)
        headers = {name: call.header(name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        assert names["is_from_headgate"](SECRET, headers, call.raw_body)
        assert call.body["data"]["facts"]["budget"] == "tenant_month" and call.body["data"]["tenant"] == "told"
        percents.append(call.body["data"]["facts"]["percent"])
    assert sorted(percents) == [80, 100]
    listed = limited.get_json("/admin/alerts?limit=10")["data"]
    assert len(listed) == receiver.requests == 2


def test_a_reload_that_lowers_a_budget_lets_what_is_under_way_end(limited: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.told_to_go_on()
        await spends_nearly_a_dollar(exchange)

    upstream.plays(script)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(ask, limited, "lowered")
        exchange = upstream.exchange()
        tiers = json.loads(limited.config_file.read_text())["tiers"]
        change(limited, tiers=tiers | {"lowered": {"models": ["*"], "budgets": {"tenant_month": 0.2}}})
        assert limited.request("POST", "/admin/reload", b"", key=ADMIN_KEY)[0] == 200
        status, _, body = ask(limited, "lowered")
        assert (status, body["error"]["code"]) == (429, "budget_held"), (
            "what is under way holds more than the new limit"
        )
        assert body["error"]["limit"]["limit"] == "0.2"
        exchange.go_on()
        assert under_way.result()[0] == 200
    status, _, body = ask(limited, "lowered")
    assert (status, body["error"]["limit"]["used"]) == (402, "0.969")


def test_counting_tokens_is_a_request(limited: Gateway, upstream: Upstream) -> None:
    body = {"model": "dear", "messages": HELLO}
    answers = [limited.request("POST", "/v1/messages/count_tokens", body, key=key("counting")) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429], answers
    refusal = json.loads(answers[2][2])
    assert refusal["type"] == "error" and refusal["error"]["limit"]["name"] == "requests_per_minute"
    assert "anthropic-ratelimit-requests-reset" in answers[2][1] and upstream.requests == 0


def test_embeddings_use_tokens_of_their_input(limited: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        usage = {"prompt_tokens": 90, "total_tokens": 90}
        await exchange.json({"object": "list", "model": "e", "data": data, "usage": usage})

    upstream.plays(script)

    def embed(text: str) -> tuple[int, Json]:
        body = {"model": "embed", "input": text}
        status, _, answer = limited.request("POST", "/v1/embeddings", body, key=key("embedding"))
        return status, json.loads(answer)

    assert embed("Hello")[0] == 200
    status, body = embed("word " * 15)
    assert (status, body["error"]["code"], body["error"]["limit"]["used"]) == (429, "rate_limit_exceeded", 90)
    status, body = embed("word " * 5000)
    assert (status, body["error"]["code"]) == (400, "request_too_large")


def test_the_limits_of_the_example_act(running_upstream: Upstream, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, running_upstream.url)
    example = (ROOT / "headgate.example.yaml").read_text(encoding="utf-8")
    gateway.config_file.write_text(example.replace("./headgate-data", str(tmp_path / "data")))
    gateway.start()
    try:
        body = {"model": "simulated", "messages": HELLO, "max_tokens": 5}

        def asked(caller: str, **more: Any) -> tuple[int, dict[str, str], Json]:
            status, headers, answer = gateway.request("POST", CHAT, body | more, key=caller)
            return status, headers, json.loads(answer)

        began = time.monotonic()
        status, headers, _ = asked("hg-hobby-carol-0003", max_tokens=4000)
        assert (status, headers["x-headgate-max-output-tokens"]) == (200, "512")
        assert headers["x-ratelimit-limit-requests"] == "20"
        count = 1
        while (told := asked("hg-hobby-carol-0003"))[0] == 200:
            count += 1
        most = 5 + int((time.monotonic() - began) / 3)
        assert told[0] == 429 and 5 <= count <= most, "15 seconds of 20 a minute at once, and one more each 3 seconds"
        assert told[2]["error"]["limit"]["name"] == "requests_per_minute"
        assert "is 20 requests, 5 requests at once: 5 requests used" in told[2]["error"]["message"]
        assert asked("hg-hobby-carol-0003", model="large")[0] in (403, 404)
        status, headers, _ = asked("hg-acme-alice-0001")
        assert (status, headers["x-ratelimit-limit-requests"]) == (200, "600"), "its own"
    finally:
        gateway.stop()
