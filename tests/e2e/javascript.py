"""Scripts for Node.js with their packages, installed as the lock file says."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"
LOCK = FOLDER / "package-lock.json"
INSTALL_SECONDS = 240
RUN_SECONDS = 240


def install() -> Path:
    """The folder of the scripts, its packages installed; skips where that cannot be done."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip("needs the Debian packages nodejs and npm")
    with LOCK.open() as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # test processes run beside each other
        installed = FOLDER / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < LOCK.stat().st_mtime:
            done = subprocess.run(
                ("npm", "ci", "--ignore-scripts"),
                cwd=FOLDER,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip(f"npm could not install the clients: {done.stderr[-500:]}")
            installed.touch()
    return FOLDER


def run(script: Path, *arguments: str) -> Any:
    """The JSON that a script prints."""
    done = subprocess.run(
        ("node", str(script), *arguments),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _environment() -> dict[str, str]:
    """Without proxies, and without io_uring, on which Node.js hangs for a minute now and then."""
    named = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**named, "UV_USE_IO_URING": "0"}
