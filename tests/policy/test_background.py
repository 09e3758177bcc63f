"""The dispatch gate's decisions: examples of each reason, and what must hold whatever is seen."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy import background
from headgate.policy.background import (
    CARRIED_SHARE,
    FELT_GROWTH_SECONDS,
    FIRST_LIMIT,
    FRESH_SECONDS,
    LEARNING_SECONDS,
    LEARNT_SECONDS,
    LEARNT_STREAMS,
    PROBE_SECONDS,
    REST_SECONDS,
    Ceiling,
    GateRules,
    Load,
    Sight,
    Why,
    budget_reason,
    concurrency,
    look,
    verdict,
)

RULES = GateRules(quota_share=0.8, budget_share=0.9, in_flight_share=0.5, ttft_factor=1.5, most=50)
KNOWN = {"ttft_seconds": 0.3, "usual_ttft_seconds": 0.3, "quiet_streams": LEARNT_STREAMS, "is_felt": True}
LEARNT = Ceiling(learnt_at=0.0)
sights = st.builds(
    Sight,
    in_flight=st.integers(0, 300),
    background=st.integers(0, 100),
    refusals=st.integers(0, 3),
    streams=st.integers(0, 5),
    is_felt=st.booleans(),
    ttft_seconds=st.none() | st.floats(0.01, 10),
    usual_ttft_seconds=st.none() | st.floats(0.01, 10),
    quiet_streams=st.integers(0, 50),
    is_awaited=st.booleans(),
    quota_used=st.floats(0, 1.5),
    process_used=st.floats(0, 1.5),
)


def after(ceiling: Ceiling, sight: Sight, seconds: float, now: float = 1.0) -> tuple[Ceiling, float]:
    """What four looks a second make of it."""
    for _ in range(int(seconds * 4)):
        ceiling, now = look(ceiling, sight, RULES, now), now + 0.25
    return ceiling, now


def test_what_is_submitted_after_a_quiet_while_waits_a_few_seconds_at_most_for_what_is_measured() -> None:
    alone = Sight(in_flight=1, streams=1, **{**KNOWN, "quiet_streams": 1})
    beside = msgspec.structs.replace(alone, in_flight=3, background=2)
    for sight, most in ((alone, FRESH_SECONDS), (beside, LEARNING_SECONDS)):
        learning = look(LEARNT, sight, RULES, LEARNT_SECONDS + 1)
        assert verdict(learning, sight, RULES, LEARNT_SECONDS + most).why is Why.LEARNING
        assert verdict(learning, sight, RULES, LEARNT_SECONDS + 1 + most).why is not Why.LEARNING
        empty = msgspec.structs.replace(sight, in_flight=sight.background)
        assert verdict(learning, empty, RULES, LEARNT_SECONDS + 1).why is Why.OPEN, "there is nobody to disturb"


def test_at_first_a_few_may_begin() -> None:
    assert verdict(Ceiling(), Sight(), RULES, 0.0) == background.Verdict(int(FIRST_LIMIT), Why.OPEN)


def test_what_interactive_traffic_takes_is_not_there_for_background_work() -> None:
    assert verdict(Ceiling(), Sight(in_flight=5), RULES, 0.0).room == FIRST_LIMIT - 5
    full = verdict(Ceiling(), Sight(in_flight=9, background=2), RULES, 0.0)
    assert (full.room, full.why) == (0, Why.FULL)
    assert full.reason == "2 background and 7 other requests are under way, of 8"


def test_the_ceiling_grows_while_it_is_used_and_no_longer() -> None:
    used, now = after(Ceiling(), Sight(in_flight=30, background=30), 1.0)
    assert used.limit == FIRST_LIMIT + 4
    assert after(used, Sight(in_flight=1, background=1), 10.0, now)[0].limit == used.limit


def test_it_grows_slowly_where_people_could_feel_it() -> None:
    grown, _ = after(LEARNT, Sight(in_flight=30, background=25, streams=1, **KNOWN), 10.0)
    assert grown.limit == FIRST_LIMIT + 10 / FELT_GROWTH_SECONDS


def test_half_of_what_others_carry_unharmed_is_good_for_everybody() -> None:
    crowd = Sight(in_flight=30, streams=1, **KNOWN)
    grown, now = after(LEARNT, crowd, 60.0)
    assert grown.limit == CARRIED_SHARE * 30
    assert verdict(grown, Sight(in_flight=9, **KNOWN), RULES, now).room == 6


def test_use_that_comes_and_goes_counts_too() -> None:
    used, now = Ceiling(limit=15.0, edge=20.0), 0.0
    for second in range(int(2 * PROBE_SECONDS)):
        in_flight = 20 if second % 2 else 10
        used, now = after(used, Sight(in_flight=in_flight, background=in_flight), 1.0, now)
    assert used.limit == 16.0


def test_it_does_not_grow_before_it_is_known_what_is_usual() -> None:
    unknown = Sight(in_flight=30, background=10, streams=1, ttft_seconds=0.3, quiet_streams=3, is_felt=True)
    assert after(LEARNT, unknown, 10.0)[0].limit == FIRST_LIMIT


def test_a_refusal_shuts_it_for_a_while_and_lowers_the_ceiling() -> None:
    lowered = look(Ceiling(limit=40.0), Sight(in_flight=20, background=10, refusals=2), RULES, 5.0)
    assert lowered.limit == 14.0
    shut = verdict(lowered, Sight(), RULES, 5.0 + REST_SECONDS / 2)
    assert (shut.room, shut.why, shut.reason) == (0, Why.REFUSED, "the provider refused 2 requests")
    assert verdict(lowered, Sight(), RULES, 5.0 + REST_SECONDS).room == 14


def test_late_first_content_lowers_the_ceiling() -> None:
    slow = Sight(in_flight=20, background=10, streams=3, **{**KNOWN, "ttft_seconds": 0.5})
    lowered = look(Ceiling(limit=20.0, learnt_at=0.0), slow, RULES, 5.0)
    assert (lowered.limit, lowered.edge, lowered.why) == (14.0, 20.0, Why.SLOW)
    assert lowered.reason == "first content takes 0.5 s, without background work 0.3 s"


def test_late_first_content_without_background_work_is_not_its_fault() -> None:
    slow = Sight(in_flight=20, background=0, streams=3, **{**KNOWN, "ttft_seconds": 0.5})
    first = look(Ceiling(limit=10.0, learnt_at=0.0), slow, RULES, 5.0)
    assert first.limit == look(first, slow, RULES, 50.0).limit == 10.0


def test_near_the_edge_it_grows_rarely() -> None:
    sight = Sight(in_flight=20, background=20)
    near = Ceiling(limit=15.0, edge=20.0, looked_at=0.75)
    grown, now = after(near, sight, PROBE_SECONDS - 1)
    assert grown.limit == 15.0
    assert after(grown, sight, 2.0, now)[0].limit == 16.0


def test_an_edge_that_others_pass_unharmed_lies_further() -> None:
    passed = Sight(in_flight=12, background=1, streams=1, **KNOWN)
    assert look(Ceiling(edge=10.0, learnt_at=0.0), passed, RULES, 1.0).edge == 12.0


def test_what_is_usual_is_measured_again_without_background_work() -> None:
    sight = Sight(in_flight=4, background=2, streams=1, **KNOWN)
    learning = look(LEARNT, sight, RULES, LEARNT_SECONDS + 1)
    assert verdict(learning, sight, RULES, LEARNT_SECONDS + 2).why is Why.LEARNING
    known = Sight(in_flight=4, **{**KNOWN, "quiet_streams": 2 * LEARNT_STREAMS})
    assert verdict(learning, known, RULES, LEARNT_SECONDS + 9).room > 0


def test_each_share_shuts_it() -> None:
    assert verdict(Ceiling(), Sight(is_awaited=True), RULES, 0.0).why is Why.WAITING
    assert verdict(Ceiling(), Sight(quota_used=0.8), RULES, 0.0).reason == "80% of the provider's quota is used"
    assert verdict(Ceiling(), Sight(quota_used=0.79), RULES, 0.0).room
    assert verdict(Ceiling(), Sight(process_used=0.5), RULES, 0.0).why is Why.IN_FLIGHT


def test_a_budget_leaves_its_last_share_to_others() -> None:
    assert budget_reason("budgets.user_day", 89, 100, RULES) == ""
    assert budget_reason("budgets.user_day", 90, 100, RULES).startswith("90% of budgets.user_day is used")
    assert budget_reason("budgets.user_day", 5, 0, RULES) == ""


@given(st.lists(sights, max_size=60), st.floats(0.05, 30))
def test_whatever_is_seen_the_ceiling_stays_within_its_bounds(seen: list[Sight], seconds: float) -> None:
    ceiling, now = Ceiling(), 0.0
    for sight in seen:
        before, ceiling = ceiling, look(ceiling, sight, RULES, now)
        said = verdict(ceiling, sight, RULES, now)
        assert ceiling.limit >= 1.0
        assert ceiling.limit <= before.limit + 1.0
        assert 0 <= said.room <= max(0, int(ceiling.limit) - sight.in_flight)
        assert said.room <= max(0, RULES.most - sight.background)
        assert (said.why is Why.OPEN) == (said.room > 0) and (said.room > 0 or said.reason)
        if ceiling.limit < before.limit:
            assert said.room == 0, "it rests first"
        if sight.is_awaited or sight.quota_used >= RULES.quota_share or sight.process_used >= RULES.in_flight_share:
            assert said.room == 0
        now += seconds


@given(sights)
def test_more_interactive_traffic_never_gives_more_room(sight: Sight) -> None:
    busier = Sight(
        **{name: getattr(sight, name) for name in Sight.__struct_fields__} | {"in_flight": sight.in_flight + 1}
    )
    assert verdict(Ceiling(limit=99.0), busier, RULES, 0.0).room <= verdict(Ceiling(limit=99.0), sight, RULES, 0.0).room


def test_a_worker_follows_the_gate_and_the_age_of_the_queue() -> None:
    assert concurrency(Load(), 64) == 16
    assert concurrency(Load(under_way=16, room=20, oldest_age_seconds=9.0), 64) == 36
    assert concurrency(Load(under_way=16, room=20), 64) == 16, "nothing waits"
    assert concurrency(Load(under_way=30, held=10), 64) == 24, "more would only wait at the gate"
    assert concurrency(Load(under_way=60, room=200, oldest_age_seconds=9.0), 64) == 64
    assert concurrency(Load(under_way=9, held=9), 64) == 4
