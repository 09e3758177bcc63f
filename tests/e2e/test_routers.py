"""A router through a real gateway, asked with OpenAI's and Anthropic's clients."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest

from tests.e2e.gateway import ADMIN_KEY, ALICE, CAROL, Gateway
from tests.e2e.upstream import Exchange, Script, Upstream, saying

HARD = "Design a multi-region failover for a bank step by step, compare the trade-offs and write the migration plan."
SORRY = "I'm sorry, but I can't help with that."


def scripted(small: str, large: str = "The large one says.") -> Script:
    """Answers by the model that is asked."""

    async def script(exchange: Exchange) -> None:
        await saying(small if exchange.body["model"] == "gpt-4o-mini" else large)(exchange)

    return script


def test_auto_chooses_and_says_why(client: openai.OpenAI, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(scripted("The small one says."))
    asked = client.chat.completions.with_raw_response.create
    easy = asked(model="auto", messages=[{"role": "user", "content": "What is the capital of France?"}])
    hard = asked(model="auto", messages=[{"role": "user", "content": HARD}])
    assert (easy.headers["x-headgate-model"], hard.headers["x-headgate-model"]) == ("small", "large")
    assert easy.headers["x-headgate-route"].startswith("auto; model=small; why=score; difficulty=0.")
    assert easy.parse().choices[0].message.content == "The small one says."
    row = gateway.row(hard.headers["x-request-id"])
    assert row["model"] == "auto" and row["routed"]["model"] == "large"


def test_routers_are_models_for_those_who_may_use_them(client: openai.OpenAI, gateway: Gateway) -> None:
    assert "auto" in {model.id for model in client.models.list()}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=CAROL, max_retries=0) as other:
        assert "auto" not in {model.id for model in other.models.list()}
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hello"}])


@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_is_not_shown(client: openai.OpenAI, upstream: Upstream, streams: bool) -> None:
    upstream.plays(scripted(SORRY))
    question = [{"role": "user", "content": f"Hello, {streams}?"}]
    if streams:
        with client.chat.completions.create(model="auto", messages=question, stream=True) as stream:
            said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    else:
        said = client.chat.completions.create(model="auto", messages=question).choices[0].message.content or ""
    assert said == "The large one says."


def test_appeals(client: openai.OpenAI, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(scripted("Lyon."))
    question = [{"role": "user", "content": "What is the capital of France?"}]
    first = client.chat.completions.with_raw_response.create(model="auto", messages=question)
    request_id = first.headers["x-request-id"]
    gateway.row(request_id)  # it is in the ledger now
    again = client.chat.completions.with_raw_response.create(
        model="auto", messages=question, extra_headers={"x-headgate-appeal": request_id}
    )
    assert "why=appeal" in again.headers["x-headgate-route"]
    assert again.parse().choices[0].message.content == "The large one says."
    status, headers, body = gateway.request("POST", "/v1/appeal", {"request_id": request_id})
    assert headers["x-headgate-model"] == "large" and "why=appeal" in headers["x-headgate-route"]
    assert float(headers["x-headgate-cost-usd"]) > 0 and headers["x-request-id"] != request_id
    assert status == 200 and json.loads(body)["choices"][0]["message"]["content"] == "The large one says."
    status, _, body = gateway.request("POST", "/v1/appeal", {"request_id": request_id}, key=CAROL)
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")


def test_explaining_sends_nothing(gateway: Gateway, upstream: Upstream) -> None:
    before = upstream.requests
    command = {"body": {"model": "auto", "messages": [{"role": "user", "content": HARD}]}}
    status, _, body = gateway.request("POST", "/admin/route/explain", command, key=ADMIN_KEY)
    assert (status, json.loads(body)["model"], upstream.requests) == (200, "large", before)


def test_the_router_speaks_anthropics_dialect(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(scripted(SORRY))
    with anthropic.Anthropic(base_url=gateway.url, api_key=ALICE, max_retries=0) as other:
        told = other.messages.create(model="auto", max_tokens=50, messages=[{"role": "user", "content": "Hi there"}])
    assert told.content[0].type == "text" and told.content[0].text == "The large one says."
