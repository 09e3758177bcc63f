"""Many documents through the command line: estimated, submitted, out of money, going on, done again for nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate.commands import request_files
from headgate.commands.asking import Server
from headgate.errors import InvalidRequest
from tests.documents.samples import pdf
from tests.e2e.gateway import ALICE, ROOT, WAIT_SECONDS, Gateway, Json
from tests.e2e.test_jobs import SLOW, started, write_work
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
    done = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=WAIT_SECONDS)
    assert done.returncode == code, done.stderr
    return done


def folder_of_all_sorts(folder: Path) -> Path:
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"Document {number} says this and that.\u2028")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing that a PDF has")
    (folder / "good.pdf").write_bytes(pdf("What a page says."))
    return folder


def spent(gateway: Gateway, calls: int = 0) -> tuple[int, float]:
    """How many calls are in the ledger, once there are so many, and what they cost."""

    def booked() -> list[Json] | None:
        rows: list[Json] = gateway.get_json("/admin/ledger?limit=1000")["data"]
        return rows if len(rows) >= calls else None

    rows = gateway.eventually(booked)
    return len(rows), sum(float(row["cost_usd"]) for row in rows)


def test_a_folder_becomes_one_summary(tmp_path: Path, running_upstream: Upstream) -> None:
    docs = folder_of_all_sorts(tmp_path / "docs")
    (tmp_path / "gateway").mkdir()
    with started(tmp_path / "gateway", running_upstream, MORE) as gateway:
        summarize = ("summarize", str(docs), "--model", "reader", "--max-cost", "0.0025")
        declined = run(gateway, *summarize, "--confirm-above", "0.000001", code=1)
        assert "Go on?" in declined.stdout and spent(gateway) == (0, 0.0)
        stopped = run(gateway, *summarize, code=1)
        job_id = stopped.stdout.split()[-1]
        assert "empty.txt: 'empty.txt' is empty." in stopped.stderr and "9 documents, at most" in stopped.stderr
        assert f"Go on: headgate batch budget {job_id} USD" in stopped.stderr
        assert spent(gateway)[1] <= 0.0025
        assert "may cost 5 USD" in run(gateway, "budget", job_id, "5").stdout
        assert run(gateway, *summarize).stdout.split()[-1] == job_id
        before = spent(gateway, calls=7)  # six documents, and one summary of theirs
        assert run(gateway, *summarize).stdout.split()[-1] == job_id and spent(gateway) == before
        report = json.loads(run(gateway, "report", job_id, "--json").stdout)
        assert (report["result"]["documents"], report["result"]["summarized"]) == (9, 6)
        codes = {each["label"]: each["code"] for each in report["failures"]}
        assert codes == {
            "empty.txt": "document_empty", "binary.txt": "document_binary", "broken.pdf": "document_broken",
        }  # fmt: skip
        assert abs(sum(float(each["cost_usd"]) for each in report["costs"]) - before[1]) < 1e-9
        printed = run(gateway, "report", job_id).stdout
        assert f"{job_id} is succeeded" in printed and "document_binary" in printed and "reader" in printed
        run(gateway, "report", job_id, "--html", str(tmp_path / "report.html"))
        page = (tmp_path / "report.html").read_text()
        assert job_id in page and "document_empty" in page and "http" not in page


def test_facts_and_requests(tmp_path: Path, running_upstream: Upstream) -> None:
    """The simulated model writes no JSON: each document is asked about twice, and fails by name."""
    docs = folder_of_all_sorts(tmp_path / "docs")
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}')
    (tmp_path / "gateway").mkdir()
    with started(tmp_path / "gateway", running_upstream, MORE) as gateway:
        sources = (str(docs / "0.txt"), str(docs / "good.pdf"))
        extract = run(gateway, "extract", *sources, "--model", "reader", "--schema", str(schema), code=1)
        assert "2 documents, at most" in extract.stderr and spent(gateway, calls=4)[0] == 4
        report = json.loads(run(gateway, "report", extract.stdout.split()[-1], "--json").stdout)
        assert {each["label"] for each in report["failures"] if each["code"] == "answer_invalid"} == {
            "0.txt", "good.pdf",
        }  # fmt: skip
        work = write_work(tmp_path / "work.jsonl", 3, "reader")
        first = run(gateway, "run", str(work)).stdout.strip()
        assert run(gateway, "run", str(work)).stdout.strip() == first and spent(gateway, calls=7)[0] == 7
        hours = datetime.now(UTC) + timedelta(hours=3)
        nightly = f"{hours:%H}:00-{hours:%H}:30"
        waiting = run(gateway, "run", str(work), "--nightly", nightly, "--timezone", "UTC", "--no-watch").stdout.strip()
        job = gateway.get_json(f"/v1/jobs/{waiting}", ALICE)
        assert waiting != first and job["window"] == nightly and job["progress"]["done"] == 0


def test_a_file_goes_up_in_portions_and_on_where_it_stopped(
    tmp_path: Path, running_upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_files, "PORTION_LINES", 2)
    (tmp_path / "gateway").mkdir()
    work = write_work(tmp_path / "work.jsonl", 7, "reader")
    work.write_bytes(b"\n" + work.read_bytes())
    sent: list[str] = []

    class Stopping(Server, frozen=True):
        """Goes away when it has two portions."""

        def ask(self, method: str, path: str, body: object = None, more: Mapping[str, str] | None = None) -> bytes:
            sent.append(path)
            if len(sent) > 3:
                raise InvalidRequest("gone.")
            return super().ask(method, path, body, more)

    with started(tmp_path / "gateway", running_upstream, MORE) as gateway:
        server, wanted = Server(gateway.url, ALICE), {"kind": "chat"}
        with pytest.raises(InvalidRequest, match=r"4 of 7 requests were sent .* Give the same command again"):
            request_files.submit_file(Stopping(gateway.url, ALICE), work, wanted, once=True)
        (stopped,) = gateway.get_json("/v1/jobs", ALICE)["data"]
        assert (stopped["paused"], stopped["progress"]) == (True, {"done": 0, "total": 4}) and spent(gateway)[0] == 0
        job = request_files.submit_file(server, work, wanted, once=True)
        assert (job.id, job.progress.total, job.paused) == (stopped["id"], 7, False)
        gateway.eventually(lambda: gateway.get_json(f"/v1/jobs/{job.id}", ALICE)["state"] == "succeeded")
        assert spent(gateway, calls=7)[0] == 7
        again = request_files.submit_file(server, work, wanted, once=True)
        assert (again.id, again.version) == (job.id, gateway.get_json(f"/v1/jobs/{job.id}", ALICE)["version"])
        assert [each["number"] for each in gateway.get_json(f"/v1/jobs/{job.id}/partial", ALICE)["data"]] == [
            1, 2, 3, 4, 5, 6, 7,
        ]  # fmt: skip


@pytest.mark.parametrize("lines", [2, 50])
def test_a_line_that_is_wrong_is_named_and_leaves_no_job(
    tmp_path: Path, running_upstream: Upstream, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(request_files, "PORTION_LINES", lines)
    (tmp_path / "gateway").mkdir()
    work = write_work(tmp_path / "work.jsonl", 7, "reader")
    good = work.read_bytes().splitlines()
    work.write_bytes(b"\n".join([*good[:5], b"", good[5].replace(b"reader", b"nobody"), good[6]]))
    with started(tmp_path / "gateway", running_upstream, MORE) as gateway:
        told = run(gateway, "run", str(work), code=1) if lines == 50 else None
        with pytest.raises(InvalidRequest) as caught:
            request_files.submit_file(Server(gateway.url, ALICE), work, {"kind": "chat"}, once=True)
        assert caught.value.message.startswith(f"Line 7 of {work}, 'model': The model 'nobody' does not exist")
        assert told is None or caught.value.message in told.stderr
        assert gateway.get_json("/v1/jobs", ALICE)["data"] == []


def _hears_interrupts() -> None:
    """Tests that were started in the background ignore them, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_whoever_stops_looking_stops_no_job(tmp_path: Path, running_upstream: Upstream) -> None:
    with started(tmp_path, running_upstream, SLOW) as gateway:
        command = (sys.executable, "-m", "headgate", "batch", "run", str(write_work(tmp_path / "work.jsonl", 60)))
        environment = {**os.environ, "HEADGATE_API_KEY": ALICE}
        with subprocess.Popen(
            (*command, "--url", gateway.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=environment, preexec_fn=_hears_interrupts,
        ) as looking:  # fmt: skip
            assert looking.stdout is not None and looking.stderr is not None
            job_id = looking.stdout.readline().strip()
            gateway.eventually(lambda: gateway.get_json(f"/v1/jobs/{job_id}", ALICE)["progress"]["done"] > 0)
            looking.send_signal(signal.SIGINT)
            assert f"headgate jobs watch {job_id}" in looking.stderr.read() and looking.wait(WAIT_SECONDS) == 130
        gateway.eventually(lambda: gateway.get_json(f"/v1/jobs/{job_id}", ALICE)["state"] == "succeeded")
