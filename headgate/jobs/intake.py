"""Taking requests from a queue of somebody else's: each becomes a job, and only then is acknowledged.

A message that comes again, because the process died between the two or the log is replayed, is the same job: its
place in the queue says so, and so does its own id. One that can never become a job is put aside with the reason, into
the table of dead letters and, if it fits, into the queue's own of that name; only then is it acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from headgate.deliveries.desk import Wanted
from headgate.errors import HeadgateError, InternalError, InvalidRequest, NotFound, Unauthenticated
from headgate.gateway.accounts import Accounts
from headgate.job_errors import JobQuotaExceeded
from headgate.job_types import IntakeStanding
from headgate.jobs.calls import body_of
from headgate.jobs.desk import JobDesk, Submission
from headgate.ports import Clock
from headgate.queue_errors import MessageRefused, QueueUnavailable
from headgate.queue_ports import DeadLetters, Queue
from headgate.queue_types import Message, NewDeadLetter
from headgate.types import Caller, Frozen

AT_ONCE = 100  # messages before they are acknowledged
WAIT_SECONDS = 2.0  # for messages, and between looks at the backlog
QUOTA_SECONDS = 60.0  # a message whose tenant may have no more jobs comes again, or that cannot be put aside
RETRY_SECONDS = 1.0  # when the database or the queue is away
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]

log = logging.getLogger(__name__)


class Requested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message: one `request` or several `requests`, each the body that the kind's route takes.

    `id` is the idempotency key. Who pays is the `tenant`, for a `user` of his if there is one, or the id of a `key`.
    """

    id: Text | None = None
    tenant: Text | None = None
    user: Text | None = None
    key: Text | None = None
    kind: Text = "chat"
    request: Any = None
    requests: list[Any] | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    start_at: float | None = None
    deadline_at: float | None = None
    reply_to: Text | None = None
    webhook: Text | None = None


class Source(Frozen, frozen=True):
    """Where messages come from, without passwords. `tenant`: whose all of them are; None: as each says."""

    name: str
    tenant: str | None = None
    most_waiting: int = 10_000  # items: while more wait for workers, no message is taken


class Hands(Frozen, frozen=True):
    """What an intake works with. `dead` is the queue of what could not be used, `waiting` how many items wait."""

    queue: Queue
    dead: Queue
    letters: DeadLetters
    desk: JobDesk
    accounts: Accounts
    clock: Clock
    waiting: Callable[[], int]


