"""Errors as the openai package for Python raises them, and when it tries again."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.e2e.gateway import ALICE, CAROL, Gateway
from tests.e2e.prompts import HELLO, PICTURE, WEATHER
from tests.e2e.upstream import Exchange, Upstream, chat_answer, dump, failing


def refusal(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def raised(client: openai.OpenAI, kind: type[openai.APIStatusError], **request: Any) -> openai.APIStatusError:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": "small", "messages": HELLO, **request})
    assert type(caught.value) is kind
    assert caught.value.request_id is not None and caught.value.request_id.startswith("req_")
    return caught.value


def test_a_wrong_key(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="hg-wrong") as client:
        error = raised(client, openai.AuthenticationError)
    assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "authentication_error")


def test_an_unknown_model(client: openai.OpenAI) -> None:
    error = raised(client, openai.NotFoundError, model="no-such-model")
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert "no-such-model" in error.message and "/v1/models" in error.message


def test_a_wrong_value(client: openai.OpenAI) -> None:
    error = raised(client, openai.BadRequestError, n=0)
    assert (error.code, error.param) == ("invalid_request", "n")


def test_what_the_provider_finds_wrong(client: openai.OpenAI, upstream: Upstream) -> None:
    value = refusal("Invalid 'temperature'.", "invalid_request_error", "invalid_value", "temperature")
    upstream.plays(failing(400, value))
    error = raised(client, openai.BadRequestError, temperature=9)
    assert (error.code, error.param) == ("invalid_value", "temperature")
    assert error.body == value["error"]


def test_a_feature_the_tier_does_not_have(gateway: Gateway, upstream: Upstream) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=CAROL) as client:
        error = raised(client, openai.PermissionDeniedError, tools=[WEATHER])
        assert (error.code, error.param) == ("feature_not_allowed", "tools")
        error = raised(client, openai.PermissionDeniedError, messages=PICTURE)
        assert (error.code, error.param) == ("feature_not_allowed", "images")
        assert raised(client, openai.NotFoundError, model="embed").code == "model_not_found"
    assert upstream.requests == 0


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, "server_error"),
        (503, openai.InternalServerError, "overloaded"),
    ],
)
def test_what_the_provider_cannot_do_now(
    client: openai.OpenAI, upstream: Upstream, status: int, kind: type[openai.APIStatusError], code: str
) -> None:
    upstream.plays(failing(status, refusal("Not now.", "busy", code), "retry-after: 3"))
    error = raised(client, kind)
    assert (error.status_code, error.code) == (status, code)
    assert error.response.headers["retry-after"] == "3"
    assert error.response.headers["retry-after-ms"] == "3000"


def test_a_provider_that_refuses_the_gateways_key(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(failing(401, refusal("Incorrect API key sk-upstream-secret.", "x", "invalid_api_key")))
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=2) as client:
        error = raised(client, openai.InternalServerError)
    assert (error.status_code, error.code) == (502, "upstream_auth")
    assert "sk-upstream-secret" not in str(error)
    assert error.response.headers["x-should-retry"] == "false"
    assert upstream.requests == 1, "the package was told not to try again"


def test_no_connection_to_the_provider(client: openai.OpenAI) -> None:
    error = raised(client, openai.InternalServerError, model="unreachable")
    assert (error.status_code, error.code) == (502, "upstream_unreachable")


def test_a_stream_that_never_begins(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.plays(Exchange.silence)
    error = raised(client, openai.InternalServerError, model="impatient", stream=True)
    assert (error.status_code, error.code) == (504, "upstream_first_token_timeout")


@pytest.mark.parametrize("ending", ["cut", "silence", "error", "no finish reason", "malformed"])
def test_a_stream_that_breaks_is_an_error(client: openai.OpenAI, upstream: Upstream, ending: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.event(dump({"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}))
        match ending:
            case "silence":
                await exchange.silence()
            case "error":
                await exchange.event(dump(refusal("The engine died.", "server_error", None)))
            case "no finish reason":
                await exchange.event(b"[DONE]")
                await exchange.end_stream()
            case "malformed":
                await exchange.event(b'{"choices": [{"index"')
        if ending == "cut":
            exchange.client_left.set()  # closes the connection

    upstream.plays(script)
    words = []
    model = "unsteady" if ending == "silence" else "small"
    with (
        pytest.raises(openai.APIError) as caught,
        client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream,
    ):
        for chunk in stream:
            words.append(chunk.choices[0].delta.content)
    assert words == ["Hel"]
    codes = {"cut": "stream_incomplete", "silence": "stream_stalled", "error": "stream_failed"}
    codes |= {"no finish reason": "stream_incomplete", "malformed": "stream_malformed"}
    assert caught.value.code == codes[ending]


def test_the_package_retries_when_it_is_told_to(gateway: Gateway, upstream: Upstream) -> None:
    async def second_time(exchange: Exchange) -> None:
        if upstream.requests == 1:
            await exchange.json(refusal("Slow down.", "requests", "rate_limit_exceeded"), 429, "retry-after-ms: 20")
        else:
            await exchange.json(chat_answer("Hello"))

    upstream.plays(second_time)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=1) as client:
        assert client.chat.completions.create(model="small", messages=HELLO).choices[0].message.content == "Hello"
    assert upstream.requests == 2


def test_the_gateway_retries_first(client: openai.OpenAI, upstream: Upstream) -> None:
    async def third_time(exchange: Exchange) -> None:
        if upstream.requests < 3:
            await exchange.json(refusal("Oh.", "server_error", None), 500)
        else:
            await exchange.json(chat_answer("Hello"))

    upstream.plays(third_time)
    answer = client.chat.completions.with_raw_response.create(model="patient", messages=HELLO)
    told = "upstream/gpt-4o-mini 500, upstream/gpt-4o-mini 500, upstream/gpt-4o-mini 200"
    assert answer.headers["x-headgate-attempts"] == told
    assert upstream.requests == 3
