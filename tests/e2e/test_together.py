"""Two gateway processes on one Redis and one database: what they know in common."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.test_routers import HARD, SORRY, scripted
from tests.e2e.upstream import Exchange, Upstream, saying
from tests.servers import PostgresqlServer, RedisServer

Pair = tuple[Gateway, Gateway]

SMALL_PICOUSD, LARGE_PICOUSD = (9 + 3 * 2) * 10**6, (9 * 20 + 3 * 40) * 10**6  # of an answer of the upstream's
MOST_PICOUSD = 40 * (SMALL_PICOUSD + LARGE_PICOUSD)  # of a day's shadow runs
WATCHED = {
    "from": ["small", "large"],
    "cost_quality": 0,
    "shadow": {"share": 1, "max_usd_per_day": MOST_PICOUSD / 1e12, "judge": "small", "max_loss": 1},
}

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
        config["routers"]["watched"] = WATCHED
        config["models"]["small"]["cache"] = {"exact": {"ttl_seconds": 600}}
        gateway.config_file.write_text(json.dumps({**config, **shared}))
        gateway.start()
        gateways.append(gateway)
    yield gateways[0], gateways[1]
    for gateway in gateways:
        gateway.stop(but="The store of limits and budgets")  # which may be slow on a busy machine


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

    def follows(attempt: int) -> bool:
        """Whether the other process goes on with the model that a session was given, and one that escalated."""
        named = {"x_headgate_session": f"talk-{attempt}"}
        upstream.plays(scripted("The small one says."))
        in_turn = [ask(one, HARD, **named), ask(other, "thanks", **named), ask(one, "thanks", **named)]
        question = f"What is the capital of country {attempt}?"
        upstream.plays(scripted(SORRY))
        assert ask(one, question) == "large"  # the small one refused
        upstream.plays(scripted("The small one says."))
        assert ask(other, f"{question} And its river?") == "small"  # another conversation
        return [*in_turn, ask(other, question, "and now?")] == ["large"] * 4

    assert any(follows(attempt) for attempt in range(10))  # on a busy machine Redis may take longer than 0.1 s


def test_of_200_identical_requests_at_once_one_asks_the_provider(pair: Pair, upstream: Upstream) -> None:
    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await saying("Paris.")(exchange)

    def at_once(question: str) -> list[tuple[int, dict[str, str], bytes]]:
        body = {"model": "small", "messages": [{"role": "user", "content": question}]}
        with ThreadPoolExecutor(200) as clients:
            ways = [pair[number % 2].request for number in range(200)]
            asked = [clients.submit(request, "POST", "/v1/chat/completions", body) for request in ways]
            return [one.result() for one in asked]

    for attempt in range(10):  # on a busy machine Redis may take longer than 0.1 s: then nobody waits for it, and asks
        upstream.plays(slowly)
        told = at_once(f"What is the capital of France, please ({attempt})?")
        assert {status for status, _, _ in told} == {200}
        assert len({body for _, _, body in told}) == 1
        how = Counter(headers["x-headgate-cache"] for _, headers, _ in told)
        paid = sum(headers["x-headgate-cost-usd"] != "0" for _, headers, _ in told)
        assert upstream.requests == how["miss"] == paid
        if upstream.requests == 1:
            break
    assert upstream.requests == 1
    assert how["coalesced"] > 0 and how.total() == 200


def test_shadow_runs_of_both_cost_no_more_than_the_day_may_and_are_reported_by_both(
    pair: Pair, upstream: Upstream
) -> None:
    count, spent_picousd = 120, 0

    async def answering(exchange: Exchange) -> None:
        nonlocal spent_picousd
        if exchange.body["model"] == "gpt-5":
            spent_picousd += LARGE_PICOUSD
        elif exchange.body["messages"][0]["role"] == "system":
            spent_picousd += SMALL_PICOUSD
        await saying("TIE")(exchange)

    def ask_watched(number: int) -> None:
        messages = [{"role": "user", "content": f"hello {number}"}]
        body = {"model": "watched", "messages": messages, "max_tokens": 5}
        assert pair[number % 2].request("POST", "/v1/chat/completions", body)[0] == 200

    def runs(gateway: Gateway, outcome: str) -> int:
        _, _, page = gateway.request("GET", "/metrics")
        return sum(map(int, re.findall(rf"^headgate_router_shadow_{outcome}_total{{.*}} (\d+)", page.decode(), re.M)))

    def judged_by_each() -> list[int] | None:
        judged = [runs(gateway, "runs") for gateway in pair]
        return judged if sum(judged) + sum(runs(gateway, "failures") for gateway in pair) == count else None

    upstream.plays(answering)
    for number, gateway in enumerate(pair):  # each has one before one of them may take all the money
        ask_watched(number)
        gateway.eventually(lambda gateway=gateway: runs(gateway, "runs") + runs(gateway, "failures") == 1)  # type: ignore[misc]  # a default of its own
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask_watched, range(2, count)))
    judged = pair[0].eventually(judged_by_each)
    assert 0 not in judged
    assert 0.3 * MOST_PICOUSD < spent_picousd <= MOST_PICOUSD  # by the provider's own count
    reports = [gateway.get_json("/admin/route/stats")["weeks"] for gateway in pair]
    assert reports[0] == reports[1]
    (week,) = reports[0]
    assert (week["router"], week["ties"], week["wins"], week["losses"]) == ("watched", sum(judged), 0, 0)
    assert float(week["cost_usd"]) * 1e12 == pytest.approx(sum(judged) * (SMALL_PICOUSD + LARGE_PICOUSD))
