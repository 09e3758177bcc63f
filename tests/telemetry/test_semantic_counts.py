"""What is counted of the look-up by meaning, and the live false-hit rate made of it."""

from __future__ import annotations

from headgate.policy.semantic.confidence import ConfidenceSequence
from headgate.telemetry.exposition import exposition
from headgate.telemetry.semantic_counts import SemanticCounts, activity
from headgate.telemetry.totals import SemanticTotals, Snapshot


def test_the_rate_is_that_of_verified_hits_in_all_workers() -> None:
    workers = [SemanticTotals(), SemanticTotals()]
    for totals in workers:
        counts = SemanticCounts(totals)
        counts.decided("small", "served")
        counts.decided("small", "unsure")
        counts.decided("large", "nothing_near")
        for correct in (True, True, True, False):
            counts.verified("small", served=True, correct=correct)
        counts.verified("small", served=False, correct=False)
    workers[0].add(workers[1])
    found = activity(workers[0])
    small, interval = found["small"], ConfidenceSequence(trials=8, failures=2).interval()
    assert (small.verified, small.false_hits, small.false_hit_rate, small.compared_misses) == (8, 2, 0.25, 2)
    assert (small.low, small.high) == (interval.low, interval.high)
    assert dict(small.decisions) == {"served": 2, "unsure": 2}
    large = found["large"]
    assert (large.verified, large.false_hit_rate, large.low, large.high) == (0, None, 0.0, 1.0)
    snapshot = Snapshot()
    snapshot.totals.semantic = workers[0]
    page = exposition(snapshot).decode()
    assert 'headgate_semantic_false_hit_share{model="small",of="share"} 0.25' in page
    assert 'headgate_semantic_decisions_total{model="large",reason="nothing_near"} 2.0' in page
    assert 'headgate_semantic_verified_total{model="small",of="missed",outcome="wrong"} 2.0' in page
    assert 'of="share"' not in page.replace('model="small",of="share"', "")
