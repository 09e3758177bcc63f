"""The life of a batch."""

from __future__ import annotations

import msgspec
import pytest

from headgate.errors import Conflict
from headgate.file_types import Batch, BatchCounts, BatchStatus, Dialect, LineProblem, NewBatch
from headgate.job_types import Counts
from headgate.policy import batches
from headgate.policy.batches import MAX_LINES, MOST_PROBLEMS, Survey, survey

ASKED = NewBatch(Dialect.OPENAI, "/v1/embeddings", "embed", "file-1", 1.0, 86_401.0)
NEW = Batch("batch_1", "acme", None, ASKED)
PROBLEM = LineProblem("invalid_json_line", "It is none.", 1)


def test_from_the_beginning_to_the_end() -> None:
    started = batches.started(NEW, 5, 2.0)
    assert (started.status, started.lines, started.in_progress_at) == (BatchStatus.IN_PROGRESS, 5, 2.0)
    assert batches.started(started, 5, 9.0) == started  # its worker was lost, and another begins
    closing = batches.finalizing(started, 3.0)
    assert (closing.status, closing.finalizing_at) == (BatchStatus.FINALIZING, 3.0)
    done = batches.ended(closing, BatchCounts(succeeded=5), ("file-2", None), 4.0)
    assert (done.status, done.ended_at, done.output_file_id) == (BatchStatus.COMPLETED, 4.0, "file-2")
    with pytest.raises(Conflict, match="completed"):
        batches.cancelling(done, 5.0)
    with pytest.raises(Conflict, match="finalizing"):
        batches.cancelling(closing, 5.0)
    again = batches.started(done, 5, 6.0)
    assert (again.status, again.has_ended, again.output_file_id) == (BatchStatus.IN_PROGRESS, False, None)


@pytest.mark.parametrize("before", [NEW, batches.started(NEW, 5, 2.0)])
def test_cancelled_on_the_way(before: Batch) -> None:
    told = batches.cancelling(before, 3.0)
    assert batches.cancelling(told, 4.0) == told and told.cancelling_at == 3.0
    assert batches.started(told, 5, 4.0).status is BatchStatus.CANCELLING
    assert batches.finalizing(told, 4.0) == told
    counts = BatchCounts(succeeded=1, expired=1, cancelled=3)
    assert batches.ended(told, counts, (None, None), 5.0).status is BatchStatus.CANCELLED


def test_late_and_failed() -> None:
    late = batches.ended(NEW, BatchCounts(succeeded=1, expired=1), (None, None), 5.0)
    assert late.status is BatchStatus.EXPIRED
    failed = batches.failed(NEW, 1, (PROBLEM,), 5.0)
    assert (failed.status, failed.problems, failed.has_ended) == (BatchStatus.FAILED, (PROBLEM,), True)


def test_what_a_file_must_be() -> None:
    many = tuple(msgspec.structs.replace(PROBLEM, line=line) for line in range(1, 150))
    assert survey(200, True, many) == Survey(200)
    assert len(survey(200, False, many).problems) == MOST_PROBLEMS
    assert survey(0, False, ()).problems[0].code == "empty_file"
    assert survey(MAX_LINES, True, ()).problems == ()
    assert survey(MAX_LINES + 1, True, ()).problems[0].code == "too_many_requests"


def test_counts_add_up_to_the_lines() -> None:
    items = Counts(queued=1, leased=2, retrying=1, succeeded=5, failed=1, dead=2, cancelled=1, expired=1)
    counts = batches.counts_of(items, 20, refused=3)
    assert counts == BatchCounts(processing=7, succeeded=5, errored=6, cancelled=1, expired=1)
    assert counts.total == 20
