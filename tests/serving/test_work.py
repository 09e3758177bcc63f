"""`headgate work`: a process that works and serves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headgate.clock import SystemClock
from headgate.queues.opening import open_queue
from tests.servers import RedisServer
from tests.serving.running import ADMIN_KEY, WAIT_SECONDS, Gateway, Lines, config_text, gateway, until

KEY = "hg-acme-alice-0001"
CONFIG = config_text() + "jobs: {workers: off, lease_seconds: 2}\n"


class WorkProcess:
    """A worker under test, in the folder of a gateway."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headgate", "work", "--config", "headgate.yaml", *options],
            cwd=folder,
            env={**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.log, self.output = Lines(self.process.stderr), Lines(self.process.stdout)


@contextmanager
def working(folder: Path, *options: str) -> Iterator[WorkProcess]:
    made = WorkProcess(folder, *options)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        made.log.text()
        made.output.text()


def submit(service: Gateway, items: int) -> str:
    request = {"model": "simulated", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    status, job = service.ask("POST", "/v1/jobs", {"requests": [request] * items}, KEY)
    assert status == 202, job
    return str(job["id"])


def metric(service: Gateway, port: int, name: str) -> float:
    _, text = service.ask("GET", "/metrics", port=port)
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def test_gateways_that_do_not_work_have_it_done(tmp_path: Path) -> None:
    with gateway(tmp_path, config=CONFIG) as service:
        job = submit(service, 20)
        with working(tmp_path, "--concurrency", "3") as worker:
            port = int(re.findall(r":(\d+)/metrics", worker.output.wait_for("works on jobs"))[0])
            until(lambda: service.ask("GET", f"/v1/jobs/{job}", key=KEY)[1]["state"] == "succeeded")
            assert service.ask("GET", "/readyz", port=port)[0] == 200
            assert service.ask("POST", "/v1/chat/completions", {}, KEY, port)[0] in (404, 405)
            until(lambda: metric(service, port, 'headgate_job_ends_total{how="succeeded"}') == 20)
            assert (
                metric(service, port, "headgate_job_claims_total")
                == metric(service, port, "headgate_job_calls_total")
                == 20
            )
            assert metric(service, port, "headgate_job_concurrency") == 3
            assert metric(service, service.port, "headgate_job_concurrency") == 0
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(WAIT_SECONDS) == 0


def test_what_it_has_when_it_is_told_to_end_is_finished_or_given_back(tmp_path: Path) -> None:
    slow = CONFIG.replace("median: 0.01, p99: 0.01", "median: 600, p99: 600").replace(
        "drain_seconds: 20", "drain_seconds: 0.2"
    )
    with gateway(tmp_path, config=slow) as service:
        job = submit(service, 2)
        with working(tmp_path) as worker:
            until(lambda: service.ask("GET", f"/v1/jobs/{job}", key=KEY)[1]["items"] == {"leased": 2})
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(WAIT_SECONDS) == 0
        assert service.ask("GET", f"/v1/jobs/{job}", key=KEY)[1]["items"] == {"retrying": 2}


def test_it_hears_at_the_queue_that_the_command_line_names(tmp_path: Path, redis_server: RedisServer) -> None:
    (tmp_path / "headgate.yaml").write_text(CONFIG)

    async def unheard(*signs: bytes) -> int:
        queue = open_queue(redis_server.url, SystemClock())
        for sign in signs:
            await queue.send(sign)
        depth = (await queue.backlog()).depth
        await queue.aclose()
        return depth

    assert asyncio.run(unheard(b"jobs")) == 1
    with working(tmp_path, "--queue", redis_server.url) as worker:
        worker.output.wait_for("works on jobs")
        until(lambda: asyncio.run(unheard()) == 0)


def test_a_queue_that_is_none_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text(CONFIG)
    with working(tmp_path, "--queue", "carrier-pigeon://here") as worker:
        assert worker.process.wait(WAIT_SECONDS) == 1
        assert "The address of a queue begins with one of redis://" in worker.log.text()


def test_limits_that_each_process_would_count_for_itself_are_refused(tmp_path: Path) -> None:
    limited = CONFIG.replace('models: ["*"]', 'models: ["*"], requests_per_minute: 5')
    (tmp_path / "headgate.yaml").write_text(limited)
    with working(tmp_path) as worker:
        assert worker.process.wait(WAIT_SECONDS) == 1
        assert "store" in worker.log.text()
