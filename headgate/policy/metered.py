"""Which meters a request passes: the rules of a tier, applied to who is asking for what.

A meter's name does not contain its limit, so a limit can be changed while things are counted, and two tiers of one
tenant count together what they both limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from headgate.metering import Meter
from headgate.policy import calendar
from headgate.types import Frozen, Measure, MeterKind, Rule, Scope

_MOVING = (MeterKind.RATE, MeterKind.ROLLING, MeterKind.VELOCITY)  # their windows move with the time
KEY, USER = "key ", "user "  # before the name of who is not simply called by it
VARYING = (Scope.SESSION, Scope.TAG)  # what one caller says differently from request to request


class Subject(Frozen, frozen=True, gc=False):
    """Who asks for what."""

    key_id: str
    user: str | None
    model: str
    session: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        return who(self.user, self.key_id)


def who(user: str | None, key_id: str) -> str:
    """The user; a key that belongs to nobody and names nobody is a user of its own.

    The ledger's group `who` says the same. A user who is called like such a key is told from it.
    """
    if not user:
        return f"{KEY}{key_id}"
    return f"{USER}{user}" if user.startswith((KEY, USER)) else user


def session_name(who: str, session: str) -> str:
    """A session together with whose it is. The first space ends the latter, whose own are written otherwise."""
    return f"{who.replace('%', '%25').replace(' ', '%20')} {session}"


def told(scope: Scope, name: str) -> str:
    """Whom a meter counts for, as people call it: without what keeps the names of meters apart."""
    if scope is Scope.SESSION:
        return name.partition(" ")[2]
    return name.removeprefix(KEY).removeprefix(USER) if scope is Scope.USER else name


def described(scope: Scope, name: str) -> str:
    """The same with what it is, and a session with whose it is: `session s1 of user ann`. "" of everybody together."""
    if scope is Scope.SESSION:
        whose = name.partition(" ")[0].replace("%20", " ").replace("%25", "%")
        return f"session {told(scope, name)} of {described(Scope.USER, whose)}"
    if scope is Scope.USER and name.startswith(KEY):
        return f"key {told(scope, name)}"
    return f"{scope} {told(scope, name)}" if name else ""


def names(scope: Scope, subject: Subject) -> tuple[str, ...]:
    """Whom a rule of a scope counts for this request: none if the request has no such thing."""
    match scope:
        case Scope.SESSION:
            return () if subject.session is None else (session_name(subject.who, subject.session),)
        case Scope.USER:
            return (subject.who,)
        case Scope.KEY:
            return (subject.key_id,)
        case Scope.MODEL:
            return (subject.model,)
        case Scope.TAG:
            return tuple(dict.fromkeys(subject.tags))
        case _:
            return ("",)


def meters(rules: Sequence[Rule], subject: Subject, zone: tzinfo, now: float) -> Iterator[Meter]:
    """One for each rule that applies, or several for tags."""
    for rule in rules:
        for name in names(rule.scope, subject):
            if not rule.only or name in rule.only:
                yield meter(rule, name, zone, now)


def meter(rule: Rule, name: str, zone: tzinfo, now: float) -> Meter:
    """A rule applied to somebody, in the window that is open now."""
    window = calendar.period(rule.window, zone, now)
    resets_at = None if rule.kind is not MeterKind.BUDGET or rule.scope is Scope.SESSION else window.ends_at
    return Meter(_name(rule, name, window.name), rule, name, resets_at, rule.limit, window.name)


def valid_until(rules: Sequence[Rule], zone: tzinfo, now: float) -> float:
    """When the first of the calendar windows ends."""
    return min((calendar.period(rule.window, zone, now).ends_at for rule in rules if rule.window), default=float("inf"))


def request_cap(rules: Sequence[Rule], measure: Measure) -> int | None:
    """The least that a single request may use, of the rules on one, whether they are enforced or tried."""
    caps = [rule.limit for rule in rules if rule.scope is Scope.REQUEST and rule.measure is measure]
    return min(caps, default=None)


def _name(rule: Rule, name: str, window: str) -> str:
    """Parts between colons, of which only the last is anybody's free choice: no two meters share a name."""
    length = f"{float(rule.period_seconds)!r}s" if rule.kind in _MOVING else window
    only = ",".join(map(_escaped, sorted(rule.only)))
    return ":".join((rule.scope, rule.kind, rule.measure, length, only, name))


def _escaped(name: str) -> str:
    """Without the characters that separate the parts of a name."""
    return name.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
