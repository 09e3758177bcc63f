"""Commands in the wrong folder, and names that can be nobody's."""

from __future__ import annotations

import pytest

from headgate.commands.asking import segment
from headgate.commands.jobs import deadline_of
from headgate.errors import InvalidRequest
from tests.cli.terminal import Terminal


@pytest.mark.parametrize("command", [("usage",), ("audit",), ("keys", "list"), ("config", "diff")])
def test_what_only_reads_makes_no_database(terminal: Terminal, command: tuple[str, ...]) -> None:
    said = terminal.bad(*command)
    assert f"There is no database in {terminal.folder}/headgate-data" in said and "--data-dir" in said
    assert "There is no database in /nowhere/at/all" in terminal.bad(*command, "--data-dir", "/nowhere/at/all")
    assert not (terminal.folder / "headgate-data").exists()


def test_who_makes_a_database_by_changing_something_is_told(terminal: Terminal) -> None:
    first = terminal.run("keys", "create", "--tenant", "acme", "--data-dir", "new")
    assert (first.code, first.output[:3]) == (0, "hg-")
    assert f"Note: there was no database in {terminal.folder}/new; this made one." in first.errors
    assert "Note" not in terminal.run("keys", "create", "--tenant", "acme", "--data-dir", "new").errors
    assert "acme" in terminal.good("keys", "list", "--data-dir", "new")


@pytest.mark.parametrize("name", ["", "a" * 201, "a\nb", "\x1b[31m"])
def test_names_that_the_admin_api_refuses_are_refused(terminal: Terminal, name: str) -> None:
    assert "'tenant'" in terminal.bad("keys", "create", "--tier", "free", "--tenant", name)
    assert "'user'" in terminal.bad("keys", "create", "--tenant", "acme", "--user", name)
    assert "'tenant'" in terminal.bad("limits", "set", "--tenant", name, "tier", "pro")


@pytest.mark.parametrize("family", ["limits", "budgets"])
def test_settings_of_nobody_are_no_empty_table(terminal: Terminal, family: str) -> None:
    said = "The tier 'fre' is not in the configuration; did you mean \"free\"?"
    assert said in terminal.bad(family, "show", "--tier", "fre")
    setting = "requests_per_minute" if family == "limits" else "user_day"
    assert said in terminal.bad(family, "set", "--tier", "fre", setting, "1")
    assert "The tenant 'acne' is not in the configuration; did" in terminal.bad(family, "show", "--tenant", "acne")
    assert "acme" in terminal.good(family, "show", "--tenant", "acme")


def test_a_budget_is_no_limit_and_a_limit_no_budget(terminal: Terminal) -> None:
    assert "headgate budgets" in terminal.bad("limits", "set", "--tier", "free", "user_day", "1")
    assert "headgate limits" in terminal.bad("budgets", "set", "--tier", "free", "requests_per_minute", "1")


def test_a_deadline_is_so_long_from_now_or_a_moment() -> None:
    assert [deadline_of(text) for text in (None, "6h", "1795000000")] == [
        {},
        {"deadline_seconds": 21_600},
        {"deadline_at": 1_795_000_000},
    ]
    with pytest.raises(InvalidRequest, match="12h"):
        deadline_of("tomorrow")


@pytest.mark.parametrize("command", ["status", "watch", "result", "cancel", "deliveries", "redeliver"])
def test_what_can_be_no_id_is_asked_of_nobody(terminal: Terminal, command: str) -> None:
    said = terminal.bad("jobs", command, "job_1/../../admin/keys", "--key", "hg-1", "--url", "http://127.0.0.1:9")
    assert "is no id" in said


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "job_1\n"])
def test_what_can_be_no_id(name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no id"):
        segment(name)


def test_an_id_is_one_segment_of_a_path() -> None:
    assert segment("job_1?cancel=true#x y") == "job_1%3Fcancel%3Dtrue%23x%20y"
    assert segment("job_1:17") == "job_1%3A17"
