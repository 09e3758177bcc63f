"""What every `ports.Counters` must do."""

from __future__ import annotations

import msgspec
import pytest

from headgate.metering import Ask, Charge, Verdict
from headgate.types import Measure
from tests.contract.counting import (
    Open,
    Stand,
    ask,
    budget,
    concurrency,
    rate,
    rolling,
    run,
    shared_rate,
)


def test_a_bucket_lets_its_burst_pass_and_then_its_rate(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rate(60, burst_seconds=5.0)
        for _ in range(5):
            assert (await stand.admit([meter], ask()))[1].refusal is None
        refused = (await stand.admit([meter], ask()))[1]
        assert refused.refusal.verdict is Verdict.RATE and refused.wait_seconds == pytest.approx(1.0, abs=0.01)
        stand.clock.at += refused.wait_seconds
        admitted = (await stand.admit([meter], ask()))[1]
        assert admitted.refusal is None and admitted.requests.limit == 60

    run(counters, scenario)


def test_no_moving_minute_has_more_than_the_limit(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter, came = rate(20), list[float]()
        for _ in range(2_000):
            stand.clock.at += 0.13
            hold, admitted = await stand.admit([meter], ask())
            if admitted.refusal is None:
                came.append(stand.clock.at)
                stand.counters.settle(hold, "acme", Charge())
        assert all(later - earlier >= 59.999 for earlier, later in zip(came, came[20:], strict=False))
        assert len(came) >= 0.99 * 20 * (2_000 * 0.13 / 60)

    run(counters, scenario)


def test_a_rate_is_free_when_the_last_that_was_used_leaves_not_when_what_was_given_back_would(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rate(20)
        hold, _ = await stand.admit([meter], ask())
        stand.counters.settle(hold, "acme", Charge())
        before = (await stand.counters.read("acme", [meter]))[0]
        stand.clock.at += 10
        hold, _ = await stand.admit([meter], ask())
        stand.counters.settle(hold, "acme", Charge(released=True))
        assert await stand.counters.read("acme", [meter]) == [before]

    run(counters, scenario)


def test_who_tries_in_vain_again_and_again_keeps_nobody_else_waiting(counters: Open) -> None:
    """His own limit lets him pass much later; all the others of his tenant may come before."""

    async def scenario(stand: Stand) -> None:
        tenant, own = rate(60, burst_seconds=5.0), msgspec.structs.replace(rate(3), name="user ann")
        for _ in range(100):
            await stand.admit([tenant, own], ask())
        while (refused := (await stand.admit([tenant], ask()))[1]).refusal is None:
            pass
        waits = [refused.wait_seconds]
        for _ in range(9):
            waits.append((await stand.admit([tenant], ask()))[1].wait_seconds)
        assert waits == pytest.approx([1.0 + number for number in range(10)], abs=0.1)

    run(counters, scenario)


def test_each_who_waits_is_told_a_turn_that_is_true(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter, start = rate(120, burst_seconds=10.0), stand.clock.at
        times = []
        for _ in range(70):
            refused = (await stand.admit([meter], ask()))[1]
            if refused.refusal is not None:
                times.append(start + refused.wait_seconds)
        assert len(times) == 50 and times == sorted(times)
        for at in times:
            stand.clock.at = at
            assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_tokens_are_reserved_and_trued_up(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rate(1_000, Measure.TOKENS)
        hold, first = await stand.admit([meter], ask(100, 800))
        assert first.refusal is None and first.tokens.remaining == 100
        assert (await stand.admit([meter], ask(100, 100)))[1].refusal.verdict is Verdict.RATE
        stand.counters.settle(hold, "acme", Charge(tokens=150))
        second = (await stand.admit([meter], ask(100, 100)))[1]
        assert second.refusal is None and second.tokens.remaining == 650
        assert (await stand.admit([meter], ask(2_000, 1)))[1].refusal.verdict is Verdict.TOO_LARGE

    run(counters, scenario)


def test_what_is_larger_than_the_burst_goes_into_debt_on_a_full_bucket(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rate(6_000, Measure.TOKENS, burst_seconds=6.0)  # 600 at once, 100 a second
        assert (await stand.admit([meter], ask(1_500, 0)))[1].refusal is None
        refused = (await stand.admit([meter], ask(100, 0)))[1]
        assert refused.wait_seconds == pytest.approx(10.0, abs=0.3)

    run(counters, scenario)


def test_all_or_nothing(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        wide, narrow = rate(100), concurrency(1)
        hold, _ = await stand.admit([wide, narrow], ask())
        for _ in range(10):
            refused = (await stand.admit([wide, narrow], ask()))[1]
            assert refused.refusal.verdict is Verdict.CONCURRENCY and refused.requests.remaining == 99
        stand.counters.settle(hold, "acme", Charge())
        assert (await stand.admit([wide, narrow], ask()))[1].requests.remaining == 98

    run(counters, scenario)


def test_a_charge_below_zero_gives_back_what_another_hold_was_charged(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = [budget(10**9), budget(10**9, Measure.TOKENS, "tokens")]
        hold, _ = await stand.admit(meters, ask(100, 100))
        stand.counters.settle(hold, "acme", Charge(tokens=150, picousd=700))
        await stand.counters.admit("back", "acme", meters, Ask(0, 0))
        stand.counters.settle("back", "acme", Charge(-150, -700))
        stand.counters.settle("back", "acme", Charge(-150, -700))  # twice changes nothing
        assert [(one.used, one.held) for one in await stand.counters.read("acme", meters)] == [(0, 0), (0, 0)]

    run(counters, scenario)


def test_a_hold_that_is_released_never_was(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = [rate(10), rate(1_000, Measure.TOKENS), concurrency(1), budget(1000 * 10**6)]
        hold, _ = await stand.admit(meters, ask())
        stand.counters.settle(hold, "acme", Charge(released=True))
        again = (await stand.admit(meters, ask()))[1]
        assert again.refusal is None and again.requests.remaining == 9
        readings = await stand.counters.read("acme", meters)
        assert [(reading.used, reading.held) for reading in readings[2:]] == [(1, 0), (0, 200 * 10**6)]

    run(counters, scenario)


def test_held_money_is_not_spent_money(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = budget(300 * 10**6)
        first, _ = await stand.admit([meter], ask())
        held = (await stand.admit([meter], ask()))[1]
        assert held.refusal.verdict is Verdict.HELD and held.wait_seconds == 1.0
        stand.counters.settle(first, "acme", Charge(tokens=110, picousd=110 * 10**6))
        second, admitted = await stand.admit([meter], ask())
        assert admitted.refusal is None and admitted.output_tokens == 90  # what is left pays for no more
        stand.counters.settle(second, "acme", Charge(tokens=190, picousd=190 * 10**6))
        spent = (await stand.admit([meter], ask()))[1]
        assert spent.refusal.verdict is Verdict.SPENT and spent.refusal.used == 300 * 10**6
        assert spent.wait_seconds is None
        assert (await stand.admit([meter], ask(1_000)))[1].refusal.verdict is Verdict.TOO_LARGE
        assert [crossing.percent for crossing in stand.told] == [100]

    run(counters, scenario)


def test_settling_twice_changes_nothing(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = budget(1000 * 10**6)
        hold, _ = await stand.admit([meter], ask())
        for picousd in (100, 300):
            stand.counters.settle(hold, "acme", Charge(picousd=picousd * 10**6))
        (reading,) = await stand.counters.read("acme", [meter])
        assert (reading.used, reading.held) == (100 * 10**6, 0)

    run(counters, scenario)


def test_what_expires_is_free_if_it_was_never_sent_and_charged_if_it_was(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = budget(1000 * 10**6)
        sent, _ = await stand.admit([meter], ask())
        await stand.admit([meter], ask())
        stand.counters.keep(sent, "acme", dispatched=True)
        stand.clock.at += 29
        assert (await stand.counters.read("acme", [meter]))[0].held == 400 * 10**6
        stand.clock.at += 2
        (reading,) = await stand.counters.read("acme", [meter])
        assert (reading.used, reading.held) == (200 * 10**6, 0)
        stand.counters.settle(sent, "acme", Charge(tokens=120, picousd=120 * 10**6))
        assert (await stand.counters.read("acme", [meter]))[0].used == 120 * 10**6

    run(counters, scenario)


def test_what_expires_after_its_provider_has_failed_is_free(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = budget(1000 * 10**6)
        sent, _ = await stand.admit([meter], ask())
        stand.counters.keep(sent, "acme", dispatched=True)
        stand.counters.keep(sent, "acme", dispatched=False)
        stand.clock.at += 31
        (reading,) = await stand.counters.read("acme", [meter])
        assert (reading.used, reading.held) == (0, 0)

    run(counters, scenario)


def test_a_hold_that_is_kept_does_not_expire(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = concurrency(1)
        hold, _ = await stand.admit([meter], ask())
        for _ in range(10):
            stand.clock.at += 20
            stand.counters.keep(hold, "acme", dispatched=True)
        assert (await stand.admit([meter], ask()))[1].refusal.verdict is Verdict.CONCURRENCY

    run(counters, scenario)


def test_a_hold_grows_for_a_dearer_attempt_if_there_is_money(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = budget(1000 * 10**6)
        hold, _ = await stand.admit([meter], ask())
        dear = ask(100, 100)
        dearer = type(dear)(100, 100, input_picousd=400 * 10**6, output_price=4 * 10**6)
        assert (await stand.counters.extend(hold, "acme", dearer, 100)).refusal is None
        assert (await stand.counters.read("acme", [meter]))[0].held == 800 * 10**6
        dearest = type(dear)(100, 100, input_picousd=900 * 10**6, output_price=4 * 10**6)
        assert (await stand.counters.extend(hold, "acme", dearest, 100)).refusal is not None
        assert (await stand.counters.read("acme", [meter]))[0].held == 800 * 10**6
        stand.counters.settle(hold, "acme", Charge(picousd=1))
        assert (await stand.counters.read("acme", [meter]))[0].held == 0

    run(counters, scenario)


def test_a_limit_on_everybody_can_be_tried(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = [shared_rate(2, Measure.REQUESTS, enforce=False), rate(100)]
        said = [(await stand.admit(meters, ask()))[1] for _ in range(4)]
        assert [admission.refusal for admission in said] == [None] * 4
        names = [[refusal.meter.name for refusal in admission.unenforced] for admission in said]
        assert names == [[], [], [meters[0].name], [meters[0].name]]

    run(counters, scenario)


def test_a_rolling_budget_that_is_spent_says_when_it_is_not(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter, month = rolling(500 * 10**6), budget(500 * 10**6)
        for _ in range(2):  # ten minutes apart
            hold, _ = await stand.admit([meter, month], ask())
            stand.counters.settle(hold, "acme", Charge(tokens=200, picousd=200 * 10**6))
            stand.clock.at += 600.0
        hold, _ = await stand.admit([meter, month], ask())
        stand.counters.settle(hold, "acme", Charge(tokens=100, picousd=100 * 10**6))
        spent = (await stand.admit([meter], ask()))[1]
        assert spent.refusal.verdict is Verdict.SPENT and spent.wait_seconds is None
        assert spent.refusal.wait_seconds == pytest.approx(3600.0 - 1200.0, abs=16.0)
        both = (await stand.admit([meter, month], ask()))[1]
        assert both.refusal.meter.name == "budget", "what takes longer is told"
        stand.clock.at += spent.refusal.wait_seconds + 0.001
        assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_a_rolling_budget_forgets(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rolling(200 * 10**6)
        hold, _ = await stand.admit([meter], ask())
        stand.counters.settle(hold, "acme", Charge(picousd=200 * 10**6))
        stand.clock.at += 3_500
        assert (await stand.admit([meter], ask()))[1].refusal.verdict is Verdict.SPENT
        stand.clock.at += 200
        assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_what_is_only_tried_refuses_nobody_and_says_what_it_would_have(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = rate(1, enforce=False)
        assert (await stand.admit([meter], ask()))[1].unenforced == ()
        admitted = (await stand.admit([meter], ask()))[1]
        assert admitted.refusal is None and [refusal.verdict for refusal in admitted.unenforced] == [Verdict.RATE]

    run(counters, scenario)


def test_tenants_are_strangers(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        await stand.counters.rebuild("hobby", [])
        assert (await stand.admit([rate(1)], ask()))[1].refusal is None
        assert (await stand.admit([rate(1)], ask(), tenant="hobby"))[1].refusal is None
        assert (await stand.admit([rate(1)], ask()))[1].refusal is not None

    run(counters, scenario)


def test_a_limit_on_everybody_is_told_where_it_is_the_tightest(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        loose, tight = rate(3_000), shared_rate(600, Measure.REQUESTS)
        tokens, tight_tokens = rate(10**6, Measure.TOKENS), shared_rate(60_000, Measure.TOKENS)
        meters = (loose, tokens, tight, tight_tokens)
        for count in range(1, 9):  # a slice is 6 requests
            said = (await stand.admit(meters, ask(60, 40)))[1]
            assert (said.requests.limit, said.requests.remaining) == (600, 600 - count)
            assert (said.tokens.limit, said.tokens.remaining) == (60_000, 60_000 - 100 * count)
            for standing in (said.requests, said.tokens):
                assert standing.reset_seconds == pytest.approx(0.1 * count, abs=1e-5)
                assert standing.resets_at == pytest.approx(stand.clock.at + 0.1 * count)
        stand.clock.at += 20.0
        said = (await stand.admit(meters, ask(60, 40)))[1]
        assert (said.requests.remaining, said.requests.reset_seconds) == (591, pytest.approx(0.1, abs=1e-5))
        small = (rate(5), tight)  # the tenant's own is tighter
        said = (await stand.admit(small, ask(60, 40)))[1]
        assert said.requests.limit == 5

    run(counters, scenario)


def test_who_is_refused_by_a_limit_on_everybody_is_told_how_it_stands(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = (rate(3_000), shared_rate(3, Measure.REQUESTS))
        for _ in range(3):
            assert (await stand.admit(meters, ask()))[1].refusal is None
        said = (await stand.admit(meters, ask()))[1]
        assert said.refusal.verdict is Verdict.RATE
        assert (said.requests.limit, said.requests.remaining) == (3, 0)
        assert said.requests.reset_seconds == pytest.approx(60.0)

    run(counters, scenario)
