"""What an intake does with the database away, with quotas that are used up, and with more work than it should take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from headgate.clock import SystemClock
from headgate.errors import DatabaseUnavailable, HeadgateError, InvalidRequest
from headgate.gateway.accounts import Accounts, config_key
from headgate.job_errors import JobQuotaExceeded
from headgate.jobs import intake as module
from headgate.jobs.intake import Hands, Intake, Source
from headgate.queue_errors import MessageRefused, QueueUnavailable
from headgate.queue_types import Headers, Message, NewDeadLetter
from headgate.stores.memory import MemoryKeyStore
from headgate.types import Tier

SOURCE = "redis://host/in"


class Line:
    """A queue whose messages are given, and which remembers what was done with them."""

    def __init__(self, *bodies: bytes) -> None:
        self.messages = deque(Message(str(number), body, str(number), 0.0) for number, body in enumerate(bodies))
        self.acked: list[str] = []
        self.released: dict[str, float] = {}
        self.extended = 0
        self.limits: list[int] = []
        self.sent: list[tuple[bytes, str]] = []

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        self.limits.append(limit)
        return [self.messages.popleft() for _ in range(min(limit, len(self.messages)))]

    async def ack(self, messages: Sequence[Message]) -> None:
        self.acked += [message.id for message in messages]

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        self.released[message.id] = delay_seconds

    async def extend(self, message: Message) -> bool:
        self.extended += 1
        return True

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        self.sent.append((body, dict(headers)["reason"]))


class Desk:
    """Refuses as it is told, once for each error, then takes."""

    def __init__(self, *errors: HeadgateError) -> None:
        self.errors = deque(errors)
        self.taken: list[tuple[str, str | None, str]] = []

    async def submit(
        self, caller: Any, wanted: Any, key: str | None, origin: str, *, is_listed: bool
    ) -> tuple[None, bool]:
        if self.errors:
            raise self.errors.popleft()
        self.taken.append((caller.tenant, key, origin))
        return None, True


class Letters:
    def __init__(self) -> None:
        self.kept: list[NewDeadLetter] = []

    async def add(self, letter: NewDeadLetter) -> None:
        self.kept.append(letter)


def message(**more: object) -> bytes:
    return msgspec.json.encode({"tenant": "acme", "request": {"model": "m"}, **more})


def taking(line: Line, desk: Desk, waiting: int = 0, **more: Any) -> tuple[Intake, Line, Letters]:
    accounts = Accounts(MemoryKeyStore(), SystemClock())
    keys = [config_key(f"hg-{name}", tenant=name, tier="all", user=None, name="") for name in ("acme", "other")]
    accounts.configure(keys, {"all": Tier("all", frozenset())}, None)
    dead, letters = Line(), Letters()
    hands = Hands(
        cast(Any, line), cast(Any, dead), cast(Any, letters), cast(Any, desk), accounts, SystemClock(), lambda: waiting
    )
    return Intake(Source(SOURCE, most_waiting=10, **more), hands), dead, letters


def test_a_message_is_a_job_at_its_place_and_with_its_key() -> None:
    line, desk = Line(message(id="a"), message()), Desk()
    intake, _, _ = taking(line, desk)
    assert asyncio.run(intake.round()) == 2
    assert desk.taken == [("acme", "a", f"{SOURCE} 0"), ("acme", None, f"{SOURCE} 1")]
    assert line.acked == ["0", "1"]


def test_while_the_database_is_away_messages_are_kept_and_not_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    line, desk = Line(message(), message()), Desk(DatabaseUnavailable("away"), DatabaseUnavailable("away"))
    intake, dead, letters = taking(line, desk)
    asyncio.run(intake.round())
    assert line.acked == ["0", "1"] and line.extended == 4 and not dead.sent and not letters.kept


def test_what_is_over_its_tenants_quota_comes_later_and_others_pass() -> None:
    line, desk = Line(message(), message()), Desk(JobQuotaExceeded("too many"))
    intake, dead, _ = taking(line, desk)
    asyncio.run(intake.round())
    assert line.acked == ["1"] and line.released == {"0": module.QUOTA_SECONDS} and not dead.sent


def test_nothing_is_taken_while_too_much_waits() -> None:
    line, desk = Line(message()), Desk()
    asyncio.run(taking(line, desk, waiting=10)[0].round(0.0))
    assert line.limits == [0] and not desk.taken
    asyncio.run(taking(line, desk, waiting=9)[0].round(0.0))
    assert line.limits == [0, 1] and len(desk.taken) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "no JSON"),
        (b"[]", "docs/queues.md"),
        (b'{"request": ' + b"[" * 100_000, "no JSON"),
        (message(tenant="nobody"), "nobody"),
        (message(tenant=None), "neither a tenant nor a key"),
        (message(key="key_unknown"), "not known"),
        (message(request=None), "either request or requests"),
        (message(requests=[{}]), "either request or requests"),
        (message(priority=101), "priority"),
    ],
)
def test_what_is_no_request_is_put_aside_with_the_reason(body: bytes, reason: str) -> None:
    line, desk = Line(body), Desk()
    intake, dead, letters = taking(line, desk)
    asyncio.run(intake.round())
    assert line.acked == ["0"] and not desk.taken
    ((sent, why),) = dead.sent
    assert sent == body and reason in why
    assert letters.kept == [NewDeadLetter(SOURCE, "0", body, why)]


def test_a_source_may_be_one_tenants_alone() -> None:
    line, desk = Line(message(tenant=None), message(), message(tenant="other")), Desk()
    intake, dead, _ = taking(line, desk, tenant="acme")
    asyncio.run(intake.round())
    assert [tenant for tenant, _, _ in desk.taken] == ["acme", "acme"] and len(dead.sent) == 1


def test_what_the_desk_refuses_is_put_aside() -> None:
    line, desk = Line(message()), Desk(InvalidRequest("no such kind", param="kind"))
    intake, dead, _ = taking(line, desk)
    asyncio.run(intake.round())
    assert line.acked == ["0"] and "no such kind (kind)" in dead.sent[0][1]


def test_a_message_that_breaks_headgate_is_put_aside_and_others_pass() -> None:
    line, desk = Line(message(), message()), Desk(cast(Any, ValueError("a value that nobody foresaw")))
    intake, dead, letters = taking(line, desk)
    asyncio.run(intake.round())
    assert line.acked == ["0", "1"] and len(desk.taken) == 1
    assert "internal_error" in letters.kept[0].reason and len(dead.sent) == 1


def test_what_is_too_long_for_the_queue_of_dead_letters_is_in_the_table_alone() -> None:
    """With the reason it is longer than it was: it must not come again for ever."""
    line, desk = Line(b"no request", message()), Desk()
    intake, dead, letters = taking(line, desk)

    async def send(body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        raise MessageRefused("The message is too long.")

    dead.send = send  # type: ignore[method-assign]
    asyncio.run(intake.round())
    assert line.acked == ["0", "1"] and len(letters.kept) == 1 and intake.put_aside == 1


def test_a_queue_of_dead_letters_that_cannot_be_used_stops_nobody() -> None:
    class Away(Line):
        async def send(self, *about: Any, **more: Any) -> None:
            raise QueueUnavailable("Broker: Unknown topic or partition")

    line, desk = Line(b"no JSON", message(tenant="acme")), Desk()
    intake, _, letters = taking(line, desk)
    intake._hands = msgspec.structs.replace(intake._hands, dead=Away())
    assert asyncio.run(intake.round()) == 2
    assert line.acked == ["1"] and set(line.released) == {"0"}, "it is put aside when that can be done"
    assert len(letters.kept) == len(desk.taken) == 1
