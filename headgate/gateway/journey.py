"""What the pipeline knows of one request on its way, from which its ledger rows are written at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from headgate.errors import HeadgateError
from headgate.gateway.answers import AnswerHead
from headgate.gateway.attempts import Attempt
from headgate.gateway.fleet import ServedModel, Setup
from headgate.gateway.routers import ModelChoice, RouterSpec
from headgate.gateway.tickets import KeyedTicket, Ticket
from headgate.gateway.watchdog import Watchdog
from headgate.idempotency_types import OnUnknown
from headgate.metering import NO_SLOT, Ask, Standing, UnderWay
from headgate.policy import access
from headgate.policy.choosing import Why
from headgate.route_types import Routed
from headgate.types import AttemptRecord, Call, Caller, Outcome, RequestRecord, Route, Usage
from headgate.wire import openai, trace
from headgate.wire.speakers import speaker
from headgate.writing import Batch

OURSELVES = "headgate"  # who answers what no provider was asked


class Hold:
    """What an admitted request holds of its limits and budgets. `model` is the one whose price it is for, if any."""

    __slots__ = ("ask", "dispatched", "is_out", "model", "output_tokens", "picousd")

    def __init__(self, ask: Ask, output_tokens: int, model: ServedModel | None) -> None:
        self.output_tokens = output_tokens  # of one choice
        self.dispatched = False  # a provider was asked at least once
        self.is_out = False  # a provider has it now
        self.grow(ask, model)

    def grow(self, ask: Ask, model: ServedModel | None) -> None:
        """It is for this model's price from now on."""
        self.ask = ask
        self.model = model
        self.picousd = ask.input_picousd + self.output_tokens * ask.choices * ask.output_price  # at most


