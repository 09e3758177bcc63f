"""Jobs through a whole gateway: `headgate serve` with SQLite and a simulated model that answers at once.

python -m benchmarks.jobs_whole --items 50000

Prints seconds from submission to the last answer, CPU for each item, memory, and how soon a single item begins (p50 and
p99 of 200 that are submitted one after the other, by the clock of the machine).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds, rss_mb
from benchmarks.running import ROOT, free_port

KEY = "hg-bench-0000000000000001"
ZERO = {"median": 0, "p99": 0}
START_SECONDS = 30.0
SINGLE = 200


class Served:
    """A gateway and its client."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        sim = {"ttft_seconds": ZERO, "itl_seconds": ZERO, "output_tokens": {"median": 10, "p99": 10}}
        config = {
            "server": {"port": self.port, "data_dir": str(folder / "data"), "log": {"requests": "off"}},
            "providers": {"sim": {"kind": "sim", "sim": sim}},
            "models": {
                "sim": {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "sim", "model": "sim"}]}
            },
            "tiers": {"all": {"models": ["*"]}},
            "tenants": {"acme": {"tier": "all", "keys": [{"key": KEY}]}},
        }
        (folder / "headgate.yaml").write_text(json.dumps(config))
        command = (sys.executable, "-m", "headgate", "serve", "--config", str(folder / "headgate.yaml"))
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ))
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"it did not start: {(folder / 'log').read_text()[-1000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def submit(self, items: int) -> str:
        texts = [[{"role": "user", "content": f"item {number}"}] for number in range(items)]
        requests = [{"model": "sim", "max_tokens": 10, "messages": text} for text in texts]
        status, job = self.ask("POST", "/v1/jobs", {"requests": requests})
        assert status == 202, job
        return str(job["id"])

    def follow(self, job_id: str, look_seconds: float) -> float:
        """To its end; the most memory that was seen, in MB."""
        most = 0.0
        while not self.ask("GET", f"/v1/jobs/{job_id}")[1]["finished_at"]:
            most = max(most, rss_mb(self.process.pid))
            time.sleep(look_seconds)
        return most


def starts(served: Served) -> list[float]:
    """Milliseconds from sending a job of one item to the moment it is leased, sorted."""
    sent = {}
    for _ in range(SINGLE):
        at = time.time()
        job_id = served.submit(1)
        sent[job_id] = at
        served.follow(job_id, 0.01)
    (file,) = (served.folder / "data").glob("*.db")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        began = dict(database.execute("SELECT job_id, min(started_at) FROM job_attempts GROUP BY job_id"))
    return sorted((began[job_id] - at) * 1000 for job_id, at in sent.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        served = Served(Path(place))
        try:
            pid, begun = served.process.pid, time.monotonic()
            before = cpu_seconds(pid)
            job_id = served.submit(options.items)
            submitted = rss_mb(pid)
            most = served.follow(job_id, 0.5)
            seconds, cpu = time.monotonic() - begun, cpu_seconds(pid) - before
            waited = starts(served)
        finally:
            served.process.terminate()
            served.process.wait()
    print(f"{options.items:,} items in {seconds:.1f} s, {cpu / options.items * 1e6:.0f} us of CPU each")
    print(f"resident memory {submitted:.0f} MB after the submission, {most:.0f} MB at most")
    print(f"a single item begins after {waited[SINGLE // 2]:.1f} ms (p50), {waited[SINGLE * 99 // 100]:.1f} ms (p99)")


if __name__ == "__main__":
    main()
