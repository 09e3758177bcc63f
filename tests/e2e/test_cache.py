"""Answers that are given again, by a real gateway to real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import anthropic
import openai
import pytest
from click.testing import CliRunner

from headgate.commands.cache import cache
from tests.e2e.gateway import ADMIN_KEY, ALICE, CAROL, HOST, Gateway, Json
from tests.e2e.upstream import WAIT_SECONDS, Exchange, Upstream, chat_chunk
from tests.e2e.vendors.playing import speaking
from tests.e2e.wire import Wire

VENDORS = ["by-openai", "by-anthropic", "by-gemini"]
AT_ONCE = 200


@pytest.fixture(scope="module")
def caching(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("caching")
    gateway = Gateway(folder, running_upstream.url)
    config: Json = json.loads(gateway.config_file.read_text())
    for model in config["models"].values():
        model["cache"] = {"exact": {"ttl_seconds": 600}}
    gateway.config_file.write_text(json.dumps(config))
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(autouse=True)
def nothing_is_kept(caching: Gateway) -> None:
    assert caching.request("POST", "/admin/cache/flush", {}, key=ADMIN_KEY)[0] == 200


@pytest.fixture
def openai_client(caching: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{caching.url}/v1", api_key=ALICE, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(caching: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=caching.url, api_key=ALICE, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", VENDORS)
def test_the_openai_package(openai_client: openai.OpenAI, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())
    chat, responses = openai_client.chat.completions, openai_client.responses
    hello = [{"role": "user", "content": "Hello"}]
    raw = [chat.with_raw_response.create(model=model, messages=hello) for _ in range(2)]  # type: ignore[arg-type]  # a dict is a message
    assert [answer.headers["x-headgate-cache"] for answer in raw] == ["miss", "exact"]
    assert raw[0].parse() == raw[1].parse()
    assert raw[0].headers["x-request-id"] != raw[1].headers["x-request-id"]
    assert raw[1].headers["x-headgate-cost-usd"] == "0"
    streams = [list(chat.create(model=model, messages=hello, stream=True)) for _ in range(2)]  # type: ignore[call-overload]  # as above
    assert streams[0] == streams[1] and len(streams[0]) > 2
    answers = [responses.create(model=model, input="Hello") for _ in range(2)]
    assert answers[0] == answers[1]
    events = [list(responses.create(model=model, input="Hello", stream=True)) for _ in range(2)]
    assert events[0] == events[1] and events[0][-1].type == "response.completed"
    assert upstream.requests == 4


@pytest.mark.parametrize("model", VENDORS)
def test_the_anthropic_package(anthropic_client: anthropic.Anthropic, upstream: Upstream, model: str) -> None:
    upstream.plays(speaking())

    def ask() -> anthropic.types.Message:
        return anthropic_client.messages.create(
            model=model, max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        )

    def stream() -> anthropic.types.Message:
        with anthropic_client.messages.stream(
            model=model, max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        ) as events:
            return events.get_final_message()

    assert ask() == ask()
    assert stream() == stream()
    assert upstream.requests == 2


@pytest.mark.parametrize(
    "path, body, answer",
    [
        (
            "completions",
            {"model": "small", "prompt": "Hello", "temperature": 0},
            {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]},
        ),
        (
            "embeddings",
            {"model": "embed", "input": "Hello"},
            {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]},
        ),
    ],
)
def test_other_routes(caching: Gateway, upstream: Upstream, path: str, body: Json, answer: Json) -> None:
    answer = {**answer, "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

    async def script(exchange: Exchange) -> None:
        await exchange.json(answer)

    upstream.plays(script)
    seen = [caching.request("POST", f"/v1/{path}", body) for _ in range(2)]
    assert [headers["x-headgate-cache"] for _, headers, _ in seen] == ["miss", "exact"]
    assert upstream.requests == 1
    assert (
        json.loads(seen[0][2])["data" if path == "embeddings" else "choices"]
        == json.loads(seen[1][2])["data" if path == "embeddings" else "choices"]
    )


def test_another_tenant_gets_its_own(caching: Gateway, upstream: Upstream) -> None:
    upstream.plays(speaking())
    body = {"model": "small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}
    told = [caching.request("POST", "/v1/chat/completions", body, key=key)[1] for key in (ALICE, CAROL, ALICE, CAROL)]
    assert [headers["x-headgate-cache"] for headers in told] == ["miss", "miss", "exact", "exact"]
    assert 0 <= int(told[2]["age"]) < 60
    assert told[2]["x-headgate-cache-from"] == told[0]["x-request-id"]


def test_headers_say_what_is_wanted(caching: Gateway, upstream: Upstream) -> None:
    upstream.plays(speaking())
    body = {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}

    def ask(**headers: str) -> tuple[int, str, bytes]:
        status, told, answer = caching.request("POST", "/v1/chat/completions", body, **headers)
        return status, told.get("x-headgate-cache", told.get("x-should-retry", "")), answer

    status, retry, answer = ask(x_headgate_cache="only")
    assert (status, retry, json.loads(answer)["error"]["code"]) == (504, "false", "not_cached")
    assert ask(x_headgate_cache_ttl="0")[:2] == (200, "miss")
    assert ask()[:2] == (200, "miss")
    assert ask()[:2] == (200, "exact")
    assert ask(x_headgate_cache="refresh")[:2] == (200, "miss")
    assert ask(x_headgate_cache="off")[:2] == (200, "off")
    assert ask(x_headgate_cache="sometimes")[0] == 400
    assert ask(x_headgate_cache_ttl="an hour")[0] == 400


def test_many_at_once_make_one_call(caching: Gateway, upstream: Upstream) -> None:
    async def patient(exchange: Exchange) -> None:
        await exchange.told_to_go_on()
        await exchange.words(["one", "two"], {"prompt_tokens": 3, "completion_tokens": 2})

    upstream.plays(patient)
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Hello"}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\nconnection: close\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, caching.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async def all_at_once() -> list[bytes]:
        asking = [asyncio.create_task(ask()) for _ in range(AT_ONCE)]
        while await asyncio.to_thread(caching.metric, "headgate_in_flight") < AT_ONCE:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.01)
        upstream.exchange().go_on()
        return await asyncio.gather(*asking)

    answers = asyncio.run(all_at_once())
    assert upstream.requests == 1
    assert sorted(answer.count(b"x-headgate-cache: coalesced") for answer in answers) == [0] + [1] * (AT_ONCE - 1)
    assert all(answer.count(b'"two"') == 1 and b"[DONE]" in answer for answer in answers)
    caching.is_quiet()


def test_the_answer_goes_on_for_others_when_the_first_one_leaves(caching: Gateway, upstream: Upstream) -> None:
    async def stepwise(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.event(chat_chunk({"role": "assistant", "content": "one"}))
        await exchange.told_to_go_on()
        await exchange.event(chat_chunk({"content": "two"}, finish="stop"))
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    upstream.plays(stepwise)
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Hello"}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE}\r\n".encode()
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    with Wire(caching) as first, Wire(caching) as second:
        for wire in (first, second):
            wire.send(request)
            seen = b""
            while b'"one"' not in seen:
                seen += wire.socket.recv(4096)
        first.close()
        caching.eventually(lambda: caching.metric("headgate_client_connections") <= 2 or None)
        assert not upstream.exchange().client_left.is_set()
        upstream.exchange().go_on()
        while b"[DONE]" not in seen:
            seen += second.socket.recv(4096)
    assert b'"two"' in seen and upstream.requests == 1
    assert upstream.exchange().finished.wait(WAIT_SECONDS)
    caching.is_quiet()


def test_the_command_line(caching: Gateway, upstream: Upstream) -> None:
    def headgate(*words: str) -> str:
        environment = {"HEADGATE_ADMIN_KEY": ADMIN_KEY}
        done = CliRunner().invoke(cache, [*words, "--url", caching.url], env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    upstream.plays(speaking())
    body = {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}
    before = caching.metric("headgate_cache_misses_total")
    request_id = caching.request("POST", "/v1/chat/completions", body)[1]["x-request-id"]
    caching.request("POST", "/v1/chat/completions", body)
    assert json.loads(headgate("stats", "--json"))["entries"] == 1
    assert "You said: Hello" in headgate("show", request_id)
    assert headgate("flush", "--tenant", "acme") == "1 answers dropped.\n"
    assert caching.metric("headgate_cache_entries") == 0
    assert caching.metric("headgate_cache_hits_total") > 0
    assert caching.metric("headgate_cache_misses_total") == before + 1