class Intake:
    """Takes from one source. Many processes may take from the same."""

    def __init__(self, source: Source, hands: Hands) -> None:
        self._source = source
        self._queue = hands.queue
        self._hands = hands
        self.taken = 0  # jobs that are new
        self.known = 0  # messages whose job was there
        self.put_aside = 0

    async def run_forever(self) -> None:
        """Until cancelled. What goes wrong with the queue or the database is logged, and tried again."""
        while True:
            if not self._hands.accounts.loaded:  # every key would be an unknown one
                await asyncio.sleep(RETRY_SECONDS / 10)
                continue
            try:
                await self.round()
            except HeadgateError as error:
                log.warning("nothing can be taken from %s: %s", self._source.name, error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def standing(self) -> IntakeStanding:
        """What was taken, and what waits in the queue. Raises QueueUnavailable."""
        backlog = await self._queue.backlog()
        return IntakeStanding(self.taken, self.known, self.put_aside, backlog.depth, backlog.oldest_age_seconds)

    async def round(self, wait_seconds: float = WAIT_SECONDS) -> int:
        """Take what is there, as long as not too much waits; how many. Raises QueueUnavailable."""
        room = self._source.most_waiting - self._hands.waiting()
        if room <= 0:  # the queue keeps its messages, and our place in it
            await self._queue.receive(0, min(wait_seconds, RETRY_SECONDS))
            return 0
        messages = await self._queue.receive(min(room, AT_ONCE), wait_seconds)
        done = [message for index, message in enumerate(messages) if await self._take(message, messages[index:])]
        if done:
            await self._queue.ack(done)
        return len(messages)

    # --- parts ---

    async def _take(self, message: Message, held: Sequence[Message]) -> bool:
        """Until it is a job or put aside; keeps what is `held` meanwhile. False: it was given back, to come later."""
        while True:
            try:
                await self._enter(message)
                return True
            except JobQuotaExceeded:  # other tenants do not wait for this one
                await self._queue.release(message, QUOTA_SECONDS)
                return False
            except HeadgateError as error:
                if not error.should_retry:
                    return await self._put_aside(message, error)
                log.warning("a message of %s waits: %s", self._source.name, error.message)
            except Exception:  # it would come again, and stop everything behind it each time
                log.exception("a message of %s failed inside headgate", self._source.name)
                failure = InternalError("headgate failed. The operator finds why in the log.")
                return await self._put_aside(message, failure)
            await asyncio.sleep(RETRY_SECONDS)
            for one in held:
                await self._queue.extend(one)

    async def _enter(self, message: Message) -> None:
        wanted = _read(message.body)
        key = wanted.id or message.dedupe_id or None
        if key is None and not message.id:
            raise InvalidRequest(
                "The message has neither an id nor a message_id: it could not be told from a repetition.", param="id"
            )
        caller = await self._caller(wanted)
        if (wanted.request is None) == (wanted.requests is None):
            raise InvalidRequest("A message has either request or requests.", param="request")
        is_listed = wanted.requests is not None
        requests = wanted.requests if wanted.requests is not None else [wanted.request]
        submission = Submission(
            kind=wanted.kind,
            requests=tuple(map(body_of, requests)),
            priority=wanted.priority,
            start_at=wanted.start_at,
            deadline_at=wanted.deadline_at,
            told=Wanted(webhook=wanted.webhook, reply_to=wanted.reply_to),
        )
        origin = self._origin(message)
        _, is_new = await self._hands.desk.submit(caller, submission, key, origin, is_listed=is_listed)
        self._count(is_new)

    def _count(self, is_new: bool) -> None:
        if is_new:
            self.taken += 1
        else:
            self.known += 1

    def _origin(self, message: Message) -> str:
        """The message's place in the world; empty if its sender gave it none."""
        return f"{self._source.name} {message.id}" if message.id else ""

    async def _caller(self, wanted: Requested) -> Caller:
        """Who pays. A key that was made just now is looked for in the database."""
        try:
            return self._known_caller(wanted)
        except (NotFound, Unauthenticated):
            await self._hands.accounts.refresh()
            return self._known_caller(wanted)

    def _known_caller(self, wanted: Requested) -> Caller:
        accounts, only = self._hands.accounts, self._source.tenant
        tenant = wanted.tenant or only
        if wanted.key is not None:
            caller = accounts.holder(wanted.key)
        elif tenant is None:
            raise InvalidRequest("The message names neither a tenant nor a key: nobody pays for it.", param="tenant")
        else:
            caller = _caller_of(accounts, tenant, wanted.user, self._hands.clock.now())
        if caller.tenant != (tenant or caller.tenant) or caller.tenant != (only or caller.tenant):
            raise InvalidRequest(f"The message is tenant {caller.tenant}'s, which it must not be here.", param="tenant")
        return msgspec.structs.replace(caller, user=wanted.user) if wanted.user else caller

    async def _put_aside(self, message: Message, error: HeadgateError) -> bool:
        """Into the table and into the queue's own dead letters. False: the latter cannot be used, so that it was given
        back, to come later; others pass. Raises DatabaseUnavailable or QueueUnavailable."""
        reason = f"{error.code}: {error.message}" + (f" ({error.param})" if error.param else "")
        log.warning("a message of %s is put aside: %s", self._source.name, reason)
        letter = NewDeadLetter(self._source.name, message.id, message.body, reason)
        await self._hands.letters.add(letter)
        about = (("reason", reason), ("source", self._source.name), ("position", message.id))
        dedupe_id = f"{self._source.name} {message.id}" if message.id else ""
        try:
            await self._hands.dead.send(message.body, dedupe_id, headers=about)
        except MessageRefused as refused:  # with the reason it may be too long: then it is in the table alone
            log.warning("it is not in the queue of dead letters: %s", refused.message)
        except QueueUnavailable as away:
            log.warning("it is not in the queue of dead letters yet: %s", away.message)
            if message.id:  # in the table once, however often it comes
                await self._queue.release(message, QUOTA_SECONDS)
                return False
        self.put_aside += 1
        return True


def _read(body: bytes) -> Requested:
    try:
        return msgspec.json.decode(body, type=Requested)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The message is not as docs/queues.md says: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The message is no JSON: {error}.") from None


def _caller_of(accounts: Accounts, tenant: str, user: str | None, now: float) -> Caller:
    """The holder of a tenant's first key that works, of the user's own if he has one. Raises NotFound."""
    known = accounts.keys()
    keys = [
        key
        for key in known
        if key.tenant == tenant and key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
    ]
    if not keys:
        raise NotFound(f"There is no tenant '{tenant}' with a key that works.", param="tenant")
    return accounts.holder(next((key.id for key in keys if key.user == user), keys[0].id))
