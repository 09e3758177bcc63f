"""The example of docs/limits.md does what the page says: its file, its commands, a real process."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving.running import Gateway

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (config,) = re.findall(r"```yaml\n(# try.yaml\n.*?)```", text, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    gateway = Gateway(tmp_path, config=config)
    try:
        gateway.wait_until_ready()
        here = commands.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
        ran = subprocess.run(["sh", "-ec", here], cwd=tmp_path, capture_output=True, text=True, check=True)
    finally:
        gateway.process.terminate()
        gateway.process.wait()
    statuses, told = ran.stdout.split("\n", 3)[:3], ran.stdout.split("\n", 3)[3]
    assert statuses == ["200", "200", "429"]
    assert '"rate_limit_exceeded"' in told and '"requests_per_minute"' in told and '"budgets.tenant_month"' in told
