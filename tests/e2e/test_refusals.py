"""What limits and budgets tell real clients, and what these make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.prompts import HELLO
from tests.e2e.upstream import Upstream, saying

BUDGETED, QUICK, CHEAP, TRIED, TALKING = (f"hg-refusals-{name}-00000001" for name in ("b", "q", "c", "t", "s"))


def tenancy() -> Json:
    tiers = {
        "budgeted": {"models": ["*"], "budgets": {"tenant_month": 0.0002}},
        "quick": {"models": ["*"], "requests_per_minute": 120, "burst_seconds": 1.0},
        "cheap": {"models": ["*"], "budgets": {"tenant_month": 0.0002}, "on_exceed": {"degrade": "simulated"}},
        "tried": {"models": ["*"], "requests_per_minute": 1, "enforce": False},
        "talking": {"models": ["*"], "loop_guard": {"same_request_in_a_row": 2}},
    }
    keys = dict(zip(tiers, (BUDGETED, QUICK, CHEAP, TRIED, TALKING), strict=True))
    tenants = {name: {"tier": name, "keys": [{"key": key, "user": "eve"}]} for name, key in keys.items()}
    return {"tiers": tiers, "tenants": tenants}


@pytest.fixture(scope="module")
def refusing(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("refusing")
    gateway = Gateway(folder, running_upstream.url, tenancy())
    gateway.start()
    yield gateway
    gateway.stop()


def by_openai(gateway: Gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key)


def rows(gateway: Gateway, tenant: str) -> list[dict[str, Any]]:
    """The tenant's rows that are there."""
    return [row for row in gateway.get_json("/admin/ledger?limit=1000")["data"] if row["tenant"] == tenant]


def test_a_spent_budget_is_asked_for_once_by_both_vendors_clients(refusing: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    client = by_openai(refusing, BUDGETED)
    lowered = client.chat.completions.with_raw_response.create(model="small", messages=HELLO, max_tokens=5_000)
    assert 16 <= int(lowered.headers["x-headgate-max-output-tokens"]) < 100
    assert upstream.exchange().body["max_tokens"] == int(lowered.headers["x-headgate-max-output-tokens"])
    for _ in range(20):  # until it is spent
        try:
            client.chat.completions.create(model="small", messages=HELLO, max_tokens=50)
        except openai.APIStatusError:
            break
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="small", messages=HELLO, max_tokens=50)
    assert refused.value.status_code == 402 and refused.value.code == "budget_exceeded"
    assert refused.value.response.headers["x-should-retry"] == "false"
    detail = refused.value.response.json()["error"]["limit"]
    assert (detail["name"], detail["unit"], detail["limit"]) == ("budgets.tenant_month", "usd", "0.0002")
    with anthropic.Anthropic(base_url=refusing.url, api_key=BUDGETED) as other:
        with pytest.raises(anthropic.APIStatusError) as told:
            other.messages.create(model="small", max_tokens=50, messages=[{"role": "user", "content": "Hello"}])
        assert told.value.status_code == 402 and told.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
        assert told.value.body["error"]["limit"]["scope"] == "tenant"  # type: ignore[index]
    # Refusals are written in the order in which they came, so when a later one is there, all are.
    last = by_openai(refusing, BUDGETED).with_options(max_retries=0)
    with pytest.raises(openai.APIStatusError) as ended:
        last.chat.completions.create(model="small", messages=HELLO, max_tokens=50)
    refusing.row(ended.value.request_id or "")
    refused_rows = [row for row in rows(refusing, "budgeted") if row["outcome"] == "refused"]
    assert len(refused_rows) == 4, "one in the loop, one for each vendor's client, and the last"


def test_clients_wait_as_long_as_they_are_told_and_are_let_in(refusing: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    with by_openai(refusing, QUICK) as client:
        answers = [client.chat.completions.with_raw_response.create(model="small", messages=HELLO) for _ in range(5)]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "120"
    assert int(answers[0].headers["x-ratelimit-remaining-requests"]) <= 1
    refusing.eventually(lambda: [row["outcome"] for row in rows(refusing, "quick")].count("done") == 5)
    assert "refused" in [row["outcome"] for row in rows(refusing, "quick")]
    with anthropic.Anthropic(base_url=refusing.url, api_key=QUICK) as other:
        told = other.messages.with_raw_response.create(
            model="small", max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
        )
    assert told.headers["anthropic-ratelimit-requests-limit"] == "120"


def test_a_cheaper_model_is_said_in_headers(refusing: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    client = by_openai(refusing, CHEAP)
    heads = [
        client.chat.completions.with_raw_response.create(model="small", messages=HELLO, max_tokens=60).headers
        for _ in range(12)
    ]
    assert heads[0]["x-headgate-model"] == "small"
    assert (heads[-1]["x-headgate-model"], heads[-1]["x-headgate-degraded-from"]) == ("simulated", "small")


def test_what_is_only_tried_refuses_nobody(refusing: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    client = by_openai(refusing, TRIED)
    for _ in range(3):
        client.chat.completions.create(model="small", messages=HELLO)
    assert refusing.metric('headgate_unenforced_refusals_total{rule="requests_per_minute"}') == 2


def test_a_session_that_goes_in_circles(refusing: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("Hello to you"))
    client = by_openai(refusing, TALKING)
    session = {"x-headgate-session": "s1"}
    for _ in range(2):
        client.chat.completions.create(model="small", messages=HELLO, extra_headers=session)
    with pytest.raises(openai.PermissionDeniedError, match="2 times in a row"):
        client.chat.completions.create(model="small", messages=HELLO, extra_headers=session)
    client.chat.completions.create(model="small", messages=HELLO)
