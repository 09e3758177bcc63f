"""Seeded simulations of the whole gateway: faults in the providers, clients that leave, slow readers, a reload.

Another seed or size: HEADGATE_SIM_SEED=7 HEADGATE_SIM_REQUESTS=20000 pytest tests/sim/test_gateway.py -s
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import msgspec
import pytest

from headgate.sim.traffic import Manner, Visit
from headgate.types import Route
from tests.sim.world import FIRST_TOKEN_SECONDS, STALL_SECONDS, TOTAL_SECONDS, Run, callers, play, run_world

SEED = int(os.environ.get("HEADGATE_SIM_SEED", "1"))
REQUESTS = int(os.environ.get("HEADGATE_SIM_REQUESTS", "5000"))
FULL_REQUESTS = 100_000


def played(seed: int, requests: int) -> Run:
    """Simulate and say what came of it; a violation names the seed."""
    print(f"\nseed {seed}, {requests} requests")
    began = time.process_time()
    run = play(seed, requests)
    seconds = time.process_time() - began
    print(f"{seconds:.1f} s of CPU for {run.virtual_seconds:.0f} virtual seconds, {requests / seconds:.0f} requests/s")
    print(f"outcomes {dict(sorted(run.outcomes.items()))}\nerrors {dict(sorted(run.errors.items()))}")
    return run


def test_the_invariants_hold() -> None:
    run = played(SEED, REQUESTS)
    assert sum(run.outcomes.values()) == REQUESTS
    assert set(run.outcomes) == {"done", "failed", "disconnected", "refused"}


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_invariants_hold_at_full_size() -> None:
    run = played(SEED, FULL_REQUESTS)
    assert run.outcomes["done"] > FULL_REQUESTS / 2


def test_the_same_seed_gives_the_same_event_log_in_another_process() -> None:
    """With another hash seed and other addresses, which show whether anything depends on the order of a set."""
    program = f"from tests.sim.world import play; print(play({SEED}, 600).event_log)"
    logs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert logs[0] == logs[1]


def test_another_seed_gives_another_event_log() -> None:
    assert play(SEED, 50).event_log != play(SEED + 1, 50).event_log


def test_nothing_is_left_after_a_single_request() -> None:
    """A timer that is not stopped fires before a long run is over; here it is still there."""
    body = {"model": "alpha", "messages": [], "user": "visitor-0", "stream": True, "sim": {"output_tokens": 2}}
    visit = Visit(0, 0.0, callers()[0], Route.CHAT, "alpha", stream=True, body=msgspec.json.encode(body))
    for seed in range(20):
        run_world(seed, lambda world: world.play([visit]))


def hanging(number: int, leaves_after_seconds: float, *, stream: bool, fault: str) -> Visit:
    """A client of a provider that falls silent, who leaves at an exact moment."""
    body = {
        "model": "alpha",
        "messages": [],
        "user": f"visitor-{number}",
        "stream": stream,
        "sim": {"fault": fault, "after_events": 1, "ttft_seconds": 0, "itl_seconds": 0},
    }
    return Visit(
        number=number,
        at_seconds=0.0,
        caller=callers()[0],
        route=Route.CHAT,
        model="alpha",
        stream=stream,
        body=msgspec.json.encode(body),
        manner=Manner.VANISHES,
        leaves_after_seconds=leaves_after_seconds,
    )


@pytest.mark.parametrize(
    ("fault", "stream", "moment_seconds"),
    [
        ("hang_before", True, FIRST_TOKEN_SECONDS),
        ("hang_between", True, STALL_SECONDS),
        ("hang_before", False, TOTAL_SECONDS),
        ("hang_between", False, TOTAL_SECONDS),
    ],
)
def test_a_client_that_vanishes_at_the_moment_of_a_timeout_is_gone(
    fault: str, stream: bool, moment_seconds: float
) -> None:
    """Both cancel the request's task, sometimes in the same step of the loop; the timeout must not hide the client."""
    offsets = (-1e-9, -1e-15, 0.0, 1e-15, 1e-9)
    traffic = [hanging(n, moment_seconds + offset, stream=stream, fault=fault) for n, offset in enumerate(offsets)]
    run = run_world(SEED, lambda world: world.play(traffic))
    assert sum(run.outcomes.values()) == len(traffic)
