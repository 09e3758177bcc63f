"""The commands of docs/batch.md, in their order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from tests.e2e.gateway import ALICE, ROOT, WAIT_SECONDS, Gateway
from tests.e2e.test_jobs import started, write_work
from tests.e2e.upstream import Upstream

PAGE = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
PRICED = {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "fast", "model": "sim"}]}
MODELS = {"providers": {"fast": {"kind": "sim"}}, "models": {"small": PRICED, "large": PRICED}}
FAILING = ("extract",)  # the simulated model writes no JSON


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_work_as_printed(tmp_path: Path, running_upstream: Upstream) -> None:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    for number in range(3):
        (contracts / f"{number}.md").write_text(f"# Contract {number}\n\nSomebody owes somebody something.")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    write_work(tmp_path / "requests.jsonl", 2, "small")
    lines = [line for block in blocks("sh") for line in block.splitlines() if not line.startswith("export ")]
    job_id = file_id = ""
    with started(tmp_path, running_upstream, MODELS) as gateway:
        for line in lines:
            if line.startswith("headgate batch budget"):  # of what may still cost something
                job_id = paused_for_money(gateway, tmp_path)
            if not line.startswith("headgate "):
                told = shell(gateway, tmp_path, line.replace("FILE_ID", file_id))
                file_id = json.loads(told)["id"] if told else file_id
                continue
            words = shlex.split(line.replace("JOB", job_id))[1:]
            done = run(gateway, tmp_path, *words)
            assert done.returncode == int(words[1] in FAILING), line + done.stderr
            if words[1] in ("summarize", "extract", "run"):
                job_id = done.stdout.split()[-1]
    assert len(lines) == 12 and (tmp_path / "report.html").exists()


def paused_for_money(gateway: Gateway, folder: Path) -> str:
    done = run(gateway, folder, "batch", "summarize", "contracts", "--model", "small", "--max-cost", "0.000001")
    job_id = done.stdout.split()[-1]
    assert gateway.get_json(f"/v1/jobs/{job_id}", ALICE)["paused"]
    return job_id


def shell(gateway: Gateway, folder: Path, line: str) -> str:
    """What a line prints that is no command of ours."""
    environment = {**os.environ, "HEADGATE_API_KEY": ALICE}
    command = line.replace("http://localhost:8080", gateway.url)
    return subprocess.run(
        command, shell=True, check=True, capture_output=True, text=True, cwd=folder, env=environment
    ).stdout


def run(gateway: Gateway, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HEADGATE_API_KEY": ALICE, "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "headgate", *words, "--url", gateway.url)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=WAIT_SECONDS)


def test_the_examples_for_schedulers_give_options_that_exist() -> None:
    (container,) = yaml.safe_load(blocks("yaml")[0])["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    service = re.findall(r"ExecStart=(.*)", PAGE)[0]
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    known = reference.partition("## `headgate batch summarize`")[2].partition("\n## ")[0]
    for words in ([*container["command"], *container["args"]], shlex.split(service)):
        assert words[:3] == ["headgate", "batch", "summarize"]
        assert all(word in known for word in words if word.startswith("--"))
