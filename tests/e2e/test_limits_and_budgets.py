"""Limits and budgets as the vendors' own packages meet them: what is refused, what is said, and what they do then."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.upstream import Exchange, Script, Upstream, chat_answer

HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"
TIERS: dict[str, Json] = {
    "spent": {"budgets": {"tenant_month": 1}},
    "claude": {"budgets": {"tenant_month": 1}},
    "rated": {"requests_per_minute": 60, "burst_seconds": 1},
    "messages": {"requests_per_minute": 60, "tokens_per_minute": 10_000, "burst_seconds": 1},
    "held": {"budgets": {"tenant_month": 1}},
    "large": {"tokens_per_minute": 500},
    "lowered": {"budgets": {"request": 0.5}},
    "single": {"budgets": {"request": 100}},
    "degraded": {"budgets": {"tenant_month": 1}, "on_exceed": {"degrade": "cheap"}},
    "circling": {"loop_guard": {"requests_per_session": 3, "same_request_in_a_row": 2}},
    "tried": {"requests_per_minute": 1, "enforce": False},
    "fast": {"velocity": {"usd_per_5_minutes": 0.5}},
    "people": {"per_user": {"requests_per_minute": 2}, "requests_per_minute": 3},
    "ugly": {"budgets": {"tenant_month": 1, "request": 0.9}},
}


def key(tier: str) -> str:
    return f"hg-{tier}-key-000000"


def dollars(exchange: Exchange) -> int:
    """Tokens of an answer as long as it may be, at most 480."""
    body = exchange.body
    asked = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
    return min([480, *asked])


async def as_long_as_it_may(exchange: Exchange) -> None:
    tokens = dollars(exchange)
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    if exchange.body.get("stream"):
        await exchange.words(["Hello"], usage)
    else:
        await exchange.json(chat_answer("Hello", usage=usage))


def holding() -> Script:
    """Answers the first request when it is told to, all others at once."""
    asked: list[int] = []

    async def script(exchange: Exchange) -> None:
        asked.append(1)
        if len(asked) == 1:
            await exchange.told_to_go_on()
        await as_long_as_it_may(exchange)

    return script


@pytest.fixture(scope="module")
def limited(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A tier and a tenant for each test; a token of output costs 0.002 USD, one of a prompt 0.001."""
    served = {"retries": 0, "deployments": [{"provider": "upstream", "model": "gpt-4o-mini", "api": "chat"}]}
    unknown = {"provider": "upstream", "model": "nobody-knows-it", "api": "chat"}
    models = {
        "dear": {**served, "price": {"input": 1000, "output": 2000}, "max_output_tokens": 480},
        "endless": {**served, "price": {"input": 1000, "output": 2000}, "deployments": [unknown]},
        "cheap": {**served, "price": {"input": 1, "output": 2}},
    }
    more = {
        "models": models,
        "tiers": {name: {"models": ["*"], **tier} for name, tier in TIERS.items()},
        "tenants": {name: {"tier": name, "keys": [{"key": key(name)}]} for name in TIERS},
    }
    more["tenants"]["spent"]["keys"].append({"key": key("bound"), "user": "ann"})
    gateway = Gateway(tmp_path_factory.mktemp("limited"), running_upstream.url, more)
    gateway.start()
    yield gateway
    gateway.stop()


