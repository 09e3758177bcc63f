"""The command line called in process, as a shell would."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from headgate.cli import main

CONFIG = """
providers: {sim: {kind: sim}}
models: {small: {price: free, deployments: [{provider: sim, model: sim-small}]}}
tiers: {free: {models: [small]}, pro: {models: ["*"]}}
tenants: {acme: {tier: pro, keys: [{key: hg-acme-alice-0001, user: alice}]}}
"""


class Ran(msgspec.Struct, frozen=True):
    """What a command printed and its exit code."""

    code: int
    output: str
    errors: str


class Terminal:
    """A folder with a configuration in which commands are run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def run(self, *arguments: str) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["headgate", *arguments])
        code: object = None
        try:
            main()
        except SystemExit as end:
            code = end.code
        captured = self._capsys.readouterr()
        if isinstance(code, str):  # what Python does with it at the end of a program
            return Ran(1, captured.out, f"{captured.err}{code}\n")
        assert code is None or isinstance(code, int)
        return Ran(code or 0, captured.out, captured.err)

    def good(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        ran = self.run(*arguments)
        assert ran.code == 0, ran
        return ran.output

    def bad(self, *arguments: str, code: int = 1) -> str:
        """What a command that must fail says: nothing on standard output, no traceback."""
        ran = self.run(*arguments)
        assert (ran.code, ran.output) == (code, ""), ran
        assert "Traceback" not in ran.errors
        return ran.errors
