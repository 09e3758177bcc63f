"""`headgate limits`, `headgate budgets` and `headgate audit`, straight in the database."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.terminal import CONFIG, Terminal
from tests.serving.running import ADMIN_KEY, gateway


def settings(terminal: Terminal, family: str, *options: str) -> dict[tuple[str, str], Any]:
    listed = msgspec.json.decode(terminal.good(family, "list", "--json", *options))
    return {(group["name"], one["setting"]): one["value"] for group in listed["data"] for one in group["settings"]}


def test_limits_are_set_shown_and_unset(terminal: Terminal) -> None:
    assert settings(terminal, "limits") == {
        ("free", "models"): ["small"],
        ("pro", "models"): ["*"],
        ("acme", "tier"): "pro",
    }
    for arguments in (
        ("--tier", "free", "requests_per_minute", "1_000"),
        ("--tier", "free", "per_user.tokens_per_minute", "20"),
        ("--tier", "free", "enforce", "off"),
        ("--tier", "free", "velocity.usd_per_5_minutes", "2.5"),
        ("--tenant", "acme", "burst_seconds", "10"),
        ("concurrent_requests", "300"),
    ):
        assert terminal.good("limits", "set", *arguments) == ""
    found = settings(terminal, "limits")
    assert (found["free", "requests_per_minute"], found["free", "per_user.tokens_per_minute"]) == (1000, 20)
    assert (found["free", "enforce"], found["free", "velocity.usd_per_5_minutes"]) == (False, 2.5)
    assert (found["acme", "burst_seconds"], found["", "concurrent_requests"]) == (10, 300)
    terminal.good("limits", "set", "--tier", "free", "requests_per_minute", "none")
    terminal.good("limits", "unset", "concurrent_requests")
    found = settings(terminal, "limits")
    assert found["free", "requests_per_minute"] is None and ("", "concurrent_requests") not in found
    table = terminal.good("limits", "show", "--tier", "free")
    assert "per_user.tokens_per_minute" in table and "by command line" in table and "loop_guard" in table


def test_budgets_are_set_in_dollars(terminal: Terminal) -> None:
    terminal.good("budgets", "set", "--tenant", "acme", "tenant_month", "3000")
    terminal.good("budgets", "set", "--tier", "free", "on_exceed", "{degrade: small}")
    terminal.good("budgets", "set", "--tier", "free", "more", "[{per: model, window: day, tokens: 1_000_000}]")
    assert settings(terminal, "budgets") == {
        ("free", "more"): [{"per": "model", "window": "day", "tokens": 1_000_000}],
        ("free", "on_exceed"): {"degrade": "small"},
        ("acme", "tenant_month"): 3000,
    }
    assert "tenant acme: budgets.tenant_month is 3000 (null in the file)" in terminal.good("config", "diff")


def test_what_is_worth_a_warning_is_said(terminal: Terminal) -> None:
    ran = terminal.run("limits", "set", "--tier", "free", "burst_seconds", "90")
    assert ran.code == 0 and "Note: tiers.free.burst_seconds: above 60 has no effect" in ran.errors


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["limits", "set", "--tier", "free", "requests_per_minut", "5"], 'did you mean "requests_per_minute"?'),
        (["limits", "set", "--tier", "free", "requests_per_minute", "many"], "write digits only"),
        (["limits", "set", "--tier", "free", "requests_per_minute", "-5"], "at least 1, found -5"),
        (["limits", "set", "--tier", "gold", "requests_per_minute", "5"], "The tier 'gold' is not"),
        (["limits", "set", "--tier", "free", "--tenant", "acme", "enforce", "on"], "not both"),
        (["budgets", "set", "--tier", "free", "user_day", "${SECRET}"], "cannot refer to variables"),
        (["budgets", "set", "--tier", "free", "user_dya", "1"], 'did you mean "user_day"?'),
        (["budgets", "set", "user_day", "1"], "name one of them"),
        (["limits", "unset", "--tier", "free", "enforce"], "Nobody changed 'tier free enforce'"),
        (["limits", "--markdown", "list"], "no command beside it"),
        (["limits", "--markdown", "--for", "nobody"], "no tenant 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(terminal: Terminal, arguments: list[str], words: str) -> None:
    assert words in terminal.bad(*arguments)


def test_the_audit_trail_is_a_table_or_json(terminal: Terminal) -> None:
    terminal.good("limits", "set", "--tier", "free", "requests_per_minute", "5")
    terminal.good("keys", "create", "--tenant", "acme")
    rows = [line.split() for line in terminal.good("audit").split("\n") if line.strip() and "─" not in line]
    assert rows[0] == ["at", "by", "command", "of", "before", "after"]
    assert rows[1][5] == "CreateKey" and rows[1][-1] == "active"
    assert rows[2][5:] == ["SetLimit", "tier", "free", "requests_per_minute", "null", "5"]
    first = msgspec.json.decode(terminal.good("audit", "--json", "--limit", "1"))
    second = msgspec.json.decode(terminal.good("audit", "--json", "--after", first["next"]))
    assert [one["command"] for one in (*first["data"], *second["data"])] == ["CreateKey", "SetLimit"]
    with closing(sqlite3.connect(terminal.folder / "headgate-data" / "headgate.db")) as database:
        assert database.execute("SELECT by_whom, value_after FROM audit WHERE command = 'SetLimit'").fetchall() == [
            ("command line", "5")
        ]


def test_the_page_has_what_is_in_force_or_what_the_file_says(terminal: Terminal) -> None:
    assert "No limits." in terminal.good("limits", "--markdown", "--as-in-file")
    assert not (terminal.folder / "headgate-data").exists(), "no database was opened"
    terminal.good("limits", "set", "--tier", "free", "requests_per_minute", "5")
    assert "| requests in any minute | all your keys together | 5 |" in terminal.good("limits", "--markdown")
    assert "in any minute" not in terminal.good("limits", "--markdown", "--as-in-file")
    assert "set" in terminal.good("limits") and "--markdown" in terminal.good("limits")


def test_check_tells_what_several_workers_cannot_do(terminal: Terminal) -> None:
    limited = terminal.folder / "limited.yaml"
    limited.write_text(CONFIG + "limits: {requests_per_minute: 5}\n")
    assert "no problems" in terminal.good("check", "limited.yaml")
    ran = terminal.run("check", "limited.yaml", "--workers", "2")
    assert ran.code == 1 and "store: with several workers" in ran.output
    assert "store" in terminal.bad("serve", "--config", "limited.yaml", "--workers", "2")


def test_the_examples_of_the_page_run(terminal: Terminal) -> None:
    text = (Path(__file__).parents[2] / "docs" / "changing-limits.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("headgate limits reset")]
    assert len(lines) > 10
    for line in lines:
        terminal.good(*shlex.split(line.partition(" > ")[0])[1:])
    assert settings(terminal, "budgets")["acme", "tenant_month"] == 3000


SUDDEN = "kind: sim, sim: {ttft_seconds: {median: 0, p99: 0}, itl_seconds: {median: 0, p99: 0}}"


def test_a_velocity_is_reset_through_the_server(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.replace('pro: {models: ["*"]}', 'pro: {models: ["*"], velocity: {usd_per_5_minutes: 1}}')
    reset: Callable[..., str] = lambda *more: terminal.bad("limits", "reset", "--tenant", "acme", *more)  # noqa: E731
    assert "HEADGATE_ADMIN_KEY" in reset()
    monkeypatch.setenv("HEADGATE_ADMIN_KEY", ADMIN_KEY)
    assert "does not answer" in reset("--url", "http://127.0.0.1:9")
    assert "no URL of a server" in reset("--url", "localhost")
    folder = terminal.folder / "service"
    folder.mkdir()
    with gateway(folder, config=config) as service:
        url = f"http://127.0.0.1:{service.port}"
        ran = terminal.run("limits", "reset", "--tenant", "acme", "--user", "alice", "--url", url)
        assert (ran.code, ran.output) == (0, "") and "pass again" in ran.errors
        assert "no tenant 'nobody'" in terminal.bad("limits", "reset", "--tenant", "nobody", "--url", url)
        (entry,) = service.ask("GET", "/admin/audit")[1]["data"]
        assert (entry["command"], entry["subject"]) == ("ResetVelocity", "acme user alice")


def test_a_reset_says_what_else_still_stops_requests(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = CONFIG.replace("price: free", "price: {input: 100, output: 100}").replace("kind: sim", SUDDEN)
    config = dear.replace('pro: {models: ["*"]}', 'pro: {models: ["*"], velocity: {usd_per_5_minutes: 0.0001}}')
    monkeypatch.setenv("HEADGATE_ADMIN_KEY", ADMIN_KEY)
    with gateway(terminal.folder, config=config) as service:
        assert service.chat(model="small")[0] == 200
        assert service.chat(model="small")[1]["error"]["code"] == "spend_velocity"
        url = f"http://127.0.0.1:{service.port}"
        (key,) = service.ask("GET", "/admin/keys")[1]["data"]
        said = [
            terminal.run("limits", "reset", "--tenant", "acme", *whose, "--url", url).errors
            for whose in (["--key", key["id"]], ["--user", "alice"], [])
        ]
        assert service.chat(model="small")[0] == 200
    assert "user alice stops requests too: headgate limits reset --tenant acme --user alice" in said[0]
    assert "tenant acme stops requests too: headgate limits reset --tenant acme" in said[0]
    assert "user alice" not in said[1] and "tenant acme stops requests too" in said[1]
    assert said[2] == "Requests pass again, unless their user or key has.\n"
