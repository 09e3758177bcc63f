"""Metrics of several workers: real processes, killed and replaced; what is shown never goes back."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.telemetry.directory import MetricsDirectory, start_directory
from headgate.telemetry.totals import Gauges, Snapshot
from tests.telemetry.samples import DEPLOYMENT, metrics, record

ROOT = Path(__file__).parents[2]


class Worker:
    """A real worker process, told what to do line by line."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-m", "tests.telemetry.worker", str(directory)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._until("ready")

    def tell(self, command: str) -> list[str]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self._until("ok")

    def shown(self, name: str) -> float:
        """The sum of a family's samples, as this worker shows it."""
        lines = [line for line in self.tell("show") if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _until(self, last: str) -> list[str]:
        assert self.process.stdout is not None
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != last:
            assert line or self.process.poll() is None, "the worker died"
            lines.append(line)
        return lines


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return start_directory(tmp_path / "metrics")


@pytest.fixture
def workers(directory: Path) -> Iterator[list[Worker]]:
    running = [Worker(directory), Worker(directory), Worker(directory)]
    yield running
    for worker in running:
        worker.end()


def test_any_worker_shows_the_sum(workers: list[Worker]) -> None:
    for number, worker in enumerate(workers):
        for _ in range(number + 1):
            worker.tell("count")
        worker.tell("publish")
    for worker in workers:
        assert worker.shown("headgate_requests_total") == 6
        assert worker.shown("headgate_e2e_seconds_count") == 6
        assert worker.shown("headgate_workers") == 3
        assert worker.shown("headgate_in_flight") == 3


def test_a_killed_worker_stays_in_the_counters_and_leaves_the_gauges(workers: list[Worker], directory: Path) -> None:
    for worker in workers:
        worker.tell("count")
        worker.tell("publish")
    workers[1].kill()
    assert workers[0].shown("headgate_requests_total") == 3
    assert workers[0].shown("headgate_workers") == 2
    workers[1] = Worker(directory)
    assert workers[0].shown("headgate_workers") == 2, "the gauges of the one before are not those of the new one"
    workers[1].tell("count")
    assert workers[1].shown("headgate_requests_total") == 4
    assert workers[0].shown("headgate_requests_total") == 4
    assert workers[0].shown("headgate_workers") == 3


def test_counters_never_go_back(workers: list[Worker], directory: Path) -> None:
    chance = random.Random(7)
    last = 0.0
    for _ in range(60):
        place = chance.randrange(len(workers))
        match chance.choice(["count", "count", "publish", "show", "show", "kill", "close"]):
            case "show":
                shown = workers[place].shown("headgate_requests_total")
                assert shown >= last
                last = shown
            case "kill":
                workers[place].kill()
                workers[place] = Worker(directory)
            case "close":
                workers[place].tell("close")
                workers[place].end()
                workers[place] = Worker(directory)
            case command:
                workers[place].tell(command)
    assert last > 5
    assert len(list(directory.glob("*.mp"))) <= len(workers) + 1


def test_a_new_start_begins_at_zero_and_clears_up(tmp_path: Path) -> None:
    first = start_directory(tmp_path)
    worker = MetricsDirectory(first)
    counted = metrics()
    counted.settled(record(), ())
    worker.publish(counted.snapshot())
    second = start_directory(tmp_path)
    assert first.exists(), "its worker is alive"
    worker.close()
    beside = MetricsDirectory(second)
    assert beside.merged(metrics().snapshot()).totals.requests == {}
    third = start_directory(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([second, third])
    beside.close()


def test_an_older_snapshot_does_not_replace_a_newer_one(directory: Path) -> None:
    one, other = MetricsDirectory(directory), MetricsDirectory(directory)
    counted = metrics()
    old = counted.snapshot()
    counted.settled(record(), ())
    one.publish(counted.snapshot())
    one.publish(old)
    assert len(other.merged(metrics().snapshot()).totals.requests) == 1
    one.close()
    other.close()


def test_an_unreadable_file_is_left_out_and_said(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    shared = MetricsDirectory(directory)
    (directory / "7.mp").write_bytes(b"\xc1 not MessagePack")
    assert shared.merged(metrics().snapshot()).gauges.workers == 1
    assert "slot 7" in caplog.text
    shared.close()


def test_states_are_not_summed() -> None:
    together = Snapshot(gauges=Gauges(workers=1, breaker_states={DEPLOYMENT: 1}, tokens_in_flight={DEPLOYMENT: 5}))
    together.gauges.add(
        Gauges(workers=1, ledger_healthy=False, disk_healthy=False, breaker_states={DEPLOYMENT: 2, "other": 0})
    )
    together.gauges.add(Gauges(workers=1, breaker_states={DEPLOYMENT: 0}, tokens_in_flight={DEPLOYMENT: 6}))
    assert together.gauges.breaker_states == {DEPLOYMENT: 2, "other": 0}
    assert together.gauges.tokens_in_flight == {DEPLOYMENT: 11}
    assert together.gauges.ledger_healthy is together.gauges.disk_healthy is False
    assert together.gauges.workers == 3
