"""The report on a job in a browser, by its link: it follows the job's events and loads nothing from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from headgate.commands.asking import Server
from headgate.commands.request_files import submit_file
from tests.e2e.gateway import ALICE, CAROL, Gateway
from tests.e2e.test_jobs import SLOW, started, write_work
from tests.e2e.upstream import Upstream

CHROMIUM = shutil.which("chromium")


def begun(gateway: Gateway, folder: Path, items: int) -> str:
    return submit_file(Server(gateway.url, ALICE), write_work(folder / "work.jsonl", items), {}).id


def link_to(gateway: Gateway, job_id: str) -> str:
    return gateway.url + Server(gateway.url, ALICE).ask("GET", f"/v1/jobs/{job_id}/report?format=link").decode()


def test_the_link_opens_the_report_and_its_events_and_nothing_else(tmp_path: Path, running_upstream: Upstream) -> None:
    with started(tmp_path, running_upstream, SLOW) as gateway:
        job_id = begun(gateway, tmp_path, 500)
        at = f"/v1/jobs/{job_id}"
        link = httpx.URL(link_to(gateway, job_id))
        with httpx.Client(base_url=gateway.url) as client:
            signed = {name: link.params[name] for name in ("expires", "signature")}
            page = client.get(link)
            assert page.headers["content-type"].startswith("text/html") and "EventSource" in page.text
            assert "//" not in page.text.replace("</", "") and "src=" not in page.text
            with client.stream("GET", f"{at}/events", params=signed) as events:
                assert events.status_code == 200 and next(events.iter_lines()).startswith("event: ")
            for path, query in (
                ("/report", {}), ("/events", {}), ("/report", {**signed, "signature": "0" * 64}), ("/partial", {}),
                ("/report", {**signed, "expires": "1"}), ("/report", {**signed, "format": "link"}),
            ):  # fmt: skip
                assert client.get(at + path, params=query).status_code in (401, 403, 410), path
            other = client.get(f"{at}/report", headers={"authorization": f"Bearer {CAROL}"})
            assert other.status_code == 404
            client.post(f"{at}/cancel", headers={"authorization": f"Bearer {ALICE}"})
            gateway.eventually(lambda: gateway.get_json(at, ALICE)["finished_at"] is not None)
            assert "<script" not in client.get(link).text


@pytest.mark.full
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_sees_the_job_end_without_loading_the_page_again(tmp_path: Path, running_upstream: Upstream) -> None:
    with started(tmp_path, running_upstream, SLOW) as gateway:
        job_id = begun(gateway, tmp_path, 20)
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=20000",
            "--dump-dom", link_to(gateway, job_id),
        ]  # fmt: skip
        seen = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
        assert "EventSource" in seen, "a page that was loaded after the end has no script"
        assert "20 of 20" in seen and "<b>succeeded</b>" in seen
