"""Who is told when a router closes itself."""

from __future__ import annotations

from headgate.alert_types import Alert
from headgate.assembly.routing import Watching
from headgate.clock import SystemClock
from headgate.route_types import RouterGate
from headgate.telemetry.route_counts import RouteCounts
from headgate.telemetry.totals import RouteTotals


def test_a_router_that_closes_itself_is_counted_and_is_an_alert() -> None:
    totals, alerts = RouteTotals(), list[Alert]()
    watching = Watching(RouteCounts(totals), SystemClock(), alerts.append)
    watching.turned(RouterGate("auto", 1, True, 0.0, "it loses at least 12.0%"))
    watching.turned(RouterGate("auto", 2, False, 0.0, "it loses at most 4.0%"))
    watching.judged("auto", "lose")
    watching.not_judged("auto", "no_money")
    (alert,) = alerts
    assert (alert.kind, alert.tenant) == ("router", None) and "it loses at least 12.0%" in alert.sentence
    assert totals.turns == {("auto", "closed"): 1, ("auto", "open"): 1}
    assert totals.judged == {("auto", "lose"): 1} and totals.not_judged == {("auto", "no_money"): 1}