def ask(
    gateway: Gateway,
    tier: str,
    model: str = "dear",
    path: str = CHAT,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> tuple[int, dict[str, str], Json]:
    body = {"model": model, "messages": HELLO, **more}
    status, told, answer = gateway.request("POST", path, body, key=key(tier), **(headers or {}))
    return status, told, json.loads(answer) if answer.startswith(b"{") else {"stream": answer.decode()}


def rows(gateway: Gateway, tenant: str) -> list[Json]:
    return [row for row in gateway.get_json("/admin/ledger?limit=1000")["data"] if row["tenant"] == tenant]


def openai_client(gateway: Gateway, tier: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key(tier))


def test_openai_stops_at_a_spent_budget(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    with openai_client(limited, "spent") as client:
        client.chat.completions.create(model="dear", messages=HELLO, max_tokens=480)
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model="dear", messages=HELLO, max_tokens=480)
    error, headers = refused.value, refused.value.response.headers
    assert (error.status_code, error.code, error.type) == (402, "budget_exceeded", "insufficient_quota")
    assert headers["x-should-retry"] == "false" and "retry-after" not in headers
    limit = error.body["limit"]  # type: ignore[index]
    assert (limit["name"], limit["scope"], limit["unit"]) == ("budgets.tenant_month", "tenant", "usd")
    assert (limit["limit"], limit["used"]) == ("1", "0.969") and limit["resets_at"].endswith("-01T00:00:00Z")
    assert limited.row(headers["x-request-id"])["error"] == "budget_exceeded"
    assert len(rows(limited, "spent")) == 2, "the refused request came once"
    assert upstream.requests == 1


def test_anthropic_stops_at_a_spent_budget(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    with anthropic.Anthropic(base_url=limited.url, api_key=key("claude")) as client:
        client.messages.create(model="dear", messages=HELLO, max_tokens=480)
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(model="dear", messages=HELLO, max_tokens=480)
    error: Any = refused.value
    assert error.status_code == 402 and error.body["error"]["limit"]["name"] == "budgets.tenant_month"
    assert limited.row(error.response.headers["request-id"])["error"] == "budget_exceeded"
    assert len(rows(limited, "claude")) == 2 and upstream.requests == 1


def test_openai_waits_as_long_as_it_is_told_and_succeeds(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    with openai_client(limited, "rated") as client, ThreadPoolExecutor(2) as threads:
        began = time.monotonic()
        ask_raw = client.chat.completions.with_raw_response.create
        asked = [threads.submit(ask_raw, model="cheap", messages=HELLO) for _ in range(2)]
        for headers in [one.result().headers for one in asked]:
            assert headers["x-ratelimit-limit-requests"] == "60" and "x-ratelimit-reset-requests" in headers
        assert 0.9 < time.monotonic() - began < 30, "the second is let in a second after the first"
    limited.eventually(lambda: len(rows(limited, "rated")) == 3 or None)
    assert sorted(row["error"] or "" for row in rows(limited, "rated")) == ["", "", "rate_limit_exceeded"]


def test_anthropic_waits_as_long_as_it_is_told_and_succeeds(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    with anthropic.Anthropic(base_url=limited.url, api_key=key("messages")) as client:
        asked: Any = {"model": "cheap", "messages": HELLO, "max_tokens": 20}
        with ThreadPoolExecutor(2) as threads:
            asking = [threads.submit(client.messages.with_raw_response.create, **asked) for _ in range(2)]
        for headers in [one.result().headers for one in asking]:
            for what in ("requests", "tokens"):
                for told in ("limit", "remaining", "reset"):
                    assert f"anthropic-ratelimit-{what}-{told}" in headers
    limited.eventually(lambda: len(rows(limited, "messages")) == 3 or None)


def test_money_that_is_only_held_is_waited_for(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(holding())
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(ask, limited, "held", max_tokens=480)
        exchange = upstream.exchange()
        status, headers, body = ask(limited, "held", max_tokens=480)
        assert (status, body["error"]["code"]) == (429, "budget_held") and int(headers["retry-after"]) >= 1
        assert body["error"]["limit"]["used"] == "0" and float(body["error"]["limit"]["held"]) > 0.9
        exchange.go_on()
        assert first.result()[0] == 200


def test_what_fits_into_no_window_is_too_large(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    status, headers, body = ask(limited, "large", messages=[{"role": "user", "content": "word " * 5000}])
    assert (status, body["error"]["code"]) == (400, "request_too_large")
    assert body["error"]["limit"]["limit"] == 500 and body["error"]["limit"]["needed"] > 500
    assert upstream.requests == 0 and limited.row(headers["x-request-id"])["error"] == "request_too_large"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages"])
def test_a_ceiling_is_lowered_and_said(limited: Gateway, upstream: Upstream, path: str, stream: bool) -> None:
    upstream.plays(as_long_as_it_may)
    body: Json = {"model": "dear", "stream": stream}
    body |= (
        {"input": "Hello", "max_output_tokens": 470} if "responses" in path else {"messages": HELLO, "max_tokens": 470}
    )
    status, headers, answer = limited.request("POST", path, body, key=key("lowered"))
    assert status == 200, answer
    lowered = int(headers["x-headgate-max-output-tokens"])
    assert 200 < lowered < 250 and dollars(upstream.exchange()) == lowered


def test_a_model_that_knows_no_ceiling_is_told_the_one_that_was_reckoned_with(
    limited: Gateway, upstream: Upstream
) -> None:
    upstream.plays(as_long_as_it_may)
    status, headers, _ = ask(limited, "single", "endless")
    assert status == 200
    body = upstream.exchange().body
    assert body.get("max_completion_tokens") or body.get("max_tokens"), "else it may cost more than the cap"
    assert int(headers["x-headgate-max-output-tokens"]) > 0


def test_a_cheaper_model_answers_when_money_is_short(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    first, second = (ask(limited, "degraded", max_tokens=480) for _ in range(2))
    assert first[0] == second[0] == 200 and "x-headgate-degraded-from" not in first[1]
    assert (second[1]["x-headgate-model"], second[1]["x-headgate-degraded-from"]) == ("cheap", "dear")


def test_agents_that_go_in_circles(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)

    def asked(session: str, word: str) -> tuple[int, str]:
        messages = [{"role": "user", "content": word}]
        status, _, body = ask(limited, "circling", headers={"x-headgate-session": session}, messages=messages)
        return status, body.get("error", {}).get("code", "")

    assert [asked("a", "x") for _ in range(3)] == [(200, ""), (200, ""), (403, "loop_detected")]
    assert [asked("b", word) for word in "wxyz"] == [(200, "")] * 3 + [(403, "loop_detected")]


def test_a_limit_that_is_only_tried(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    assert [ask(limited, "tried")[0] for _ in range(3)] == [200] * 3
    assert limited.metric("headgate_unenforced_refusals_total") == 2


def test_money_that_goes_too_fast(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    assert ask(limited, "fast", max_tokens=480)[0] == 200
    status, headers, body = ask(limited, "fast", max_tokens=480)
    assert (status, body["error"]["code"]) == (429, "spend_velocity") and int(headers["retry-after"]) > 0


def test_naming_other_users_does_not_evade_a_tenants_limit(limited: Gateway, upstream: Upstream) -> None:
    upstream.plays(as_long_as_it_may)
    users = ["a", "b", "c", "d"]
    answers = [ask(limited, "people", "cheap", headers={"x-headgate-user": user}) for user in users]
    assert [status for status, _, _ in answers] == [200] * 3 + [429]
    assert answers[3][2]["error"]["limit"]["scope"] == "tenant"
    status, _, body = ask(limited, "bound", "cheap", headers={"x-headgate-user": "bob"})
    assert (status, body["error"]["param"]) == (403, "x-headgate-user")


@pytest.mark.parametrize(
    ("more", "statuses"),
    [
        ({"max_tokens": 2**29}, {200}),
        ({"n": 128}, {400}),
        ({"messages": []}, {200, 400}),
        ({"messages": [{"role": "user", "content": "x" * 400_000}]}, {400}),
    ],
    ids=["huge ceiling", "128 answers", "no messages", "400 kB"],
)
def test_ugly_requests(limited: Gateway, upstream: Upstream, more: Json, statuses: set[int]) -> None:
    upstream.plays(as_long_as_it_may)
    status, _, body = ask(limited, "ugly", "dear" if statuses == {400} else "cheap", **more)
    assert status in statuses, body