class Journey:
    """One request on its way."""

    __slots__ = (
        "attempt", "attempts", "batch", "cache", "call", "caller", "chosen", "counting", "degraded_from", "doubt",
        "error", "given_by", "hit", "hold", "interruption", "is_let_in", "is_settled", "is_short_of_money",
        "is_uncharged", "is_unheld", "keyed", "lowered_to", "model", "outcome", "requests", "retries_used", "router",
        "saved_picousd", "sent_bytes", "set_aside", "setup", "slot", "started", "started_at", "ticket", "tokens",
        "tried", "watchdog",
    )  # fmt: skip

    def __init__(self, caller: Caller, call: Call, setup: Setup, *, started: float, started_at: float) -> None:
        self.caller = caller
        self.call = call
        self.setup = setup
        self.started = started  # monotonic
        self.started_at = started_at  # wall
        self.model: ServedModel | None = None  # the one being asked: the caller's, later perhaps a fallback
        self.lowered_to: int | None = None
        self.watchdog: Watchdog | None = None
        self.interruption: HeadgateError | None = None  # what it is to end with, if that came before the watchdog
        self.attempt: Attempt | None = None  # the one under way, or the one that answered
        self.attempts: list[AttemptRecord] = []  # those that ended
        self.tried: frozenset[int] = frozenset()  # deployments of `model` that failed, or cannot be asked this
        self.retries_used = 0  # on `model`
        self.outcome = Outcome.DISCONNECTED  # what is true if nobody ever says more
        self.error: HeadgateError | None = None
        self.counting: asyncio.Task[None] | None = None  # settling, when tokens must be counted first
        self.is_settled = False
        self.hold: Hold | None = None
        self.slot = NO_SLOT  # where it is noted that a provider was asked
        self.requests: Standing | None = None  # how the limits stand, for the caller
        self.tokens: Standing | None = None
        self.degraded_from: ServedModel | None = None  # what was asked for, if money led to a cheaper one
        self.is_short_of_money = False  # its ceiling is lower than it would be with more
        self.is_let_in = False  # what it comes to will have room in the ledger
        self.cache = "off"  # what became of looking for an answer that is there: as its header says
        self.ticket: Ticket | None = None  # what it has to do with the cache
        self.keyed: KeyedTicket | None = None  # what it has to do with its idempotency key
        self.is_unheld = False  # let in though limits and budgets could not be checked
        self.is_uncharged = False  # another request has its key by now, and is charged
        self.sent_bytes = 0  # of an answer that no provider was asked for
        self.hit = ""  # how such an answer came
        self.given_by = ""  # which model's it was
        self.saved_picousd = 0  # what it would have cost
        self.router: RouterSpec | None = None  # that was asked for
        self.chosen: ModelChoice | None = None  # by it
        self.set_aside: Sequence[Attempt] = ()  # answers that were not good enough, while a better model is asked
        self.doubt = ""  # why a better model was asked
        self.batch: Batch | None = None  # that the answer goes out with, if it is to be booked with others

    @property
    def asked_for(self) -> ServedModel:
        """The caller's model, or the one that a router chose."""
        chosen = self.chosen
        return self.setup.models[self.call.model if chosen is None else chosen.choice.model or ""]

    def may_have(self, model: str) -> bool:
        """Whether the caller may be given an answer of this model: by its own name, or through the router."""
        router, tier = self.router, self.caller.tier
        if router is not None and model in router.members:
            return model in access.members(tier, router.members)
        return access.may_use(tier, model)

    @property
    def counts_tokens_here(self) -> bool:
        """Whether the caller asks for a token count that none of the model's providers can give."""
        route = self.call.route
        return route is Route.COUNT_TOKENS and self.model is not None and not self.model.serves(route)

    @property
    def cost_picousd(self) -> int:
        """Of all attempts that ended, as far as the caller has to pay for them."""
        return 0 if self.is_uncharged else sum([attempt.cost_picousd for attempt in self.attempts])

    @property
    def attempts_made(self) -> int:
        """How many there were, ended or set aside."""
        return len(self.attempts) + len(self.set_aside)

    @property
    def weak_picousd(self) -> int:
        """What the answers that were set aside have cost, at most: it is held beside what the next one may."""
        hold = self.hold
        known = [weak.cost_picousd for weak in self.set_aside]
        return sum([hold.picousd if cost is None and hold is not None else cost or 0 for cost in known])

    def ends(self, outcome: Outcome, error: HeadgateError | None = None) -> None:
        """Say how the request ended."""
        self.outcome, self.error = outcome, error

    def head(self) -> AnswerHead:
        """What the client is told at the commit point."""
        attempt, model = self.attempt, self.model
        assert model is not None, "there is an answer"
        if attempt is None:
            return AnswerHead(self.call.id, False, model.spec.name, OURSELVES, "", "", cost_picousd=0)
        spec = attempt.deployment.spec
        return AnswerHead(
            request_id=self.call.id,
            stream=self.call.stream,
            model=model.spec.name,
            provider=spec.provider,
            deployment=spec.name,
            attempts=self.attempts_told(),
            cache=self.cache,
            cost_picousd=self.cost_picousd if self.is_settled else None,
            max_output_tokens=self.lowered_to,
            dropped=attempt.dropped,
            degraded_from=self.degraded_from.spec.name if self.degraded_from is not None else "",
            requests=self.requests,
            tokens=self.tokens,
            route=self.route_told() if self.chosen is not None else "",
        )

    def routed(self) -> Routed | None:
        """How a router chose the model, for the ledger and the log."""
        if self.router is not None and self.given_by:
            reason = f"the answer was there already ({self.hit})"
            return Routed(self.router.name, self.given_by, Why.CACHED, reason, 0.0)
        if self.chosen is None or self.model is None:
            return None
        return self.chosen.told(self.model.spec.name, self.doubt, is_short=self.degraded_from is not None)

    def _routed_json(self) -> str:
        routed = self.routed()
        return "" if routed is None else msgspec.json.encode(routed).decode()

    def route_told(self) -> str:
        """The same as a header says it; empty if no router was asked for."""
        routed = self.routed()
        if routed is None:
            return ""
        told = f"{routed.router}; model={routed.model}; why={routed.why}"
        return told if self.given_by else f"{told}; difficulty={routed.difficulty:.2f}"

    def attempts_told(self) -> str:
        """The attempts as a header says them: each deployment with the provider's status, or the error's code."""
        told = [f"{past.deployment} {past.status or past.error}" for past in self.attempts]
        if self.set_aside and not self.is_settled:
            told += [f"{weak.deployment.spec.name} {weak.status}" for weak in self.set_aside]
        if self.attempt is not None and not self.is_settled:
            told.append(f"{self.attempt.deployment.spec.name} {self.attempt.status}")
        return ", ".join(told)

    def request_record(self, now: float) -> RequestRecord:
        """The ledger's row of the request, attempts included; `now` is monotonic."""
        call, caller, last = self.call, self.caller, self.attempts[-1] if self.attempts else None
        first_at = self.attempt.first_at if self.attempt else None
        context = trace.parse_traceparent(call.traceparent) if call.traceparent else None
        return RequestRecord(  # in the order of its fields: naming so many takes three times as long
            call.id,
            self.started_at,
            caller.tenant,
            caller.user or call.user,
            caller.key_id,
            str(call.route),
            speaker(call.route).family,
            call.model,
            call.stream,
            self.outcome,
            openai.error_status(self.error) if self.error else 200,
            self.error.code if self.error else "",
            last.deployment if last else "",
            last.provider if last else "",
            last.upstream_model if last else "",
            call.session,
            call.prompt_version,
            call.tags,
            last.usage if last else Usage(),
            self.cost_picousd,
            last.price_version if last else "",
            self.setup.config_hash,
            None if first_at is None else first_at - self.started,
            self._mean_gap(),
            now - self.started,
            call.body_bytes,
            (self.attempt.bytes_out or len(self.attempt.body)) if self.attempt else self.sent_bytes,
            context.trace_id if context else "",
            False,  # undelivered: that turns out later
            call.traceparent or "",
            tuple(self.attempts),
            "" if self.router is None else self._routed_json(),
            self.hit,
            self.saved_picousd if self.outcome is Outcome.CACHED else 0,
        )

    def under_way(self, hold: Hold) -> UnderWay:
        """What is noted while a provider is asked, for the case that this process dies before there is a row."""
        attempt, call = self.attempt, self.call
        assert attempt is not None, "it is dispatched"
        spec = attempt.deployment.spec
        return UnderWay(  # in the order of its fields: naming so many takes three times as long
            call.id,
            self.started_at,
            self.caller.tenant,
            self.caller.user or call.user,
            self.caller.key_id,
            str(call.route),
            speaker(call.route).family,
            call.model,
            call.stream,
            spec.name,
            spec.provider,
            spec.upstream_model,
            hold.ask.input_tokens,
            hold.output_tokens * hold.ask.choices,
            hold.picousd,
            spec.price.version if spec.price else "free",
            self.setup.config_hash,
            call.session,
            call.tags,
            attempt.number,
            attempt.started_at,
            attempt.endpoint,
            attempt.key_fingerprint,
            self.keyed is not None and self.setup.idempotency.on_unknown is OnUnknown.RETRY,
        )

    def itl_counts(self) -> Sequence[int]:
        """Gaps between content events, counted into ITL_BUCKETS_SECONDS."""
        return self.attempt.itl_counts if self.attempt else ()

    def _mean_gap(self) -> float | None:
        attempt = self.attempt
        if attempt is None or attempt.first_at is None:
            return None
        gaps = sum(attempt.itl_counts)
        return (attempt.last_at - attempt.first_at) / gaps if gaps else None
