"""What applies to a request is found once for all that are alike."""

from __future__ import annotations

from headgate.gateway.applying import RuleBook
from headgate.types import Call, Measure, MeterKind, Route, Rule, Scope
from tests.gateway.limited import budget, caller, per_minute

SESSION = Rule("session", MeterKind.BUDGET, Measure.USD, Scope.SESSION, 10**12)
TAG = Rule("tag", MeterKind.BUDGET, Measure.USD, Scope.TAG, 10**12, window="day")
SAID = (("one", ()), ("two", ()), (None, ()), (None, ("a",)), ("one", ("a", "b")))


def call(session: str | None, tags: tuple[str, ...] = ()) -> Call:
    return Call("req_1", Route.CHAT, "small", False, {}, 0, session=session, tags=tags)


def subjects(*rules: Rule) -> list[list[str]]:
    """Whom the meters of each request are for; asked twice, it is the same tuple of meters."""
    book, alice = RuleBook(), caller(*rules)
    calls = [call(*said) for said in SAID]
    first, again = ([book.applying(alice, one, "small", (), 0.0).meters for one in calls] for _ in range(2))
    assert all(one is other for one, other in zip(first, again, strict=True))
    return [[meter.subject for meter in meters] for meters in again]


def test_sessions_and_tags_matter_where_a_rule_is_about_them_alone() -> None:
    assert subjects(SESSION) == [["alice one"], ["alice two"], [], [], ["alice one"]]
    assert subjects(TAG) == [[], [], [], ["a"], ["a", "b"]]
    assert subjects(budget(10**12), per_minute(10)) == [["", ""]] * len(SAID)


def test_who_has_no_rule_about_them_is_looked_up_once() -> None:
    book = RuleBook()
    for who, kinds in ((caller(per_minute(10)), 1), (caller(SESSION), 2)):
        found = [book.applying(who, call(name), "small", (), 0.0).meters for name in ("a", "b")]
        assert len(set(map(id, found))) == kinds
