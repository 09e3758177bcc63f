"""Calls that the gateway makes for itself: shadow runs and their judges, and checks of answers. They go through the
corridor like any other, for the tenant `headgate` or, checks, for the caller. So they are held for before they are
sent, and every one is a row of the ledger.
"""

from __future__ import annotations

import msgspec

from headgate.gateway import asking
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.routers import OPERATOR, RouterSpec
from headgate.policy import judging
from headgate.ports import Clock
from headgate.types import (
    CacheControl,
    CacheMode,
    Call,
    Caller,
    Frozen,
    Measure,
    MeterKind,
    Route,
    Rule,
    Scope,
    Tier,
)
from headgate.wire import endings, said
from headgate.wire.openai import CallHeaders, parse_call

_LEFT_OUT = ("stream", "stream_options")
WORD_TOKENS = 4_000  # for an answer of one word, and what a model thinks before; so much is held for it
_NOT_FROM_CACHE = CacheControl(CacheMode.OFF)


class Told(Frozen, frozen=True):
    """What an errand brought back. `is_cut`: it ended where nobody had wanted it to, for want of money perhaps."""

    text: str
    cost_picousd: int
    is_cut: bool


class Errands:
    """Makes the gateway's own calls."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._callers: dict[str, Caller] = {}  # by router

    async def again(self, router: RouterSpec, call: Call, model: str) -> Told:
        """Put a caller's request to another model. Raises HeadgateError, LimitRefusal when the day's money is spent."""
        fields = {name: raw for name, raw in call.fields.items() if name not in _LEFT_OUT}
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
        again = asking.again(call, self._clock.new_id("req"), ("shadow",))
        again = msgspec.structs.replace(again, model=model, stream=False, fields=fields, user=None)
        return await self._ask(self._caller(router), again)

    async def check(self, caller: Caller, model: str, asked: str, text: str) -> bool | None:
        """Whether a model thinks that an answer will do, at the caller's expense; None: it did not say.

        Raises HeadgateError.
        """
        anything = msgspec.structs.replace(caller.tier, models=frozenset({"*"}))
        call = self._question(model, judging.CHECK_TASK, judging.check(asked, text), "check")
        told = await self._ask(msgspec.structs.replace(caller, tier=anything), call)
        return judging.read_check(told.text)

    async def ask(self, router: RouterSpec, model: str, system: str, text: str) -> Told:
        """Ask a model a question of our own. Raises HeadgateError."""
        return await self._ask(self._caller(router), self._question(model, system, text, "judge"))

    def _question(self, model: str, system: str, text: str, tag: str) -> Call:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = msgspec.json.encode({"model": model, "messages": messages, "max_completion_tokens": WORD_TOKENS})
        headers = CallHeaders(tags=(tag,), cache=_NOT_FROM_CACHE)
        return parse_call(Route.CHAT, body, self._clock.new_id("req"), headers)

    async def _ask(self, caller: Caller, call: Call) -> Told:
        async with self._pipeline.handle(caller, call) as answer:
            text, head = said.text_of(call.route, answer.body), answer.head
        return Told(text, head.cost_picousd or 0, _is_cut(call, answer.body, head.max_output_tokens))

    def _caller(self, router: RouterSpec) -> Caller:
        """A tier of its own for each router, with the day's money as its budget: the same object each time."""
        known = self._callers.get(router.name)
        limit = router.shadow_picousd_per_day
        if known is None or known.tier.rules[0].limit != limit:
            rule = Rule(
                f"routers.{router.name}.shadow.max_usd_per_day",
                MeterKind.BUDGET,
                Measure.USD,
                Scope.USER,
                limit,
                window="day",
            )
            tier = Tier("headgate", models=frozenset({"*"}), rules=(rule,))
            known = self._callers[router.name] = Caller(f"router:{router.name}", OPERATOR, router.name, tier)
        return known


def _is_cut(call: Call, body: bytes, lowered_to: int | None) -> bool:
    try:
        finishes = endings.of_whole(call.route, body).finishes
    except (ValueError, KeyError, RecursionError):
        return False
    wanted = call.max_output_tokens
    is_lower = wanted is None or (lowered_to is not None and lowered_to < wanted)
    return is_lower and not endings.CUT.isdisjoint(finishes)
