"""Two gateway processes on one Redis and one database: what they know in common."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.test_routers import HARD, SORRY, scripted
from tests.e2e.upstream import Upstream
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
