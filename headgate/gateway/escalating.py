"""Escalation: an answer of a router's model is looked at before anything of it is shown, and if it is not good enough,
the next better model is asked. The weaker answer is kept until that one has answered, and shown after all if it cannot.

The decision is `policy.escalating`. A stream is held back only as far as it takes to see: mostly not at all.
"""

from __future__ import annotations

import logging
from typing import Protocol

from headgate.errors import HeadgateError, UpstreamError
from headgate.gateway.admission import Admissions
from headgate.gateway.attempts import Attempt
from headgate.gateway.choosing import Choosing
from headgate.gateway.dispatch import Dispatcher
from headgate.gateway.journey import Journey
from headgate.gateway.routers import ModelChoice
from headgate.gateway.settling import Settler
from headgate.limit_errors import LimitRefusal
from headgate.policy import escalating
from headgate.policy.escalating import Doubt, Given
from headgate.types import Caller
from headgate.wire import endings, said

log = logging.getLogger(__name__)

_HELD_BACK = frozenset({"content_filter", "refusal"})


class EscalationObserver(Protocol):
    """Told of answers that were not good enough."""

    def escalated(self, router: str, doubt: str, to: str) -> None: ...


class Checker(Protocol):
    """Asks a model about an answer."""

    async def check(self, caller: Caller, model: str, asked: str, text: str) -> bool | None:
        """Whether the answer will do; None: nobody knows. Raises HeadgateError."""


class Escalating:
    """One process's second looks."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        admissions: Admissions,
        settler: Settler,
        choosing: Choosing,
    ) -> None:
        self._dispatcher = dispatcher
        self._admissions = admissions
        self._settler = settler
        self._choosing = choosing
        self.observer: EscalationObserver | None = None
        self.checker: Checker | None = None

    async def improve(self, journey: Journey) -> None:
        """Leave an answer that is good enough in `journey.attempt`, or the best that could be had.

        Raises as `Dispatcher.dispatch` does, if not even the weaker model's answer can be shown.
        """
        chosen = journey.chosen
        assert chosen is not None, "a router was asked for"
        router = chosen.router
        while (better := self._better(journey, chosen)) is not None and (router.standard.doubts or router.check_with):
            weak, weak_model = journey.attempt, journey.model
            assert weak is not None and weak_model is not None, "there is an answer"
            try:
                found = await self._doubt(journey, weak, chosen)
            except UpstreamError as error:  # the stream broke while it was held
                journey.attempt = None
                self._settler.close_failed(journey, weak, error)
                self._admissions.came_back(journey)
                self._dispatcher.go_on_with(journey, better)
                await self._again(journey, error)
                continue
            if found is None:
                return
            doubt, sentence = found
            journey.attempt = None
            journey.set_aside = (*journey.set_aside, weak)
            try:
                self._dispatcher.go_on_with(journey, better)
                await self._admissions.extend(journey)
                await self._dispatcher.dispatch(journey)
            except HeadgateError:
                journey.set_aside = journey.set_aside[:-1]
                journey.attempt, journey.model = weak, weak_model
                return
            journey.doubt = f"{weak_model.spec.name}: {sentence}"
            self._choosing.keep(chosen, journey.model.spec.name if journey.model is not None else "")
            if self.observer is not None:
                self.observer.escalated(chosen.router.name, doubt, better)

    async def _again(self, journey: Journey, failure: UpstreamError) -> None:
        """Ask the next model for one that failed, if there is money for it; else raises what failed."""
        try:
            await self._admissions.extend(journey)
        except LimitRefusal:
            raise failure from None
        await self._dispatcher.dispatch(journey)

    def _better(self, journey: Journey, chosen: ModelChoice) -> str | None:
        """The next better model, if the request may still be given to it."""
        model = journey.model
        assert model is not None, "the request was routed"
        return chosen.better_than(model.spec.name) or None

    async def _doubt(self, journey: Journey, attempt: Attempt, chosen: ModelChoice) -> tuple[Doubt, str] | None:
        call, router = journey.call, chosen.router
        if not call.stream:
            given = _whole(journey, attempt.body, said.text_of(call.route, attempt.body))
        elif router.hold_streams:
            is_whole = await attempt.hold(lambda text: True)
            given = _whole(journey, attempt.held, attempt.heard) if is_whole else Given(attempt.heard, is_whole=False)
        elif router.standard.needs_beginning:
            await attempt.hold(escalating.is_undecided)
            given = Given(attempt.heard, is_whole=False)
        else:
            return None
        found = escalating.doubt(
            given,
            router.standard,
            wants_json=chosen.signals.wants_json,
            may_be_cut=call.max_output_tokens is not None or journey.lowered_to is not None,
        )
        if found is None and router.check_with and given.is_whole and not given.calls_tools:
            return await self._check(journey, chosen, given.text)
        return found

    async def _check(self, journey: Journey, chosen: ModelChoice, text: str) -> tuple[Doubt, str] | None:
        """What the configured model thinks of an answer. If it cannot be asked, the answer will do."""
        router = chosen.router
        if self.checker is None or (router.near and chosen.choice.near >= router.near):
            return None
        try:
            will_do = await self.checker.check(journey.caller, router.check_with, chosen.signals.text, text)
        except HeadgateError as error:
            log.warning("an answer of the router %s was not checked: %s", router.name, error.message)
            return None
        return (Doubt.CHECK, f"{router.check_with} did not think that it would do") if will_do is False else None


def _whole(journey: Journey, body: bytes, text: str) -> Given:
    """`body` is in the caller's dialect: a JSON answer, or all of a stream."""
    call, read = journey.call, endings.of_stream if journey.call.stream else endings.of_whole
    try:
        ending = read(call.route, body)
    except (ValueError, KeyError, RecursionError):
        return Given(text, calls_tools=True)  # a shape that headgate does not know is nobody's to judge
    return Given(
        text,
        refuses=ending.refuses or not _HELD_BACK.isdisjoint(ending.finishes),
        truncated=not endings.CUT.isdisjoint(ending.finishes),
        calls_tools=ending.calls_tools,
        mean_logprob=None if call.stream else said.mean_logprob(call.route, body),
    )
