"""A terminal in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import CONFIG, Terminal


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A folder whose configuration is named in HEADGATE_CONFIG."""
    (tmp_path / "headgate.yaml").write_text(CONFIG)
    monkeypatch.setenv("HEADGATE_CONFIG", "headgate.yaml")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Terminal(tmp_path, capsys, monkeypatch)
