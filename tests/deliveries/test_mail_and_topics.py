"""Mail with links to results, and messages to topics."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from headgate.delivery_errors import LinkExpired, MailRefused, ReplyRefused, WebhookRefused
from headgate.delivery_types import DeliveryState, TargetKind
from headgate.job_types import ItemState
from tests.alerts.smtp import MailServer, mail_server
from tests.deliveries.post import CONFIG, Post, Topics, post, run

ANSWER = b'{"choices": [{"message": {"content": "hello"}}]}'
REPLY = "redis://127.0.0.1:6379/answers"


def with_mail(port: int) -> str:
    mail = f"from: Headgate <h@example.com>, host: 127.0.0.1, port: {port}, starttls: false, link_days: 2"
    return f"{CONFIG}  mail: {{{mail}, domains: [example.com]}}\n"


def test_mail_with_a_link_that_is_good_for_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with mail_server(MailServer()) as server, post(tmp_path, with_mail(server.port)) as made:
            await made.submit(mail=("ann@example.com", "bob@example.com"))
            await made.do(ItemState.DEAD, error_code="upstream_error", error="was\naway")
            assert await made.deliveries.relay.step() == 2
            assert sorted(mail.recipients[0] for mail in server.mails) == ["ann@example.com", "bob@example.com"]
            read = message_from_bytes(server.mails[0].data, policy=policy.default)
            assert read["Subject"] == "[headgate] Job job_001 has been given up" and "was away" in read.get_content()
            (link,) = [line.strip() for line in read.get_content().split("\n") if line.startswith("https://")]
            path, _, query = link.partition("?")
            assert path == "https://llm.example.com/v1/jobs/job_001/result"
            sent = dict(pair.split("=") for pair in query.split("&"))
            expires, signature = sent["expires"], sent["signature"]
            desk, clock = made.deliveries.desk, made.desk.clock
            await desk.check_link("job_001", expires, signature)
            wrong = [("job_002", expires, signature), ("job_001", f"{int(expires) + 1}", signature)]
            wrong += [("job_001", expires, signature[:-1] + "x"), ("job_001", "", signature), ("job_001", "٣", "ä")]
            for job_id, until, signed in wrong:
                with pytest.raises(LinkExpired):
                    await desk.check_link(job_id, until, signed)
            clock.time += 2 * 86_400 + 1
            with pytest.raises(LinkExpired):
                await desk.check_link("job_001", expires, signature)

    run(scenario)


def test_a_refused_address_is_dead_and_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        refusing = MailServer(refuse={"ann@example.com": "550 no such user"})
        async with mail_server(refusing) as server, post(tmp_path, with_mail(server.port)) as made:
            await made.submit(mail=("ann@example.com",))
            await made.do()
            await made.deliveries.relay.step()
            (dead,) = await made.of()
            assert dead.state is DeliveryState.DEAD and "550 no such user" in dead.answer

    run(scenario)


def test_an_answer_goes_to_the_reply_topic_and_events_to_the_operators(tmp_path: Path) -> None:
    config = f"{CONFIG}  reply_to: [{REPLY}]\npublish: {{jobs: redis://127.0.0.1:6379/events}}\n"
    topics = Topics()

    async def scenario() -> None:
        async with post(tmp_path, config, topics.open) as made:
            await made.submit(1, reply_to=REPLY)
            await made.submit(2, requests=2, reply_to=REPLY)
            topics.down.add(REPLY)
            await made.do(result=ANSWER)
            while await made.deliveries.relay.step():
                pass
            waiting = [one for one in await made.of() if one.state is DeliveryState.PENDING]
            assert [(one.target.kind, one.answer) for one in waiting] == [(TargetKind.QUEUE, "The broker is away.")]
            topics.down.clear()
            made.desk.clock.time += 10
            await made.deliveries.relay.step()
            told = {address: [] for address, _, _ in topics.sent}
            for address, body, dedupe_id in topics.sent:
                told[address].append(json.loads(body))
                assert told[address][-1]["id"] == dedupe_id
            events = told["redis://127.0.0.1:6379/events"]
            of_one = [event["type"] for event in events if event["data"]["id"] == "job_001"]
            assert sorted(of_one) == ["job.queued", "job.running", "job.succeeded"]
            assert all("result" not in event["data"] for event in events)
            answers = {event["data"]["id"]: event["data"] for event in told[REPLY]}
            assert answers["job_001"]["result"] == json.loads(ANSWER)
            assert "result" not in answers["job_002"]  # of several requests it is fetched
            assert len({dedupe_id for _, _, dedupe_id in topics.sent}) == len(topics.sent)

    run(scenario)


async def refused(made: Post, kind: type[Exception], **told: object) -> str:
    with pytest.raises(kind) as refusal:
        await made.submit(**told)  # type: ignore[arg-type]  # what is wrong with it is the test
    return str(refusal.value)


def test_who_cannot_be_told_is_refused_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with post(tmp_path, with_mail(25)) as made:
            assert "metadata" in await refused(made, WebhookRefused, webhook="http://169.254.169.254/")
            assert "https://" in await refused(made, WebhookRefused, webhook="gopher://x")
            assert "is no address" in await refused(made, MailRefused, mail=("ann",))
            assert "is no address" in await refused(made, MailRefused, mail=("a@example.com\nBcc: x@example.com",))
            assert "is no address" in await refused(made, MailRefused, mail=("A <a@example.com>",))
            assert "example.com only" in await refused(made, MailRefused, mail=("ann@evil.example",))
            assert "at most 10" in await refused(made, MailRefused, mail=("a@example.com",) * 11)
            assert "reply_to" in await refused(made, ReplyRefused, reply_to=REPLY)
        async with post(tmp_path / "other") as made:
            assert "sends no mail" in await refused(made, MailRefused, mail=("ann@example.com",))

    run(scenario)


@pytest.mark.parametrize(("address", "good"), [(REPLY, True), (f"{REPLY}-x", True), ("redis://evil/answers", False)])
def test_reply_topics_by_their_beginning(tmp_path: Path, address: str, good: bool) -> None:
    async def scenario() -> None:
        async with post(tmp_path, f"{CONFIG}  reply_to: ['{REPLY}*']\n") as made:
            if good:
                assert await made.submit(reply_to=address)
            else:
                await refused(made, ReplyRefused, reply_to=address)

    run(scenario)
