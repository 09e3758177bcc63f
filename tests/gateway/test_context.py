"""A prompt that is longer than what the operator says that a model takes is refused by name; nobody is asked for it."""

from __future__ import annotations

from headgate.limit_errors import ContextTooLong
from headgate.types import Outcome
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.limited import budget, caller, plain
from tests.gateway.scripted import ScriptedProvider, answer

MOST = 1_000


def asking(letters: int) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "x" * letters}]}


def test_it_is_refused_before_anything_is_held() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(provider), context_tokens=MOST))
        alice = caller(budget(10**12))
        visit = await corridor.visit(plain(corridor, **asking(2 * MOST)), caller=alice)
        error = visit.error
        assert isinstance(error, ContextTooLong) and (error.status, error.code) == (400, "context_length_exceeded")
        assert f"takes {MOST}" in error.message and not error.should_retry
        assert corridor.record.outcome is Outcome.REFUSED and not provider.asked and not corridor.counters.holds

    run(scenario)


def test_one_that_may_fit_is_sent_and_its_provider_decides() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(), answer())), context_tokens=MOST))
        for letters in (MOST // 2, MOST):  # counted as more than there is room for, by no more than a count is off
            assert (await corridor.visit(plain(corridor, **asking(letters)))).error is None
        assert len(corridor.counter.counted) == 1, "what is surely short enough is not counted"

    run(scenario)


def test_where_nobody_says_what_a_model_takes_nothing_is_counted() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        assert (await corridor.visit(plain(corridor, **asking(10 * MOST)))).error is None
        assert not corridor.counter.counted

    run(scenario)
