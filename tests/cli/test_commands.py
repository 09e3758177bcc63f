"""`headgate check`, `config schema`, `usage`, `backup`, `version`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from headgate import __version__
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.types import RequestRecord
from tests.admin.office import ledger_row
from tests.cli.terminal import Terminal
from tests.serving.running import config_text, gateway, until


def write(terminal: Terminal, *records: RequestRecord) -> None:
    async def scenario() -> None:
        database = Database("sqlite", terminal.folder / "headgate-data")
        await SqlLedger(database).write(records)
        await database.aclose()

    asyncio.run(scenario())


def test_check_tells_errors_and_exits_with_1(terminal: Terminal) -> None:
    assert "no problems found" in terminal.good("check", "headgate.yaml")
    file = terminal.folder / "broken.yaml"
    file.write_text("modles: {}\nserver: {port: x}\n")
    ran = terminal.run("check", "broken.yaml")
    assert ran.code == 1
    assert "broken.yaml:1:1" in ran.output and 'did you mean "models"' in ran.output and "broken.yaml:2" in ran.output
    assert "missing.yaml" in terminal.run("check", "missing.yaml").output


def test_schema_is_the_one_in_the_documentation(terminal: Terminal) -> None:
    documented = Path(__file__).parents[2] / "docs" / "headgate.schema.json"
    printed = terminal.good("config", "schema")
    assert msgspec.json.decode(printed) == msgspec.json.decode(documented.read_bytes())


def test_usage_is_a_table_or_json(terminal: Terminal) -> None:
    write(terminal, ledger_row(1), ledger_row(2), ledger_row(3, tenant="hobby"))
    lines = [line.split() for line in terminal.good("usage").split("\n") if line.strip() and "─" not in line]
    header, acme, hobby, total = lines
    numbers = ["requests", "failed", "refused", "input", "cached", "written", "output", "reasoning", "USD"]
    assert header == ["tenant", *numbers, "saved", "USD"]
    assert acme == ["acme", "2", "0", "0", "200", "40", "0", "100", "10", "0.000164", "0"]
    assert (hobby[0], hobby[-2], total[0], total[-2]) == ("hobby", "0.000082", "total", "0.000246")
    answer = msgspec.json.decode(terminal.good("usage", "--by", "day", "--since", "2026-09-21", "--json"))
    assert [(day["group"], day["requests"]) for day in answer["data"]] == [("2026-09-21", 3)]
    assert msgspec.json.decode(terminal.good("usage", "--since", "7d", "--json"))["since"] is not None
    assert "not a time" in terminal.bad("usage", "--since", "tuesday")


def test_a_restored_backup_of_a_running_server_has_everything(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    with gateway(source, config=config_text()) as live:
        key = live.ask("POST", "/admin/keys", {"tenant": "acme"})[1]["key"]
        for _ in range(5):
            assert live.chat(key)[0] == 200
        # At once, when some rows may still wait in the journal; the answers were received, so they must be in the copy.
        assert "Copied" in terminal.run("backup", "copy", "--data-dir", "source/data").errors
    assert "exists already" in terminal.bad("backup", "copy", "--data-dir", "source/data")
    target.mkdir()
    (tmp_path / "copy").rename(target / "data")
    with gateway(target, config=config_text()) as restored:
        assert restored.chat(key)[0] == 200
        until(lambda: restored.ask("GET", "/admin/usage")[1]["total"]["requests"] == 6)


def test_backup_of_nothing_is_refused(terminal: Terminal) -> None:
    assert "no data directory" in terminal.bad("backup", "copy")


def test_version(terminal: Terminal) -> None:
    assert terminal.good("version").startswith(f"headgate {__version__} ")
    assert __version__ in terminal.good("--version")
    assert "serve" in terminal.good("--help")


def test_check_finds_pipelines_that_are_not_there(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text('jobs: {pipelines: {essay: "no_such_module:essay", chat: "json:loads"}}\n')
    told = terminal.run("check", str(file))
    assert told.code == 1
    assert "jobs.pipelines.essay: the module 'no_such_module' cannot be imported" in told.output
    assert "jobs.pipelines.chat: headgate has a kind of job of that name" in told.output
