"""Which meters a request passes, and that no two of them share a name."""

from __future__ import annotations

import itertools
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.scale import scaled

UTC = ZoneInfo("UTC")
NOW = 1_767_225_600.0  # 2026-01-01
UGLY = st.text(alphabet=":, %ab", min_size=1, max_size=5)
REQUESTS, TOKENS, USD = Measure.REQUESTS, Measure.TOKENS, Measure.USD


def rule(scope: Scope, kind: MeterKind = MeterKind.BUDGET, measure: Measure = USD, **rest: Any) -> Rule:
    return Rule("rule", kind, measure, scope, 100, **rest)


def name(rule: Rule, subject: str, now: float = NOW) -> str:
    return metered.meter(rule, subject, UTC, now).name


def test_a_rule_is_applied_to_whom_its_scope_says() -> None:
    rules = [rule(scope) for scope in Scope if scope is not Scope.REQUEST]
    who = Subject("key_1", "alice", "small", "s1", ("red", "blue", "red"))
    found = [(meter.rule.scope, meter.subject) for meter in metered.meters(rules, who, UTC, NOW)]
    assert found == [
        (Scope.SESSION, "alice s1"), (Scope.USER, "alice"), (Scope.KEY, "key_1"), (Scope.MODEL, "small"),
        (Scope.TAG, "red"), (Scope.TAG, "blue"), (Scope.TENANT, ""), (Scope.GLOBAL, ""),
    ]  # fmt: skip


def test_who_has_no_session_or_tag_has_no_meter_of_one() -> None:
    rules = [rule(Scope.SESSION), rule(Scope.TAG), rule(Scope.USER)]
    for user in (None, ""):
        (only,) = metered.meters(rules, Subject("key_1", user, "small"), UTC, NOW)
        assert only.subject == "key key_1"


def test_nobody_is_called_like_a_key_that_belongs_to_nobody() -> None:
    users = [None, "alice", "key key_1", "user key key_1", "user alice", "key", "user"]
    found = [metered.who(user, "key_1") for user in users]
    assert found[0] == "key key_1" and found[1] == "alice" and len(set(found)) == len(users)


def test_people_are_told_names_as_they_gave_them() -> None:
    for user, session, whose in (
        ("ann lee", "s 1", "user ann lee"), (None, "s1", "key key_1"), ("key k", "50%", "user key k"),
    ):  # fmt: skip
        who = Subject("key_1", user, "small", session)
        (told,) = metered.names(Scope.SESSION, who)
        assert metered.told(Scope.SESSION, told) == session
        assert metered.described(Scope.SESSION, told) == f"session {session} of {whose}"
        assert metered.described(Scope.USER, who.who) == whose
        assert metered.told(Scope.USER, who.who) == (user or "key_1")
    assert metered.described(Scope.MODEL, "small") == "model small"


def test_a_rule_for_some_models_counts_those_alone() -> None:
    some = rule(Scope.MODEL, only=frozenset({"large", "huge"}))
    counted = {model: [*metered.meters([some], Subject("k", "u", model), UTC, NOW)] for model in ("large", "small")}
    assert len(counted["large"]) == 1 and not counted["small"]


def test_a_limit_or_whether_it_is_enforced_changes_no_name() -> None:
    one, other = rule(Scope.USER), Rule("another", MeterKind.BUDGET, USD, Scope.USER, 7, enforce=False)
    assert name(one, "alice") == name(other, "alice")


def test_a_window_has_a_meter_of_its_own() -> None:
    monthly = rule(Scope.TENANT, window="month")
    assert name(monthly, "") == name(monthly, "", NOW + 30 * 86_400) != name(monthly, "", NOW + 31 * 86_400)
    berlin = metered.meter(monthly, "", ZoneInfo("Europe/Berlin"), NOW)
    assert (berlin.window, berlin.resets_at) == ("2026-01", NOW + 31 * 86_400 - 3_600)
    assert metered.meter(rule(Scope.SESSION), "alice s1", UTC, NOW).resets_at is None


def test_the_first_window_that_ends_says_how_long_meters_are_valid() -> None:
    rules = [rule(Scope.TENANT, window="month"), rule(Scope.USER, window="day"), rule(Scope.KEY)]
    assert metered.valid_until(rules, UTC, NOW) == NOW + 86_400
    assert metered.valid_until(rules[2:], UTC, NOW) == float("inf")


def test_the_least_cap_on_a_request_counts() -> None:
    caps = [Rule("r", MeterKind.BUDGET, USD, Scope.REQUEST, limit, enforce=enforced) for limit, enforced in
            ((5, True), (3, True), (1, False))]  # fmt: skip
    assert metered.request_cap(caps, USD) == 1 and metered.request_cap(caps, TOKENS) is None


def test_tags_and_models_with_colons_do_not_meet_rules_for_some() -> None:
    assert name(rule(Scope.TAG, only=frozenset({"a"})), "a") != name(rule(Scope.TAG), "a:a")
    assert name(rule(Scope.MODEL, only=frozenset({"a:b", "b"})), "b") != name(rule(Scope.MODEL, only=frozenset({"a", "b"})), "b:b")  # fmt: skip  # noqa: E501


def test_long_periods_that_differ_little_differ() -> None:
    rolling = [rule(Scope.USER, MeterKind.ROLLING, period_seconds=seconds) for seconds in (2_592_000, 2_592_001.0)]
    assert name(rolling[0], "a") != name(rolling[1], "a")
    rates = [rule(Scope.USER, MeterKind.RATE, REQUESTS, period_seconds=seconds) for seconds in (60.0, 3_600.0)]
    assert name(rates[0], "a") != name(rates[1], "a")


RULES = st.builds(
    lambda scope, counted, window, seconds, only: Rule(
        "rule", *counted, scope, 1, window=window, period_seconds=seconds, only=only
    ),
    st.sampled_from([scope for scope in Scope if scope is not Scope.REQUEST]),
    st.sampled_from([(MeterKind.RATE, TOKENS), (MeterKind.BUDGET, USD), (MeterKind.ROLLING, USD)]),
    st.sampled_from(["", "day", "month"]),
    st.sampled_from([60.0, 300.0]),
    st.frozensets(UGLY, max_size=2),
)


def counted(rule: Rule, subject: str) -> tuple[object, ...]:
    """What makes a meter that meter and no other."""
    moves = rule.kind is not MeterKind.BUDGET
    window = rule.period_seconds if moves else rule.window
    return rule.scope, rule.kind, rule.measure, window, rule.only, subject


@settings(max_examples=scaled(20_000, 500))
@given(st.lists(st.tuples(RULES, UGLY), min_size=2, max_size=6))
def test_no_two_meters_share_a_name(meters: list[tuple[Rule, str]]) -> None:
    for (rule, subject), (other, another) in itertools.combinations(meters, 2):
        same = counted(rule, subject) == counted(other, another)
        assert (name(rule, subject) == name(other, another)) == same


@given(UGLY, UGLY, UGLY, UGLY)
def test_no_two_sessions_share_a_name(who: str, session: str, other: str, another: str) -> None:
    same = (who, session) == (other, another)
    assert (metered.session_name(who, session) == metered.session_name(other, another)) == same
