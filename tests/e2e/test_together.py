"""Two gateway processes on one Redis and one database: what they know in common."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.test_routers import HARD, SORRY, scripted
from tests.e2e.upstream import Exchange, Upstream, saying
from tests.servers import PostgresqlServer, RedisServer

Pair = tuple[Gateway, Gateway]

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def pair(
    running_upstream: Upstream,
    running_redis: RedisServer | None,
    running_postgresql: PostgresqlServer | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    if running_redis is None or running_postgresql is None:
        pytest.skip("needs the Debian packages redis-server and postgresql")
    shared = {"store": running_redis.url.replace("/0", "/7"), "database": running_postgresql.new_database()}
    gateways = []
    for name in ("one", "other"):
        gateway = Gateway(tmp_path_factory.mktemp(name), running_upstream.url)
        config: Json = json.loads(gateway.config_file.read_text())
        config["models"]["small"]["cache"] = {"exact": {"ttl_seconds": 600}}
        gateway.config_file.write_text(json.dumps({**config, **shared}))
        gateway.start()
        gateways.append(gateway)
    yield gateways[0], gateways[1]
    for gateway in gateways:
        gateway.stop()


def ask(gateway: Gateway, *texts: str, **headers: str) -> str:
    """The model that a conversation is given; the user's texts, with an answer after each but the last."""
    messages = [{"role": "user", "content": texts[0]}]
    for text in texts[1:]:
        messages += [{"role": "assistant", "content": "Well."}, {"role": "user", "content": text}]
    status, told, body = gateway.request(
        "POST", "/v1/chat/completions", {"model": "auto", "messages": messages}, **headers
    )
    assert status == 200, body
    return told["x-headgate-model"]


def test_a_conversation_keeps_its_model_in_every_process(pair: Pair, upstream: Upstream) -> None:
    one, other = pair
    upstream.plays(scripted("The small one says."))
    named = {"x_headgate_session": "talk-1"}
    assert [ask(one, HARD, **named), ask(other, "thanks", **named), ask(one, "thanks", **named)] == ["large"] * 3
    upstream.plays(scripted(SORRY))
    assert ask(one, "Hello there?") == "large"  # the small one refused
    upstream.plays(scripted("The small one says."))
    assert ask(other, "Hello there?", "and now?") == "large"
    assert ask(other, "Hello there, you?") == "small"


def test_of_200_identical_requests_at_once_one_asks_the_provider(pair: Pair, upstream: Upstream) -> None:
    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await saying("Paris.")(exchange)

    upstream.plays(slowly)
    body = {"model": "small", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    with ThreadPoolExecutor(200) as clients:
        ways = [pair[number % 2].request for number in range(200)]
        asked = [clients.submit(request, "POST", "/v1/chat/completions", body) for request in ways]
        told = [one.result() for one in asked]
    assert {status for status, _, _ in told} == {200}
    assert len({body for _, _, body in told}) == 1
    assert upstream.requests == 1
    how = Counter(headers["x-headgate-cache"] for _, headers, _ in told)
    assert how["miss"] == 1 and how["coalesced"] > 0 and how.total() == 200
    assert sum(headers["x-headgate-cost-usd"] != "0" for _, headers, _ in told) == 1
