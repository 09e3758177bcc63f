"""The evening of docs/jobs.md: its commands, with a process that is killed in between and a model that is mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.serving.running import ADMIN_KEY, WAIT_SECONDS, Gateway, config_text, gateway

KEY = "hg-acme-alice-0001"
ITEMS = 60
BROKEN = "{kind: sim, sim: {ttft_seconds: {median: 0.01, p99: 0.01}, faults: {server_error: 1}}}"
MENDED = "{kind: sim, sim: {ttft_seconds: {median: 0.01, p99: 0.01}}}"


def config(other: str) -> str:
    other_model = "  other: {price: free, retries: 0, deployments: [{provider: other, model: sim-small}]}\n"
    text = config_text().replace("providers:\n", f"providers:\n  other: {other}\n")
    text = text.replace("tiers:\n", f"{other_model}tiers:\n")
    return text + "jobs: {lease_seconds: 1, retries: 0, concurrency: 2, lost_workers: 9}\n"


def told(service: Gateway, *words: str, code: int = 0) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "headgate", *words, "--url", f"http://127.0.0.1:{service.port}"],
        cwd=service.folder, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
        env={**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY, "HEADGATE_API_KEY": KEY,
             "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.strip()


def work(folder: Path, model: str, items: int) -> str:
    request = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    (folder / "work.jsonl").write_text("".join(json.dumps(request) + "\n" for _ in range(items)))
    return "work.jsonl"


def test_an_evening(tmp_path: Path) -> None:
    with gateway(tmp_path, config=config(BROKEN)) as service:
        job = told(service, "jobs", "submit", work(tmp_path, "simulated", ITEMS))
        doomed = told(service, "jobs", "submit", work(tmp_path, "other", 2))
    # The lid was closed: `gateway` kills what still runs.
    with gateway(tmp_path, config=config(BROKEN)) as service:
        told(service, "jobs", "watch", job)
        answers = [json.loads(line) for line in told(service, "jobs", "result", job).splitlines()]
        assert [answer["number"] for answer in answers] == list(range(1, ITEMS + 1))
        assert all(answer["result"]["choices"] for answer in answers)
        told(service, "jobs", "watch", doomed, code=1)
        assert f"{doomed}:1" in told(service, "dlq", "list")
        assert json.loads(told(service, "dlq", "show", f"{doomed}:1"))["attempts"] >= 1
        told(service, "dlq", "drop", f"{doomed}:2")
        unwanted = told(service, "jobs", "submit", work(tmp_path, "simulated", 3_000))
        assert "cancelled" in told(service, "jobs", "cancel", unwanted)
    with gateway(tmp_path, config=config(MENDED)) as service:
        assert told(service, "dlq", "redrive", "--job", doomed) == "1 begin anew"
        told(service, "jobs", "watch", doomed, code=1)  # one succeeded, the other was dropped
        assert "1 succeeded, 1 failed" in told(service, "jobs", "status", doomed)
