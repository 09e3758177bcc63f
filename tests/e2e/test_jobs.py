"""An evening with jobs, as docs/jobs.md tells it: submit, lose the process, start again, watch it go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.gateway import ADMIN_KEY, ALICE, ROOT, WAIT_SECONDS, Gateway, Json
from tests.e2e.upstream import Upstream

ITEMS = 40
SLOW: Json = {
    "providers": {"slow": {"kind": "sim", "sim": {"ttft_seconds": {"median": 0.4, "p99": 0.6}}}},
    "models": {"slow": {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "slow", "model": "sim"}]}},
    "jobs": {"lease_seconds": 1.5, "concurrency": 4},
}


@contextmanager
def started(folder: Path, upstream: Upstream, more: Json) -> Iterator[Gateway]:
    gateway = Gateway(folder, upstream.url, more)
    gateway.start()
    try:
        yield gateway
    except BaseException:
        gateway.kill()
        raise
    gateway.stop()


def run(gateway: Gateway, *arguments: str, code: int = 0) -> str:
    """`headgate jobs ...`"""
    command = (sys.executable, "-m", "headgate", "jobs", *arguments, "--config", str(gateway.config_file))
    url = ("--url", gateway.url)
    environment = {**os.environ, "HEADGATE_API_KEY": ALICE}
    done = subprocess.run(
        (*command, *url), capture_output=True, text=True, cwd=ROOT, env=environment, timeout=WAIT_SECONDS
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def write_work(path: Path, items: int = ITEMS, model: str = "slow") -> Path:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "\u2028item"}]}
    path.write_text("\n".join(json.dumps(body | {"seed": number}, ensure_ascii=False) for number in range(items)))
    return path


def test_an_evening(tmp_path: Path, running_upstream: Upstream) -> None:
    with started(tmp_path, running_upstream, SLOW) as gateway:
        an_evening(gateway, tmp_path)


def an_evening(gateway: Gateway, folder: Path) -> None:
    job_id = run(gateway, "submit", str(write_work(folder / "work.jsonl"))).strip()

    def some_are_done() -> bool:
        return bool(gateway.get_json(f"/v1/jobs/{job_id}", ALICE)["progress"]["done"] >= 8)

    gateway.eventually(some_are_done)
    gateway.kill()
    gateway.start()
    run(gateway, "watch", job_id)
    items = [json.loads(line) for line in run(gateway, "result", job_id).splitlines()]
    assert [item["number"] for item in items] == list(range(1, ITEMS + 1))
    assert all(item["state"] == "succeeded" and item["result"]["choices"] for item in items)
    again = [item for item in items if item["attempts"] > 1]
    # What was under way when the process died or answered and not yet written, and nothing else.
    assert 0 < len(again) <= 2 * SLOW["jobs"]["concurrency"]
    status = json.loads(run(gateway, "status", job_id, "--json"))
    gateway.eventually(lambda: _spent(gateway, job_id) == _booked(gateway, at_least=ITEMS))
    assert len(_rows(gateway)) <= ITEMS + len(again)
    assert "succeeded" in run(gateway, "list") and status["forecast_usd"] is None


def _rows(gateway: Gateway) -> list[Json]:
    rows: list[Json] = gateway.get_json("/admin/ledger?limit=1000")["data"]
    return rows


def _booked(gateway: Gateway, at_least: int) -> int | None:
    """What the calls in the ledger cost, in billionths of a USD, once there are so many."""
    rows = _rows(gateway)
    return sum(round(float(row["cost_usd"]) * 10**9) for row in rows) if len(rows) >= at_least else None


def _spent(gateway: Gateway, job_id: str) -> int:
    """What the job cost, what is charged and what was done again, in billionths of a USD."""
    job = gateway.get_json(f"/v1/jobs/{job_id}", ALICE)
    return round((float(job["cost_usd"]) + float(job["duplicate_cost_usd"])) * 10**9)


def test_dead_letters_are_cured_and_driven_again(tmp_path: Path, running_upstream: Upstream) -> None:
    nowhere = {"price": "free", "retries": 0, "deployments": [{"provider": "nobody", "model": "x"}]}
    more = {"models": {"slow": nowhere}, "jobs": {"retries": 0}}
    with started(tmp_path, running_upstream, more) as gateway:
        cure(gateway, tmp_path)


def cure(gateway: Gateway, folder: Path) -> None:
    job_id = run(gateway, "submit", str(write_work(folder / "work.jsonl", 2))).strip()
    run(gateway, "watch", job_id, code=1)
    assert "2 dead" in run(gateway, "status", job_id) and "upstream_unreachable" in run(gateway, "result", job_id)
    config = json.loads(gateway.config_file.read_text())
    config["models"]["slow"]["deployments"] = [{"provider": "sim", "model": "sim"}]
    gateway.config_file.write_text(json.dumps(config))
    assert gateway.request("POST", "/admin/reload", {}, key=ADMIN_KEY)[0] == 200
    run(gateway, "retry", job_id)
    run(gateway, "watch", job_id)
    assert run(gateway, "result", job_id).count('"succeeded"') == 2
