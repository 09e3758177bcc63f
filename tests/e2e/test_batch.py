"""Many documents through the command line: estimated, submitted, out of money, going on, done again for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.gateway import ALICE, ROOT, Gateway
from tests.e2e.test_jobs import started
from tests.e2e.upstream import Upstream

MORE = {
    "providers": {"fast": {"kind": "sim"}},
    "models": {"reader": {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "fast", "model": "sim"}]}},
}


def run(gateway: Gateway, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`headgate batch ...`"""
    command = (sys.executable, "-m", "headgate", "batch", *arguments, "--config", str(gateway.config_file))
    environment = {**os.environ, "HEADGATE_API_KEY": ALICE}
    whole = (*command, "--url", gateway.url)
    done = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)
    assert done.returncode == code, done.stderr
    return done


def test_a_folder_becomes_one_summary(tmp_path: Path, running_upstream: Upstream) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(5):
        (docs / f"{number}.txt").write_text(f"Document {number} says this and that.\u2028")
    (docs / "empty.txt").write_bytes(b"")
    (tmp_path / "gateway").mkdir()
    with started(tmp_path / "gateway", running_upstream, MORE) as gateway:
        summarize = ("summarize", str(docs), "--model", "reader", "--max-cost", "0.0025", "--yes")
        stopped = run(gateway, *summarize, code=1)
        job_id = stopped.stdout.split()[-1]
        assert "empty.txt: 'empty.txt' is empty." in stopped.stderr and "6 documents, at most" in stopped.stderr
        assert "may cost 5 USD" in run(gateway, "resume", job_id, "--max-cost", "5").stdout
        again = run(gateway, *summarize)
        assert again.stdout.split()[-1] == job_id
        report = json.loads(run(gateway, "report", job_id).stdout)
        assert (report["result"]["documents"], report["result"]["summarized"]) == (6, 5)
        assert [each["code"] for each in report["failures"]] == ["document_empty"]
        run(gateway, "report", job_id, "--html", str(tmp_path / "report.html"))
        page = (tmp_path / "report.html").read_text()
        assert job_id in page and "document_empty" in page and "http" not in page
