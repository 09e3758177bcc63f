"""What must hold of every simulated run, checked while it runs. Names and sentences are those of docs/invariants.md."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from headgate.errors import HeadgateError, InternalError
from headgate.gateway.answers import AnswerHead
from headgate.sim.traffic import Manner, Visit
from headgate.types import AttemptRecord, Call, Outcome, Price, RequestRecord

_OUTPUT_TOKENS = re.compile(rb'"completion_tokens":(\d+)')
_USAGE_CHUNK = re.compile(rb'"choices":\[\],"usage":\{')
_DONE = b"[DONE]"
_ERROR = b'{"error":'
COUNTING_SECONDS = 0.1  # that the end may wait for tokens to be counted


class Invariant(StrEnum):
    """The names. Their sentences are in docs/invariants.md."""

    SETTLED_ONCE = "I1 every request settles exactly once"
    BYTES_UNTOUCHED = "I2 a stream is what the upstream sent"
    COMMITTED = "I3 no attempt after the commit point"
    NOTHING_LEFT = "I4 nothing is left running"
    RECORDED_FIRST = "I5 recorded before the terminal frame is delivered"
    COST_ADDS_UP = "I6 the cost of a request is the sum of its attempts"
    NO_FALSE_END = "I7 a broken stream never ends as a clean one"
    REPEATABLE = "I8 the same seed gives the same event log"
    REAL_STAYS_REAL = "I9 a real model is never answered by the simulated one"
    ON_TIME = "I10 nobody waits longer than the total timeout"
    NO_INNER_FAULT = "I11 nothing fails inside headgate"
    GONE_IS_GONE = "I12 a client that is gone causes no more work"
    WITHIN_CAP = "I13 settled and produced cost never pass a hard cap"
    NO_HOLD_LEFT = "I14 no hold is left when all are gone"
    REALLY_FULL = "I15 a refusal names a limit that was really full"


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass
class Course:
    """One visit, as seen from outside the pipeline."""

    visit: Visit
    call: Call
    began: float
    asks: int = 0  # attempts that reached a provider
    head: AnswerHead | None = None
    pieces: list[bytes] = field(default_factory=list)
    record: RequestRecord | None = None
    vanished_at: float = math.inf
    over: bool = False
    whole: bool = False  # the client stayed to the end


class Referee:
    """Witness of the clients, of the providers and of the ledger at once. Raises Violation where it sees one."""

    def __init__(self, prices: Mapping[str, Price], may_be_simulated: frozenset[str], total_seconds: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.rows = 0
        self.cost_picousd = 0
        self.violations: list[Violation] = []  # those raised inside the pipeline might be swallowed there
        self._prices = prices
        self._may_be_simulated = may_be_simulated
        self._total_seconds = total_seconds
        self._loop = asyncio.get_running_loop()
        self._log = hashlib.sha256()
        self._by_number: dict[int, Course] = {}
        self._by_request: dict[str, Course] = {}
        self._sent: dict[str, list[bytes]] = {}  # by the upstream's own request id

    @property
    def event_log(self) -> str:
        """The digest of all that was seen so far, with its times."""
        return self._log.hexdigest()

    @property
    def open(self) -> int:
        """Visits that are not over, or not in the ledger."""
        return len(self._by_request)

    # --- what the providers see ---

    def provider_asked(self, number: int, deployment: str, *, simulated: bool) -> None:
        """An attempt reached a provider."""
        course = self._by_number[number]
        course.asks += 1
        self._note("ask", number, deployment)
        if self._loop.time() >= course.vanished_at:
            raise self._violation(Invariant.GONE_IS_GONE, course, f"{deployment} was asked although the client is gone")
        if course.head is not None:
            raise self._violation(Invariant.COMMITTED, course, f"{deployment} was asked after the commit point")
        if simulated and course.visit.model not in self._may_be_simulated:
            raise self._violation(Invariant.REAL_STAYS_REAL, course, f"the simulated {deployment} was asked")

    def provider_sent(self, number: int, upstream_id: str, data: bytes) -> None:
        """A provider handed out a piece."""
        course = self._by_number[number]
        if data and self._loop.time() > course.vanished_at:
            raise self._violation(Invariant.GONE_IS_GONE, course, "upstream was read although the client is gone")
        self._sent.setdefault(upstream_id, []).append(data)

    # --- what the ledger sees ---

    def settled(self, record: RequestRecord) -> None:
        """A row was written."""
        self.rows += 1
        self.cost_picousd += record.cost_picousd
        self.outcomes[record.outcome] += 1
        self.errors[record.error] += 1
        self._log.update(msgspec.json.encode(record))
        course = self._by_request.get(record.id)
        if course is None or course.record is not None:
            raise self._violation(Invariant.SETTLED_ONCE, course, f"{record.id} has a second row, or no request")
        course.record = record
        self._check_cost(course, record)
        self._close(course)

    # --- what the clients see ---

    def asked(self, visit: Visit, call: Call) -> None:
        self._note("begin", visit.number, call.id)
        course = Course(visit, call, began=self._loop.time())
        self._by_number[visit.number] = self._by_request[call.id] = course

    def answered(self, visit: Visit, head: AnswerHead) -> None:
        self._note("head", visit.number, head.deployment)
        self._by_number[visit.number].head = head

    def received(self, visit: Visit, piece: bytes) -> None:
        self._note("piece", visit.number, piece.decode(errors="replace"))
        course = self._by_number[visit.number]
        course.pieces.append(piece)
        complete = not visit.stream or piece.endswith(b"data: [DONE]\n\n")
        if complete and (course.record is None or course.record.outcome is not Outcome.DONE):
            raise self._violation(Invariant.RECORDED_FIRST, course, "the end was delivered, the ledger has no row yet")

    def finished(self, visit: Visit, request_id: str, error: HeadgateError | None) -> None:
        self._note("end", visit.number, error.code if error else "")
        course = self._by_number[visit.number]
        if isinstance(error, InternalError):
            raise self._violation(Invariant.NO_INNER_FAULT, course, error.message)
        if course.record is None:
            raise self._violation(Invariant.SETTLED_ONCE, course, "it is over and has no row")
        if (error is None) != (course.head is not None):
            raise self._violation(Invariant.COMMITTED, course, "an answer and an error, or neither")
        waited = self._loop.time() - course.began
        if visit.manner is Manner.PATIENT and waited > self._total_seconds + COUNTING_SECONDS:
            raise self._violation(Invariant.ON_TIME, course, f"it took {waited:g} s")
        course.over = course.whole = True
        self._close(course)

    def vanished(self, visit: Visit) -> None:
        self._note("vanish", visit.number, "")
        self._by_number[visit.number].vanished_at = self._loop.time()

    def left(self, visit: Visit, request_id: str) -> None:
        self._note("leave", visit.number, "")
        course = self._by_number[visit.number]
        course.over = True
        self._close(course)

    def broke_loose(self, context: dict[str, Any]) -> None:
        """The event loop was left with an exception that nobody took."""
        self._violation(Invariant.NO_INNER_FAULT, None, f"{context.get('message')}: {context.get('exception')!r}")

    # --- at the end ---

    def check_end(self, requests: int) -> None:
        """Everybody is gone and everything is settled."""
        if self.violations:
            raise self.violations[0]
        if missing := [course for course in self._by_request.values() if course.record is None]:
            raise self._violation(Invariant.SETTLED_ONCE, missing[0], f"{len(missing)} requests have no row")
        if self.rows != requests:
            raise self._violation(Invariant.SETTLED_ONCE, None, f"{requests} requests, {self.rows} rows")

    # --- parts ---

    def _close(self, course: Course) -> None:
        """Once the client is gone and the row is there, whichever is last: compare them and forget both."""
        if not course.over or course.record is None:
            return
        if course.head is not None:
            self._check_answer(course, course.record)
        del self._by_request[course.call.id], self._by_number[course.visit.number]
        for attempt in course.record.attempts:
            self._sent.pop(attempt.upstream_id, None)

    def _check_cost(self, course: Course, record: RequestRecord) -> None:
        if record.cost_picousd != sum(attempt.cost_picousd for attempt in record.attempts):
            raise self._violation(Invariant.COST_ADDS_UP, course, "the attempts' costs sum to something else")
        for attempt in record.attempts:
            if attempt.cost_picousd != self._price(attempt):
                raise self._violation(Invariant.COST_ADDS_UP, course, f"attempt {attempt.number} costs something else")
        if [attempt.number for attempt in record.attempts] != list(range(1, course.asks + 1)):
            raise self._violation(Invariant.COST_ADDS_UP, course, f"{course.asks} attempts were made")

    def _price(self, attempt: AttemptRecord) -> int:
        price = self._prices.get(attempt.deployment)
        return attempt.usage.input * price.input + attempt.usage.output * price.output if price else 0

    def _check_answer(self, course: Course, record: RequestRecord) -> None:
        """Compare what the client has with what was sent to the attempt that answered."""
        sent = b"".join(self._sent.get(record.attempts[-1].upstream_id, ()))
        received = b"".join(course.pieces)
        done = record.outcome is Outcome.DONE
        if done and record.usage.output != sum(map(int, _OUTPUT_TOKENS.findall(sent))):
            raise self._violation(Invariant.COST_ADDS_UP, course, "the usage is not the upstream's")
        if course.visit.stream:
            self._check_stream(course, sent, received, done=done)
        elif received != sent:
            raise self._violation(Invariant.BYTES_UNTOUCHED, course, "the body is not the upstream's")

    def _check_stream(self, course: Course, sent: bytes, received: bytes, *, done: bool) -> None:
        expected, delivered = _payloads(sent), _payloads(received)
        if not course.call.wants_usage:
            expected = [payload for payload in expected if not _USAGE_CHUNK.search(payload)]
        if not done:
            expected = _readable(expected)
            if delivered and delivered[-1].startswith(_ERROR):
                delivered.pop()
            elif course.whole:
                raise self._violation(Invariant.NO_FALSE_END, course, "no typed error event at the end")
            if _DONE in delivered:
                raise self._violation(Invariant.NO_FALSE_END, course, "[DONE] at the end")
        if delivered != (expected if course.whole else expected[: len(delivered)]):
            raise self._violation(Invariant.BYTES_UNTOUCHED, course, f"{delivered} instead of {expected}")

    def _note(self, what: str, number: int, detail: str) -> None:
        self._log.update(f"{self._loop.time():.9f} {what} {number} {detail}\n".encode())

    def _violation(self, invariant: Invariant, course: Course | None, what: str) -> Violation:
        where = f" at {course.visit.manner} visit {course.visit.number}" if course else ""
        violation = Violation(f"{invariant}{where}: {what}; {course and course.record}")
        self.violations.append(violation)
        return violation


def _payloads(stream: bytes) -> list[bytes]:
    """The data of every whole event; comments and what is cut off at the end carry none."""
    return [frame[len(b"data: ") :] for frame in stream.split(b"\n\n")[:-1] if frame.startswith(b"data: ")]


def _readable(payloads: list[bytes]) -> list[bytes]:
    """Those before the first that is not JSON, or is an error."""
    for index, payload in enumerate(payloads):
        if payload.startswith(_ERROR):
            return payloads[:index]
        try:
            msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return payloads[:index]
    return payloads
