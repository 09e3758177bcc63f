"""Dead letters for operators: items of jobs that were given up, and messages of topics that could not be used.

An item's id is JOB:NUMBER, a message's message:NUMBER.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Annotated, Literal

import msgspec

from headgate.admin.audit import auditor
from headgate.admin.endpoint import Input, Name, Visit
from headgate.errors import InvalidRequest, NotFound
from headgate.job_types import DeadFilter, DeadItem, DeadPlace
from headgate.queue_types import DeadLetter
from headgate.types import Frozen

MESSAGE = "message:"
_SECONDS = re.compile(r"[0-9]{1,12}\.[0-9]{1,17}")  # as a cursor has them
_Ids = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=1000)]


class DeadLettersQuery(Input, frozen=True):
    """Which ones: of jobs, or messages. Those that died last come first, after the cursor that the page before gave
    as `next`."""

    source: Literal["jobs", "messages"] = "jobs"
    job_id: Name | None = None
    tenant: Name | None = None
    code: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    after: Name | None = None


class DeadLetterId(Input, frozen=True):
    """Which one."""

    id: Name


class RedriveDeadLetters(Input, frozen=True):
    """Let items begin anew: those with these ids, or all of a job, of a tenant, with an error code."""

    ids: _Ids | None = None
    job_id: Name | None = None
    tenant: Name | None = None
    code: Name | None = None


class DropDeadLetters(Input, frozen=True):
    """Give up for good: those with these ids, messages too, or all items of a job, of a tenant, with an error code."""

    ids: _Ids | None = None
    job_id: Name | None = None
    tenant: Name | None = None
    code: Name | None = None


class DeadLetterView(Frozen, frozen=True):
    """A dead letter. `body` is what it asked for, in base64 if it is no text, `at` (Unix seconds) when it died. A
    message has a `source` and a `position`, an item a job, a tenant and how often it was tried."""

    id: str
    at: float
    code: str | None
    reason: str
    body: str
    is_base64: bool = False
    job_id: str | None = None
    number: int | None = None
    label: str | None = None
    kind: str | None = None
    tenant: str | None = None
    attempts: int | None = None
    source: str | None = None
    position: str | None = None


class DeadLetterList(Frozen, frozen=True):
    """A page of them."""

    data: list[DeadLetterView]
    next: str | None


class MovedDeadLetters(Frozen, frozen=True):
    """How many there were."""

    count: int


async def list_dead_letters(visit: Visit, query: DeadLettersQuery) -> DeadLetterList:
    """Items that were given up, or messages that could not be used, with the reason."""
    dead = visit.services.job_desk.dead
    if query.source == "jobs":
        wanted = DeadFilter(None, query.job_id, query.tenant, query.code)
        place = None if query.after is None else _place(query.after)
        found = await dead.items.page(wanted, query.limit + 1, place)
        shown = found[: query.limit]
        return DeadLetterList([_item(item) for item in shown], _cursor(shown[-1]) if len(found) > query.limit else None)
    after = None if query.after is None else _message_id(query.after)
    letters, following = await dead.messages.page(query.limit, after)
    return DeadLetterList([_message(letter) for letter in letters], f"{MESSAGE}{following}" if following else None)


async def get_dead_letter(visit: Visit, query: DeadLetterId) -> DeadLetterView:
    """One dead letter."""
    dead = visit.services.job_desk.dead
    if query.id.startswith(MESSAGE):
        return _message(await dead.messages.get(_message_id(query.id)))
    items = await dead.items.page(DeadFilter(ids=(item_id(query.id),)), 1)
    if not items:
        raise NotFound(f"There is no dead letter '{query.id}'.", param="id")
    return _item(items[0])


async def redrive(visit: Visit, command: RedriveDeadLetters) -> MovedDeadLetters:
    """Let dead items of jobs begin anew, with new retries, and what was made of them too."""
    if any(one.startswith(MESSAGE) for one in command.ids or ()):
        raise InvalidRequest(
            "A message is sent again to its queue, whose password is not kept here: `headgate dlq redrive ID --to "
            "ADDRESS` does it.", param="ids",
        )  # fmt: skip
    return await _noted(visit, command, await visit.services.job_desk.redrive(_filter(command)))


async def drop(visit: Visit, command: DropDeadLetters) -> MovedDeadLetters:
    """Give dead letters up for good: items have failed then, messages are forgotten."""
    dead, ids = visit.services.job_desk.dead, command.ids or []
    messages = [_message_id(one) for one in ids if one.startswith(MESSAGE)]
    dropped = await dead.messages.drop(messages) if messages else 0
    if len(messages) < len(ids) or not ids:
        items = None if command.ids is None else [one for one in ids if not one.startswith(MESSAGE)]
        dropped += await dead.items.drop(_filter(msgspec.structs.replace(command, ids=items)))
    return await _noted(visit, command, dropped)


def item_id(text: str) -> tuple[str, int]:
    """The job and the number of an item. Raises InvalidRequest."""
    job_id, _, number = text.rpartition(":")
    return job_id, _number(number, text)


def _cursor(item: DeadItem) -> str:
    return "{!r}:{}:{}".format(*item.place)


def _place(cursor: str) -> DeadPlace:
    """Raises InvalidRequest."""
    died_at, _, id = cursor.partition(":")
    if not _SECONDS.fullmatch(died_at):
        raise InvalidRequest("No page ended there: send the 'next' of the page before.", param="after")
    return float(died_at), *item_id(id)


async def _noted(visit: Visit, command: RedriveDeadLetters | DropDeadLetters, count: int) -> MovedDeadLetters:
    await auditor(visit).note(command, command.job_id or command.tenant or "", after=json.dumps({"count": count}))
    return MovedDeadLetters(count)


def _filter(command: RedriveDeadLetters | DropDeadLetters) -> DeadFilter:
    if all(part is None for part in (command.ids, command.job_id, command.tenant, command.code)):
        raise InvalidRequest("Say which: ids, job_id, tenant or code.", param="ids")
    ids = None if command.ids is None else tuple(map(item_id, command.ids))
    return DeadFilter(ids, command.job_id, command.tenant, command.code)


def _message_id(text: str) -> int:
    return _number(text.removeprefix(MESSAGE), text)


def _number(number: str, text: str) -> int:
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise InvalidRequest(f"'{text}' is no dead letter: write JOB:NUMBER or {MESSAGE}NUMBER.", param="id")
    return int(number)


def _item(item: DeadItem) -> DeadLetterView:
    return DeadLetterView(
        id=f"{item.job_id}:{item.number}",
        at=item.died_at,
        code=item.error_code,
        reason=item.error,
        body=item.request.decode(),
        job_id=item.job_id,
        number=item.number,
        label=item.label or None,
        kind=item.kind,
        tenant=item.owner.tenant,
        attempts=item.attempts,
    )


def body_of(letter: DeadLetterView) -> bytes:
    """What it asked for, byte for byte."""
    return base64.b64decode(letter.body) if letter.is_base64 else letter.body.encode()


def _message(letter: DeadLetter) -> DeadLetterView:
    try:
        body, is_base64 = letter.body.decode(), False
    except UnicodeDecodeError:
        body, is_base64 = base64.b64encode(letter.body).decode(), True
    return DeadLetterView(
        id=f"{MESSAGE}{letter.id}",
        at=letter.at,
        code=None,
        reason=letter.reason,
        body=body,
        is_base64=is_base64,
        source=letter.source,
        position=letter.position,
    )
