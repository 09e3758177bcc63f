"""Idempotency keys, as clients use them: one answer, one charge, whatever becomes of connections and processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.gateway import ALICE, CAROL, WAIT_SECONDS, Gateway, Json
from tests.e2e.prompts import HELLO
from tests.e2e.upstream import Exchange, Upstream, chat_answer, chat_chunk, failing, saying

KEY = "idempotency-key"
BODY: Json = {"model": "small", "messages": HELLO}


def data(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.startswith(b"data:")]


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_key_has_the_same_answer_and_one_charge(gateway: Gateway, upstream: Upstream, stream: bool) -> None:
    upstream.plays(saying("Hello there"))
    asked = {**BODY, "stream": stream}
    key = f"twice-{stream}"
    first, again = (gateway.request("POST", "/v1/chat/completions", asked, idempotency_key=key) for _ in range(2))
    assert upstream.requests == 1
    assert (first[0], again[0]) == (200, 200)
    assert "idempotent-replayed" not in first[1] and again[1]["idempotent-replayed"] == "true"
    assert "x-headgate-attempts" in first[1] and "x-headgate-attempts" not in again[1]
    assert data(first[2]) == data(again[2])
    assert stream or first[2] == again[2]
    paid, free = gateway.rows([answer[1]["x-request-id"] for answer in (first, again)])
    assert float(paid["cost_usd"]) > 0 == float(free["cost_usd"])
    assert free["attempts"] == []


@pytest.mark.parametrize("stream", [False, True])
def test_messages_have_keys_too(gateway: Gateway, upstream: Upstream, stream: bool) -> None:
    upstream.plays(saying("Hello there"))
    body = {**BODY, "max_tokens": 50, "stream": stream}
    key = f"messages-{stream}"
    first, again = (gateway.request("POST", "/v1/messages", body, idempotency_key=key) for _ in range(2))
    assert (first[0], again[0], upstream.requests) == (200, 200, 1)
    assert again[1]["idempotent-replayed"] == "true"
    assert data(first[2]) == data(again[2])
    assert stream or first[2] == again[2]


def test_another_body_another_tenant_and_keys_that_are_none(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello"))
    ask = "/v1/chat/completions"
    gateway.request("POST", ask, BODY, idempotency_key="mine")
    status, _, body = gateway.request("POST", ask, {**BODY, "seed": 1}, idempotency_key="mine")
    assert status == 409 and b"idempotency_key_reused" in body
    status, headers, _ = gateway.request("POST", ask, {**BODY, "seed": 1}, key=CAROL, idempotency_key="mine")
    assert status == 200 and "idempotent-replayed" not in headers
    for unusable in ("", "k" * 256):
        status, _, body = gateway.request("POST", ask, BODY, idempotency_key=unusable)
        assert status == 400 and b"idempotency-key" in body


def test_a_refusal_of_the_provider_is_not_the_result(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(failing(429, {"error": {"message": "slow down"}}))
    assert gateway.request("POST", "/v1/chat/completions", BODY, idempotency_key="refused")[0] == 429
    upstream.plays(saying("Hello"))
    status, headers, _ = gateway.request("POST", "/v1/chat/completions", BODY, idempotency_key="refused")
    assert status == 200 and "idempotent-replayed" not in headers


async def when_told(exchange: Exchange) -> None:
    await exchange.told_to_go_on()
    await exchange.json(chat_answer("Hello there"))


def test_the_python_package_tries_again_and_gets_the_first_answer(
    finishing_gateway: Gateway, upstream: Upstream
) -> None:
    """Its first try runs out of time; the second joins what the first has begun."""
    upstream.plays(when_told)
    tries: list[httpx.Request] = []

    def sent(request: httpx.Request) -> None:
        tries.append(request)
        if len(tries) > 1:
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), WAIT_SECONDS)
        if len(tries) == 2:
            threading.Timer(0.2, upstream.exchange().go_on).start()

    own = httpx.Client(event_hooks={"request": [sent]}, timeout=0.7)
    with openai.OpenAI(
        base_url=f"{finishing_gateway.url}/v1", api_key=ALICE, max_retries=3, http_client=own, timeout=0.7
    ) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="small", messages=HELLO, extra_headers={KEY: "sdk-retry"}
        )
    assert len(tries) >= 2 and {request.headers[KEY] for request in tries} == {"sdk-retry"}
    assert raw.headers["idempotent-replayed"] == "true"
    assert raw.parse().choices[0].message.content == "Hello there"
    assert upstream.requests == 1
    finishing_gateway.is_quiet()


@pytest.fixture
def mortal(upstream: Upstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that may be killed: it is soon thought dead, and what it holds is noted."""
    more: Json = {
        "idempotency": {"alive_seconds": 1.5},
        "tiers": {"pro": {"models": ["*"], "budgets": {"tenant_month": 1_000}}},
    }
    gateway = Gateway(tmp_path, upstream.url, more)
    gateway.start()
    yield gateway
    gateway.stop()


async def words_when_told(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.event(chat_chunk({"role": "assistant", "content": "Hel"}))
    await exchange.told_to_go_on()
    await exchange.words([])


def test_a_process_is_killed_and_the_key_is_charged_once(mortal: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello there"))
    done = mortal.request("POST", "/v1/chat/completions", BODY, idempotency_key="done")

    upstream.plays(words_when_told)
    stream = {**BODY, "stream": True}
    headers = {"authorization": f"Bearer {ALICE}", KEY: "lost"}
    with httpx.stream("POST", f"{mortal.url}/v1/chat/completions", json=stream, headers=headers) as response:
        lost_id = response.headers["x-request-id"]
        mortal.kill()
        with pytest.raises(httpx.TransportError):
            response.read()

    upstream.plays(saying("Hello there"))
    mortal.start()
    again = mortal.request("POST", "/v1/chat/completions", BODY, idempotency_key="done")
    assert again[1]["idempotent-replayed"] == "true" and again[2] == done[2]
    retried = mortal.request("POST", "/v1/chat/completions", stream, idempotency_key="lost")
    replayed = mortal.request("POST", "/v1/chat/completions", stream, idempotency_key="lost")
    assert upstream.requests == 1, retried
    assert (retried[0], replayed[0], replayed[1]["idempotent-replayed"]) == (200, 200, "true")
    assert data(retried[2]) == data(replayed[2])
    lost, paid = mortal.rows([lost_id, retried[1]["x-request-id"]])
    assert float(lost["cost_usd"]) == 0 < float(lost["attempts"][0]["cost_usd"])  # both are booked, one is charged
    assert lost["outcome"] == "provisional" and float(paid["cost_usd"]) > 0
