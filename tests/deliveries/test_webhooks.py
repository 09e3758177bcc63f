"""Webhooks of jobs, to real servers on loopback: every end, signed, until somebody takes them."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from headgate.delivery_types import DeliveryState
from headgate.job_types import ItemState
from headgate.outgoing import posting
from headgate.policy.delivering import AT_ONCE_PER_LANE, GIVE_UP_SECONDS
from headgate.types import Outcome
from tests.admin.office import ledger_row
from tests.contract.test_jobs import end
from tests.deliveries.post import CONFIG, Post, post, received, run
from tests.providers.loopback import Peer, answering, header, serving

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"


def signed(head: str) -> dict[str, str]:
    return {name: str(header(head, name)) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}


def test_the_end_of_a_job_is_told_and_signed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server, post(tmp_path) as made:
            await made.submit(requests=2, webhook=f"http://127.0.0.1:{server.port}/hook?x=1")
            await made.do(ItemState.FAILED, error_code="upstream_error", error="no")
            assert await made.deliveries.relay.step() == 1
            ((head, body),) = received(server)
            assert head.startswith("POST /hook?x=1 HTTP/1.1")
            told = json.loads(body)
            assert told["type"] == "job.failed" and told["id"] == header(head, "webhook-id")
            data = told["data"]
            assert data["progress"] == {"done": 2, "total": 2} and data["cost_usd"] == "0"
            assert data["error"] == {"code": "upstream_error", "message": "no"} and "result" not in data
            assert data["links"]["result"] == "https://llm.example.com/v1/jobs/job_001/result"
            secret = await made.deliveries.desk.signer.webhook_secret("acme")
            assert secret.startswith("whsec_") and secret != await made.deliveries.desk.signer.webhook_secret("other")
            client = OpenAI(api_key="none")
            client.webhooks.verify_signature(body, signed(head), secret=secret, tolerance=2**31)
            with pytest.raises(InvalidWebhookSignatureError):
                client.webhooks.verify_signature(body + b" ", signed(head), secret=secret, tolerance=2**31)
            (delivery,) = await made.of()
            assert (delivery.state, delivery.attempts, delivery.answer) == (DeliveryState.DELIVERED, 1, "204")
            assert await made.deliveries.relay.step() == 0

    run(scenario)


def test_the_cost_is_told_and_the_operators_secret_is_used(tmp_path: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    config = (
        f"{CONFIG}\ntiers: {{pro: {{models: ['*']}}}}\ntenants: {{acme: {{tier: pro, webhook_secret: {secret}}}}}\n"
    )

    async def scenario() -> None:
        async with serving(answering(OK)) as server, post(tmp_path, config) as made:
            await made.submit(webhook=f"http://127.0.0.1:{server.port}/")
            leases = await made.desk.work.claim("w1", ["req_1"], 30.0)
            assert len(leases) == 1
            await made.desk.ledger.write([ledger_row(1, cost_picousd=82_000_000, outcome=Outcome.DONE)])
            await made.desk.work.finish("w1", [end(leases[0])])
            made.desk.clock.time += 2.0
            await made.deliveries.relay.step()
            ((head, body),) = received(server)
            assert json.loads(body)["data"]["cost_usd"] == "0.000082"
            OpenAI(api_key="none").webhooks.verify_signature(body, signed(head), secret=secret, tolerance=2**31)

    run(scenario)


async def until_it_ends(made: Post) -> list[float]:
    """Deliver on a clock that is turned to each next attempt; when the attempts were."""
    at = []
    while (delivery := (await made.of())[0]).state is DeliveryState.PENDING:
        made.desk.clock.time = max(made.desk.clock.time, delivery.next_at)
        assert await made.deliveries.relay.step() == 1
        at.append(made.desk.clock.time)
    return at


def test_it_is_tried_for_a_day_then_given_up_and_can_be_told_again(tmp_path: Path) -> None:
    answer = [BUSY]

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer[0])

    async def scenario() -> None:
        async with serving(handler) as server, post(tmp_path) as made:
            await made.submit(webhook=f"http://127.0.0.1:{server.port}/")
            await made.do()
            at = await until_it_ends(made)
            assert 20 < len(at) < 60 and GIVE_UP_SECONDS - 3700 < at[-1] - at[0] <= GIVE_UP_SECONDS
            pauses = [after - before for before, after in itertools.pairwise(at)]
            assert 2.5 <= pauses[0] < 5.0 and min(pauses[-5:]) >= 1800 and max(pauses) < 3600
            (dead,) = await made.of()
            assert dead.state is DeliveryState.DEAD and dead.answer.startswith("503 busy (")
            assert (await made.deliveries.standing()).dead == 1
            answer[0] = OK
            (again,) = await made.outbox.redeliver("job_001")
            assert again.attempts == 0 and await made.deliveries.relay.step() == 1
            assert (await made.of())[0].state is DeliveryState.DELIVERED
            assert len({header(head, "webhook-id") for head, _ in received(server)}) == 1

    run(scenario)


def test_a_receiver_that_is_gone_is_not_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            serving(answering(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")) as server,
            post(tmp_path) as made,
        ):
            await made.submit(webhook=f"http://127.0.0.1:{server.port}/")
            await made.do()
            await made.deliveries.relay.step()
            (dead,) = await made.of()
            assert (dead.state, dead.attempts) == (DeliveryState.DEAD, 1) and "never take it" in dead.answer

    run(scenario)


def test_who_never_answers_delays_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ATTEMPT_SECONDS", 60.0)

    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async def scenario() -> None:
        async with serving(silent) as hole, serving(answering(OK)) as server, post(tmp_path) as made:
            for number in range(1, 21):
                await made.submit(number, webhook=f"http://127.0.0.1:{hole.port}/")
            await made.submit(30, webhook=f"http://127.0.0.1:{server.port}/")
            await made.do()
            relay = asyncio.create_task(made.deliveries.relay.run_forever())
            while not received(server):  # noqa: ASYNC110  # the server is a real one
                await asyncio.sleep(0.01)
            assert len(received(hole)) <= AT_ONCE_PER_LANE  # and none of them has ended yet
            told = [one for number in range(1, 21) for one in await made.of(f"job_{number:03}")]
            assert len(told) == 20 and all(one.attempts == 0 for one in told)
            relay.cancel()

    run(scenario)


def test_what_turned_inside_after_the_submission_is_not_called(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server, post(tmp_path) as made:
            await made.submit(webhook=f"http://127.0.0.1:{server.port}/")
            await made.do()
            await made.deliveries.drain(0.0)
            async with post(tmp_path, "jobs: {public_url: https://x.example}") as narrower:
                narrower.desk.clock.time = made.desk.clock.time + 1
                await narrower.deliveries.relay.step()
                (delivery,) = await narrower.of()
            assert "allow_networks" in delivery.answer and received(server) == []

    run(scenario)


def test_two_processes_tell_it_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server, post(tmp_path) as made, post(tmp_path) as other:
            for number in range(1, 31):
                await made.submit(number, webhook=f"http://127.0.0.1:{server.port}/{number}")
            await made.do()
            other.desk.clock.time = made.desk.clock.time
            while any(await asyncio.gather(made.deliveries.relay.step(), other.deliveries.relay.step())):
                pass
            ids: list[Any] = [header(head, "webhook-id") for head, _ in received(server)]
            assert len(ids) == len(set(ids)) == 30

    run(scenario)
