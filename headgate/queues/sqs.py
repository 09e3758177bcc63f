"""A queue in Amazon SQS, or in what speaks its API. Credentials are those that AWS's tools use on this machine.

sqs://REGION/NAME, or sqs://REGION/ACCOUNT/NAME for another account's; parameters: endpoint, profile. A name that ends
in .fifo is a queue that keeps order and drops duplicates for five minutes.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headgate.errors import MissingExtra
from headgate.ports import Clock
from headgate.queue_errors import MessageRefused, QueueUnavailable
from headgate.queue_types import Headers, Message, QueueBacklog
from headgate.queues.places import Place

DEDUPE_ID = "headgate-dedupe-id"
DUE_AT = "headgate-due-at"
ENCODING = "headgate-encoding"
MOST_AT_ONCE = 10
MOST_DELAY_SECONDS = 900
_LONGEST_POLL_SECONDS = 20
_SHORT_POLL_SECONDS = 0.2
_LONGEST_LEASE_SECONDS = 43_200
_NOT_IN_A_BODY = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OURS = (DEDUPE_ID, DUE_AT, ENCODING)
_TOO_LONG = ("InvalidParameterValue", "InvalidMessageContents", "BatchRequestTooLong")
_LOST = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight")


class SqsQueue:
    """The port `Queue` on SQS. It connects when it is used."""

    def __init__(self, place: Place, clock: Clock, lease_seconds: float) -> None:
        """Leases are whole seconds. Raises MissingExtra."""
        try:
            import botocore.session  # noqa: F401  # it is made later
        except ImportError:
            raise MissingExtra("A queue in SQS needs headgate[sqs]: pip install 'headgate[sqs]'.") from None
        account, _, name = place.name.rpartition("/")
        self._place = place
        self._clock = clock
        self._lease_seconds = max(1, round(lease_seconds))
        self._whose = {"QueueName": name} | ({"QueueOwnerAWSAccountId": account} if account else {})
        self.drops_duplicates = self._is_fifo = name.endswith(".fifo")
        self._client: Any = None
        self._url = ""
        self._opening = asyncio.Lock()
        self._receiving = ThreadPoolExecutor(1, "headgate-sqs-receive")
        self._asking = ThreadPoolExecutor(4, "headgate-sqs")
        self._last_sent_at: float | None = None

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        text, encoding = _written(body)
        named = dict(headers) | {DEDUPE_ID: dedupe_id, ENCODING: encoding}
        more: dict[str, Any] = {}
        if delay_seconds > 0:
            named[DUE_AT] = repr(self._clock.now() + delay_seconds)
            if not self._is_fifo:  # it knows no delays of single messages
                more["DelaySeconds"] = min(MOST_DELAY_SECONDS, int(delay_seconds))
        if self._is_fifo:
            more |= {"MessageGroupId": "headgate", "MessageDeduplicationId": dedupe_id or self._clock.new_id("msg")}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in named.items() if value}
        await self._ask("send_message", MessageBody=text, MessageAttributes=attributes, **more)

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while True:
            left = until - self._clock.monotonic()
            found = await self._take(min(limit, MOST_AT_ONCE), left) if limit else []
            if found or left <= 0:
                return found
            if left < 1 or not limit:
                await asyncio.sleep(min(left, _SHORT_POLL_SECONDS))

    async def extend(self, message: Message) -> bool:
        return await self._change(message.receipt, self._lease_seconds)

    async def ack(self, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), MOST_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt}
                for number, message in enumerate(messages[start : start + MOST_AT_ONCE])
            ]
            await self._ask("delete_message_batch", Entries=entries)

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        """To the second, rounded up; at most twelve hours."""
        await self._change(message.receipt, min(_LONGEST_LEASE_SECONDS, -(-int(delay_seconds * 1000) // 1000)))

    async def backlog(self) -> QueueBacklog:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        told = (await self._ask("get_queue_attributes", AttributeNames=names))["Attributes"]
        depth = sum(int(told[name]) for name in names)
        if not depth:
            return QueueBacklog()
        last = self._last_sent_at
        return QueueBacklog(depth, None if last is None else max(0.0, self._clock.now() - last))

    async def aclose(self) -> None:
        """What it had comes back when the leases run out."""
        self._receiving.shutdown(wait=False)
        self._asking.shutdown(wait=False)
        if self._client is not None:
            self._client.close()

    # --- parts ---

    async def _take(self, limit: int, left: float) -> list[Message]:
        wait = max(0, min(_LONGEST_POLL_SECONDS, int(left)))
        told = await self._ask(
            "receive_message", MaxNumberOfMessages=limit, WaitTimeSeconds=wait, VisibilityTimeout=self._lease_seconds,
            MessageAttributeNames=["All"], AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )  # fmt: skip
        found = []
        for raw in told.get("Messages", ()):
            named = {name: str(each.get("StringValue", "")) for name, each in raw.get("MessageAttributes", {}).items()}
            ahead = float(named.get(DUE_AT, 0)) - self._clock.now()
            if ahead > 0 and raw["Attributes"]["ApproximateReceiveCount"] == "1":
                await self._change(raw["ReceiptHandle"], min(_LONGEST_LEASE_SECONDS, int(ahead) + 1))
                continue
            found.append(_message(raw, named))
            self._last_sent_at = found[-1].sent_at
        return found

    async def _change(self, receipt: str, seconds: int) -> bool:
        """When a message comes again; False: it is not ours any more."""
        from botocore.exceptions import ClientError

        try:
            await self._ask("change_message_visibility", ReceiptHandle=receipt, VisibilityTimeout=seconds)
        except QueueUnavailable as error:
            if isinstance(error.__cause__, ClientError) and _code(error.__cause__) in _LOST:
                return False
            raise
        return True

    async def _ask(self, operation: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        lane = self._receiving if operation == "receive_message" else self._asking
        loop = asyncio.get_running_loop()
        try:
            async with self._opening:
                if not self._url:
                    self._url = await loop.run_in_executor(self._asking, self._open)
            return await loop.run_in_executor(
                lane, lambda: getattr(self._client, operation)(QueueUrl=self._url, **parameters)
            )
        except (BotoCoreError, ClientError) as error:
            words = f"The queue {self._place.shown} cannot be used: {error}."
            if operation == "send_message" and isinstance(error, ClientError) and _code(error) in _TOO_LONG:
                raise MessageRefused(words) from error
            raise QueueUnavailable(f"{words} Correct region, name, credentials or endpoint.") from error

    def _open(self) -> str:
        """The queue's URL; a queue that is not there is made."""
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import ClientError

        if self._client is None:
            session = botocore.session.Session(profile=self._place.option("profile") or None)
            settings = Config(connect_timeout=5, read_timeout=_LONGEST_POLL_SECONDS + 5, retries={"max_attempts": 1})
            self._client = session.create_client(
                "sqs", self._place.host, endpoint_url=self._place.option("endpoint") or None, config=settings
            )
        try:
            return str(self._client.get_queue_url(**self._whose)["QueueUrl"])
        except ClientError as error:
            if "NonExistentQueue" not in _code(error) and "QueueDoesNotExist" not in _code(error):
                raise
        attributes = {"FifoQueue": "true"} if self._is_fifo else {}
        return str(self._client.create_queue(QueueName=self._whose["QueueName"], Attributes=attributes)["QueueUrl"])


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _written(body: bytes) -> tuple[str, str]:
    """A body as SQS takes it, and how it is encoded: only characters that XML has, and at least one."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not _NOT_IN_A_BODY.search(text):
        return text, ""
    return base64.b64encode(body).decode() or "-", "base64" if body else "empty"


def _message(raw: Any, named: dict[str, str]) -> Message:
    encoding, body = named.get(ENCODING, ""), str(raw["Body"])
    return Message(
        id=raw["MessageId"],
        body=b"" if encoding == "empty" else base64.b64decode(body) if encoding == "base64" else body.encode(),
        receipt=raw["ReceiptHandle"],
        sent_at=int(raw["Attributes"]["SentTimestamp"]) / 1000,
        deliveries=int(raw["Attributes"]["ApproximateReceiveCount"]),
        dedupe_id=named.get(DEDUPE_ID, ""),
        headers=tuple((name, value) for name, value in named.items() if name not in _OURS),
    )
