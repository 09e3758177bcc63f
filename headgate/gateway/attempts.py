"""One attempt: one call to one deployment, first to its commit point, then to its end. Knows nothing of retries."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable

from headgate.errors import (
    FirstTokenTimeout,
    HeadgateError,
    StreamFailed,
    StreamIncomplete,
    StreamMalformed,
    StreamStalled,
    TotalTimeout,
    UpstreamAuth,
    UpstreamEmpty,
    UpstreamError,
    UpstreamRejected,
)
from headgate.gateway.blaming import blames_key, healthy
from headgate.gateway.fleet import AUTH_COOLDOWN_SECONDS, RATE_LIMIT_COOLDOWN_SECONDS, Deployment, ModelSpec
from headgate.gateway.quotas import Answered
from headgate.gateway.watchdog import Terms
from headgate.policy import pricing
from headgate.ports import Take, UpstreamResponse
from headgate.types import ITL_BUCKETS_SECONDS, AttemptRecord, Call, Operation, Outcome, Usage
from headgate.wire import http, openai, rejections, trace
from headgate.wire.allowances import says_allowances
from headgate.wire.openai_stream import MAX_PREAMBLE_BYTES
from headgate.wire.translation import Ask, StreamReading

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64_000_000
MAX_ERROR_BYTES = 1_000_000
MAX_HELD_BYTES = 4_000_000  # of a stream that is judged before it is shown


class Attempt:
    """Use: `await open()`; then, for a stream, `relay()` until its end; then `close()`; then `record()`."""

    __slots__ = (
        "_ask", "_asked", "_call", "_clock", "_demand", "_dialogue", "_endpoint", "_head", "_is_read", "_key", "_lost",
        "_mark", "_model", "_reader", "_response", "_started", "_watchdog", "body", "bytes_out", "deployment",
        "first_at", "id", "itl_counts", "last_at", "number", "started_at", "status", "texts", "upstream_id", "usage",
        "usage_so_far",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        deployment: Deployment,
        model: ModelSpec,
        *,
        number: int,
        lowered_to: int | None,
        terms: Terms,
    ) -> None:
        """Begins nothing if the call cannot be put to the deployment: raises Untranslatable or InvalidRequest then."""
        clock = terms.clock
        self.started_at = clock.now()
        self._ask = Ask(deployment.target, lowered_to, model.may_drop, int(self.started_at))
        self._dialogue = deployment.dialogues[call.route]
        self._asked = self._dialogue.ask(call, self._ask)
        self._call = call
        self._model = model
        self._clock = clock
        self._watchdog = terms.watchdog
        self._started = clock.monotonic()
        self._demand = terms.demand
        self._key = deployment.take_key(self._demand, self._started)
        self._endpoint = deployment.next_endpoint()
        self._response: UpstreamResponse | None = None
        self._head = b""  # preamble and first content, held until the commit point
        self._lost: tuple[str, ...] = ()  # of a JSON answer: what the caller's dialect has no place for
        self._reader: StreamReading | None = self._dialogue.read_stream(call, self._ask) if call.stream else None
        self.id = f"{call.id}.{number}"
        self.number = number
        self.deployment = deployment
        self.status = 0
        self.upstream_id = ""
        self.body = b""  # of a JSON answer
        self.bytes_out = 0  # of a stream, to the client
        self.usage: Usage | None = None
        self.usage_so_far: Usage | None = None  # reported by a provider before its stream broke off
        self.texts: tuple[str, ...] = ()
        self.first_at: float | None = None  # monotonic, of the first content
        self.last_at = 0.0  # monotonic, of the newest content
        self._is_read = False  # to the end of a stream, before any of it was shown
        self.itl_counts = [0] * (len(ITL_BUCKETS_SECONDS) + 1)
        self._mark = deployment.begin(self._demand, self._key, self._started)

    @property
    def tail(self) -> bytes:
        """The end of a complete stream, withheld so that it follows the ledger's record."""
        return self._reader.tail if self._reader is not None else b""

    @property
    def dropped(self) -> tuple[str, ...]:
        """The members of the caller's body, and the headers for its dialect, that the deployment was not sent; and the
        parts of its answer that the caller is not."""
        dropped, headers = self._asked.dropped + self._lost, self._call.dialect_headers
        if self._dialogue.same_dialect or not headers:
            return dropped
        return (*dropped, *(name for name, _ in headers if name.endswith("-beta")))

    @property
    def endpoint(self) -> str:
        """The address that is asked."""
        return self._endpoint

    @property
    def key_fingerprint(self) -> str:
        """Which of the provider's keys is used."""
        return self.deployment.keys.fingerprint(self._key)

    @property
    def saw_done(self) -> bool:
        """Whether the stream had its end marker."""
        return self._reader is not None and self._reader.saw_done

    async def open(self) -> None:
        """Go to the commit point. Raises UpstreamError; nothing has been shown to the client then."""
        call, deployment = self._call, self.deployment
        operation = Operation(self._dialogue.api, deployment.spec.upstream_model, call.stream)
        if call.stream:
            self._watchdog.watch(self._model.first_token_seconds, self._no_first_token)
        else:
            self._watchdog.watch(self._model.total_seconds, self._no_answer)
        self._watchdog.check()
        try:
            self._response = response = await deployment.provider.send(
                operation, self._asked.body, endpoint=self._endpoint, api_key=self._key, headers=self._headers()
            )
            self.status = response.status
            self.upstream_id = http.upstream_id(response.headers)
            self._learn(response)
            if not 200 <= response.status < 300:
                raise await self._rejection(response)
            await (self._open_stream(response) if call.stream else self._open_json(response))
        except asyncio.CancelledError:
            self._watchdog.translate()
            raise

    async def relay(self, take: Take) -> bool:
        """Hand the bytes of a committed stream to `take`: False when it wants a pause, True at the stream's end.

        Raises UpstreamError where the stream breaks. `take` is called as soon as something arrives, not in this task:
        waking a task for every event would cost a third of the event.
        """
        response, reader, watchdog = self._response, self._reader, self._watchdog
        assert response is not None and reader is not None, "open() comes first"
        watchdog.check()
        if self._head:
            head, self._head = self._head, b""
            self.bytes_out += len(head)
            if not take(head):
                return False
        if self._is_read:
            return True
        watchdog.watch(self._model.stall_seconds, self._stalled)
        try:
            if reader.failure is None and await response.relay(self._passing(reader, take)):
                reader.finish()
            elif reader.failure is None:
                return False
        except asyncio.CancelledError:
            watchdog.translate()
            raise
        finally:
            watchdog.rest()
        if reader.failure is not None:
            raise reader.failure
        return True

    @property
    def cost_picousd(self) -> int | None:
        """What a whole answer has cost; None: its usage is not known yet."""
        price = self.deployment.spec.price
        return None if self.usage is None else pricing.cost_picousd(self.usage, price) if price else 0

    @property
    def reported(self) -> Usage | None:
        """What a whole answer used, if its provider said so."""
        return self.usage if self._reader is None else self._reader.usage

    @property
    def heard(self) -> str:
        """What a stream has said so far, as text."""
        return "".join(self._reader.texts) if self._reader is not None else ""

    @property
    def held(self) -> bytes:
        """What a stream's client will be shown first, its end included if it is there."""
        return self._head + self.tail

    async def hold(self, more: Callable[[str], bool]) -> bool:
        """Read a committed stream on without showing it, as long as `more` wants it: True if it was read to its end.

        Raises UpstreamError where the stream breaks; still nothing has been shown then. What is too long to be held
        goes out as it is.
        """
        response, reader, held = self._response, self._reader, [self._head]
        assert response is not None and reader is not None, "open() comes first"
        held_bytes = len(self._head)
        self._watchdog.watch(self._model.stall_seconds, self._stalled)
        try:
            while not self._is_read and held_bytes < MAX_HELD_BYTES and more(self.heard):
                data = await response.read()
                if data:
                    held.append(reader.feed(data))
                    held_bytes += len(data)
                    self.last_at = self._clock.monotonic()
                else:
                    reader.finish()
                    self._is_read = True
                if reader.failure is not None:
                    raise reader.failure
        except asyncio.CancelledError:
            self._watchdog.translate()
            raise
        finally:
            self._watchdog.rest()
            self._head = b"".join(held)
        return self._is_read

    def _passing(self, reader: StreamReading, take: Take) -> Take:
        """Reads what arrives and hands on what is to be forwarded."""
        watchdog, monotonic, stall_seconds = self._watchdog, self._clock.monotonic, self._model.stall_seconds
        itl_counts = self.itl_counts

        def passing(data: bytes) -> bool:
            now = monotonic()
            events = reader.content_events
            forward = reader.feed(data)
            if reader.content_events > events:
                itl_counts[bisect_left(ITL_BUCKETS_SECONDS, now - self.last_at)] += 1
                self.last_at = now
            watchdog.deadline = now + stall_seconds
            if forward:
                self.bytes_out += len(forward)
                if not take(forward):
                    return False
            return reader.failure is None

        return passing

    def close(self, *, outcome: Outcome, error: HeadgateError | None) -> None:
        """Let go of the connection and tell the deployment how it went. May be called once."""
        if self._response is not None:
            self._response.close()
        now = self._clock.monotonic()
        if self._reader is not None:
            self.usage, self.usage_so_far = self._reader.usage, self._reader.usage_so_far
            self.texts = tuple(self._reader.texts)
        is_healthy = healthy(outcome, error, committed=self.first_at is not None)
        self.deployment.end(self._demand, self._used_tokens(), healthy=is_healthy, began=self._started, now=now)
        if isinstance(error, UpstreamAuth):
            self.deployment.keys.rest(self._key, now + AUTH_COOLDOWN_SECONDS)
        elif error is not None and blames_key(error):
            self.deployment.keys.rest(self._key, now + (error.retry_after_seconds or RATE_LIMIT_COOLDOWN_SECONDS))
            if error.retry_after_seconds:
                self.deployment.quota.refused(self._key, self._mark, now + error.retry_after_seconds)

    def record(self, *, outcome: Outcome, error: HeadgateError | None, usage: Usage) -> AttemptRecord:
        """The attempt's row of the ledger."""
        spec = self.deployment.spec
        return AttemptRecord(  # in the order of its fields: naming so many takes twice as long
            self.id,
            self._call.id,
            self.number,
            self.started_at,
            spec.name,
            spec.provider,
            self._endpoint,
            spec.upstream_model,
            self.deployment.keys.fingerprint(self._key),
            outcome,
            self.status,
            error.code if error else "",
            self.upstream_id,
            usage,
            pricing.cost_picousd(usage, spec.price) if spec.price else 0,
            spec.price.version if spec.price else "free",
            self._clock.monotonic() - self._started,
        )

    def _learn(self, response: UpstreamResponse) -> None:
        """What the answer's status and headers say of the provider's quota."""
        quota, headers = self.deployment.quota, response.headers
        if says_allowances(headers):
            quota.heard(self._key, headers, self._mark, Answered(self._clock.monotonic(), self._clock.now()))
        if not quota.is_free and 200 <= response.status < 300:
            quota.accepted(self._key, self._mark)

    def _used_tokens(self) -> int:
        """As reported; nothing if nothing came; all that was expected if nobody knows."""
        usage = self.usage or self.usage_so_far
        if usage is not None:
            return usage.input + usage.output
        return self._demand.tokens if self.first_at is not None else 0

    def _headers(self) -> tuple[tuple[str, str], ...]:
        """The caller's trace goes on, with this attempt as the parent, and what it tells the API of its dialect."""
        sent = self._call.traceparent
        context = trace.parse_traceparent(sent) if sent else None
        told = self._call.dialect_headers if self._dialogue.same_dialect else ()
        return (*told, ("traceparent", trace.child(context, trace.span_id_of(self.id)))) if context else told

    async def _open_stream(self, response: UpstreamResponse) -> None:
        if not http.has_type(response.headers, self._dialogue.stream_type):
            await self._refuse_other_content(response)
        reader, held, held_bytes = self._reader, list[bytes](), 0
        assert reader is not None, "the call asked for a stream"
        while not reader.committed and held_bytes <= MAX_PREAMBLE_BYTES:
            data = await response.read()
            if data:
                held.append(reader.feed(data))
                held_bytes += len(held[-1])
            else:
                reader.finish()
            if reader.failure is not None and not reader.committed:
                raise reader.failure
            if not data:
                break
        self._head = b"".join(held)
        self.first_at = self.last_at = now = self._clock.monotonic()
        self.deployment.began_stream(now - self._started)

    async def _open_json(self, response: UpstreamResponse) -> None:
        if http.has_type(response.headers, "text/event-stream"):
            raise StreamMalformed("The provider answered a plain request with an event stream.")
        self.body = await self._read_all(response, MAX_ANSWER_BYTES)
        if not self.body.strip():
            raise UpstreamEmpty("The provider answered 200 with an empty body.")
        try:
            answer = self._dialogue.read_whole(self._call, self._ask, self.body)
        except ValueError as error:
            raise StreamMalformed(f"The provider's answer cannot be read: {error}.") from None
        if answer.failed:
            raise StreamFailed(f"The provider answered 200 with an error: {answer.failed}")
        if answer.empty:
            raise UpstreamEmpty("The provider answered 200 with nothing in it.")
        self.usage, self.texts, self._lost = answer.usage, answer.texts, answer.dropped
        if answer.body is not None:
            self.body = answer.body
        self.first_at = self.last_at = self._clock.monotonic()

    async def _refuse_other_content(self, response: UpstreamResponse) -> None:
        body = await self._read_all(response, MAX_ERROR_BYTES)
        if not body.strip():
            raise UpstreamEmpty("The provider answered a stream request with an empty 200.")
        raise StreamMalformed(f"The provider did not answer with an event stream: {openai.error_message(body)}")

    async def _read_all(self, response: UpstreamResponse, limit_bytes: int) -> bytes:
        pieces, size = list[bytes](), 0
        while piece := await response.read():
            pieces.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise StreamMalformed(f"The provider's answer is larger than {limit_bytes} bytes.")
        return b"".join(pieces)

    async def _rejection(self, response: UpstreamResponse) -> UpstreamError:
        try:
            body = await self._read_all(response, MAX_ERROR_BYTES)
        except StreamIncomplete:
            body = b""  # the status says enough
        now = self._clock.now()
        said = rejections.read_rejection(self._dialogue.api, response.status, response.headers, body, now)
        if response.status < 400:
            return StreamMalformed(f"The provider answered {response.status}, a redirect: its base_url must be mended.")
        if said.about_our_key:
            spec = self.deployment.spec
            log.warning("the provider of %s refused headgate's key with %d: %s", spec.name, response.status, said.words)
            return UpstreamAuth(
                f"The provider refused headgate's key with {response.status}. The operator must mend it."
            )
        return UpstreamRejected(
            said.words,
            upstream_status=response.status,
            body=body,
            content_type=response.headers.get("content-type", ""),
            dialect=said.family,
            retry_after_seconds=said.retry_after_seconds,
        )

    def _no_first_token(self) -> HeadgateError:
        return FirstTokenTimeout(f"No content came within {self._model.first_token_seconds:g} seconds.")

    def _no_answer(self) -> HeadgateError:
        return TotalTimeout(f"The answer was not complete within {self._model.total_seconds:g} seconds.")

    def _stalled(self) -> HeadgateError:
        return StreamStalled(f"The provider sent nothing for {self._model.stall_seconds:g} seconds.")
