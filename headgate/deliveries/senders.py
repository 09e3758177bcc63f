"""One attempt to tell somebody, for each kind of target."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from headgate.deliveries import messages
from headgate.deliveries.settings import Settings
from headgate.deliveries.signing import Signer
from headgate.delivery_ports import Topic
from headgate.delivery_types import Delivery, TargetKind
from headgate.errors import HeadgateError, NotFound
from headgate.job_ports import Jobs
from headgate.job_types import Job
from headgate.outgoing.mailing import hand_in
from headgate.outgoing.posting import Poster
from headgate.outgoing.signing import secret_bytes, signed_headers
from headgate.outgoing.undelivered import ATTEMPT_SECONDS, Undelivered

OpenTopic = Callable[[str], Topic]  # raises HeadgateError for an address that is none
MAX_TOPICS = 64  # open at once; one more closes the one that was opened first


class Sender(Protocol):
    """Tells one kind of target."""

    async def send(self, delivery: Delivery, now: float) -> str:
        """Try once, at `now` in Unix seconds; what was answered. Raises Undelivered."""

    async def aclose(self) -> None:
        """Close connections."""


class WebhookSender:
    """Calls URLs as Standard Webhooks describes it."""

    def __init__(self, jobs: Jobs, poster: Poster, signer: Signer, settings: Settings) -> None:
        self._jobs = jobs
        self._poster = poster
        self._signer = signer
        self._settings = settings

    async def send(self, delivery: Delivery, now: float) -> str:
        """As `Sender.send`."""
        job = await _job(self._jobs, delivery)
        event = messages.event(delivery, job, self._settings().public_url)
        key = secret_bytes(await self._signer.webhook_secret(delivery.tenant))
        body = messages.body(event)
        return await self._poster.post(delivery.target.address, body, signed_headers(key, event.id, int(now), body))

    async def aclose(self) -> None:
        """As `Sender.aclose`."""
        await self._poster.aclose()


class MailSender:
    """Writes mail with a link to the result, which is good for a while without a key."""

    def __init__(self, jobs: Jobs, signer: Signer, settings: Settings) -> None:
        self._jobs = jobs
        self._signer = signer
        self._settings = settings

    async def send(self, delivery: Delivery, now: float) -> str:
        """As `Sender.send`."""
        settings = self._settings()
        if settings.mail is None:
            raise Undelivered("jobs.mail is not in the configuration any more")
        job = await _job(self._jobs, delivery)
        event = messages.event(delivery, job, settings.public_url)
        until = int(now + settings.mail.link_seconds)
        signature = await self._signer.link_signature(job.id, until)
        link = f"{event.data.links.result}?expires={until}&signature={signature}"
        message = messages.mail(event, settings.mail.sender, delivery.target.address, link, until)
        return await hand_in(message, settings.mail.server)

    async def aclose(self) -> None:
        """There is a connection for each message only."""


class TopicSender:
    """Sends messages to topics and queues: answers to those of submitters, events to the operator's."""

    def __init__(self, jobs: Jobs, open_topic: OpenTopic, settings: Settings) -> None:
        self._jobs = jobs
        self._open = open_topic
        self._settings = settings
        self._topics: dict[str, Topic] = {}

    async def send(self, delivery: Delivery, now: float) -> str:
        """As `Sender.send`."""
        settings, is_reply = self._settings(), delivery.target.kind is TargetKind.QUEUE
        address = delivery.target.address if is_reply else settings.publish_jobs
        if not address:
            return "nobody listens: publish.jobs is empty"
        job = await _job(self._jobs, delivery)
        result = await self._answer(job) if is_reply else b""
        event = messages.event(delivery, job, settings.public_url, result)
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                topic = await self._topic(address)
                await topic.send(messages.body(event), event.id)
        except TimeoutError:
            raise Undelivered(f"no answer within {ATTEMPT_SECONDS:g} s") from None
        except HeadgateError as error:
            raise Undelivered(error.message) from error
        return "sent"

    async def aclose(self) -> None:
        """As `Sender.aclose`."""
        for topic in self._topics.values():
            await topic.aclose()
        self._topics.clear()

    async def _topic(self, address: str) -> Topic:
        topic = self._topics.get(address)
        if topic is None:
            topic = self._topics[address] = self._open(address)
            if len(self._topics) > MAX_TOPICS:
                await self._topics.pop(next(iter(self._topics))).aclose()
        return topic

    async def _answer(self, job: Job) -> bytes:
        """The answer of a job of one request, if it fits into a message."""
        if job.counts.total != 1:
            return b""
        items = await self._jobs.items(job.id, 1)
        return items[0].result if items and len(items[0].result) <= messages.LARGEST_RESULT_BYTES else b""


async def _job(jobs: Jobs, delivery: Delivery) -> Job:
    try:
        return await jobs.get(delivery.job_id)
    except NotFound:
        raise Undelivered("the job was erased", final=True) from None
    except HeadgateError as error:
        raise Undelivered(error.message) from error
