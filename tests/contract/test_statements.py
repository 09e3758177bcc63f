"""What every `ports.Statements` must do, against a local server with the provider's documented shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from headgate.billing_ports import Statements
from headgate.bills import StatementLine, Tokens
from headgate.errors import BillMalformed, BillUnavailable, HeadgateError, UpstreamAuth, UpstreamUnreachable
from headgate.providers import bills
from headgate.providers.bills import Account, AnthropicBills, OpenAIBills
from headgate.providers.upstream.connect import Connector, ConnectSettings
from tests.reconciling.provider import ADMIN_KEY, Call, Provider, billing_api

DAY = 20_000
Make = Callable[[Account], Statements]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with billing_api() as listening:
        yield listening


@pytest.fixture(params=[OpenAIBills, AnthropicBills])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda account: request.param(account, Connector(ConnectSettings(connect_seconds=60.0)))


def account(provider: Provider, *, key: str = ADMIN_KEY, by_key: bool = False, project: str = "") -> Account:
    return Account("acme-ai", provider.url, key, project, by_key, pause_seconds=0.001)


def read(statements: Statements, first: int = DAY, last: int = DAY + 9) -> list[StatementLine]:
    return asyncio.run(statements.read(first, last))


def call(number: int, model: str = "model-a", key: str = "key_1", tokens: Tokens | None = None, cost: int = 7) -> Call:
    return Call((DAY + number) * 86_400.0 + 5, model, key, tokens or Tokens(100, 20, 10, 0, 30), cost)


def test_every_day_of_every_page_is_read(make: Make, provider: Provider) -> None:
    provider.calls = [call(number, cost=10**12 + number) for number in range(-1, 11)]
    lines = read(make(account(provider)))
    tokens = {line.day: line.tokens for line in lines if line.tokens is not None}
    assert tokens == {DAY + number: Tokens(100, 20, 10, 0, 30) for number in range(10)}
    costs = dict.fromkeys(tokens, 0)
    for line in lines:
        costs[line.day] += line.cost_picousd or 0
    assert costs == {DAY + number: 10**12 + number for number in range(10)}
    assert {line.model for line in lines} == {"model-a"} and {line.key for line in lines} == {""}
    assert len(provider.asked) >= 8, "ten days do not fit on a page"


def test_tokens_are_told_by_key_where_that_is_wanted(make: Make, provider: Provider) -> None:
    provider.calls = [call(0), call(0, key="key_2"), call(0, key="key_2"), call(0, model="model-b")]
    lines = [line for line in read(make(account(provider, by_key=True))) if line.tokens is not None]
    found = {(line.model, line.key): line.tokens.input for line in lines if line.tokens is not None}
    assert found == {("model-a", "key_1"): 100, ("model-a", "key_2"): 200, ("model-b", "key_1"): 100}


def test_charges_that_are_not_for_tokens_have_their_name(make: Make, provider: Provider) -> None:
    provider.charges = [(DAY, "web search tool calls", 5 * 10**9)]
    assert read(make(account(provider))) == [
        StatementLine(DAY, "", cost_picousd=5 * 10**9, other="web search tool calls")
    ]


def test_days_without_anything_are_no_lines(make: Make, provider: Provider) -> None:
    assert read(make(account(provider))) == []


def test_a_busy_provider_is_asked_again(make: Make, provider: Provider) -> None:
    provider.calls = [call(0)]
    provider.faults = [(429, b'{"error": {"message": "slow down"}}'), (503, b"oops"), (500, b"")]
    assert read(make(account(provider)), DAY, DAY)
    assert len({target.split("?")[0] for target in provider.asked[:4]}) == 1


@pytest.mark.parametrize(
    "faults, error, said",
    [
        ([(401, b'{"error": {"message": "Incorrect API key."}}')], UpstreamAuth, "401: Incorrect API key"),
        ([(403, b"no scope")], UpstreamAuth, "billing.admin_key"),
        ([(400, b'{"error": {"message": "Unknown parameter: x."}}')], BillUnavailable, "400: Unknown parameter: x."),
        ([(503, b"")] * 4, BillUnavailable, "answered 503: nothing"),
        ([(200, b"<html>")], BillMalformed, "is not valid JSON"),
        ([(200, b'{"data": {}}')], BillMalformed, r"Expected `array`, got `object` - at `\$.data`"),
        ([(200, b'{"has_more": false}')], BillMalformed, "missing required field `data`"),
        ([(200, b"[" * 100_000)], BillMalformed, "nested too deeply|not valid JSON|Expected"),
        ([(200, b"\xff\xfe")], BillMalformed, "is not valid JSON"),
    ],
)
def test_what_goes_wrong_is_named(
    make: Make, provider: Provider, faults: list[tuple[int, bytes]], error: type[HeadgateError], said: str
) -> None:
    provider.faults = list(faults)
    with pytest.raises(error, match=said) as caught:
        read(make(account(provider)))
    assert ADMIN_KEY not in str(caught.value) and "acme-ai" in str(caught.value)


def test_a_wrong_admin_key_is_named_without_telling_it(make: Make, provider: Provider) -> None:
    with pytest.raises(UpstreamAuth, match="admin key was refused") as caught:
        read(make(account(provider, key="sk-wrong")))
    assert "sk-wrong" not in str(caught.value)


def test_a_provider_that_pages_for_ever_is_left(make: Make, provider: Provider) -> None:
    provider.calls = [call(0)]
    provider.endless = True
    with pytest.raises(BillMalformed, match="pages for ever"):
        read(make(account(provider)))
    assert len(provider.asked) < 10


def test_more_pages_than_any_bill_has_are_too_many(
    make: Make, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bills, "MAX_PAGES", 2)
    with pytest.raises(BillMalformed, match="pages for ever: 3 pages"):
        read(make(account(provider)))


def test_a_page_without_end_is_left(make: Make, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bills, "MAX_PAGE_BYTES", 1000)
    provider.faults = [(200, b" " * 2000)]
    with pytest.raises(BillMalformed, match="a page of more than 1,000 bytes"):
        read(make(account(provider)))


def test_nobody_there_is_told_as_everywhere(make: Make) -> None:
    with pytest.raises(UpstreamUnreachable):
        read(make(Account("acme-ai", "http://127.0.0.1:9/v1", ADMIN_KEY)))


def test_numbers_that_cannot_be_true_are_refused(make: Make, provider: Provider) -> None:
    provider.calls = [call(0, tokens=Tokens(input=10**16))]
    with pytest.raises(BillMalformed, match="input tokens in one line cannot be true"):
        read(make(account(provider)))
    provider.calls = [call(0, cost=10**30)]
    with pytest.raises(BillMalformed, match="USD in one line cannot be true"):
        read(make(account(provider)))


def test_one_project_is_asked_for(provider: Provider) -> None:
    provider.calls = [call(0), Call(DAY * 86_400.0, "model-a", "key_1", Tokens(5), 3, "proj_1")]
    lines = read(OpenAIBills(account(provider, project="proj_1"), Connector(ConnectSettings())))
    assert sum(line.cost_picousd or 0 for line in lines) == 3
    for workspace, there in (("default", True), ("wrkspc_other", False)):  # everything here is in the default one
        anthropic = AnthropicBills(account(provider, project=workspace), Connector(ConnectSettings()))
        assert bool(read(anthropic)) is there
