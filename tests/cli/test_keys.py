"""`headgate keys`, straight in the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
import pytest

from headgate.gateway.accounts import digest
from tests.cli.terminal import Terminal


def listed(terminal: Terminal) -> list[dict[str, str]]:
    return list(msgspec.json.decode(terminal.good("keys", "list", "--json"))["data"])


def test_create_prints_the_key_alone_and_keeps_its_hash(terminal: Terminal) -> None:
    key = terminal.good(
        "keys", "create", "--tenant", "acme", "--user", "bob", "--name", "laptop", "--expires-in", "30d"
    )
    assert key.startswith("hg-") and key.count("\n") == 1
    made = listed(terminal)[-1]
    assert (made["tenant"], made["user"], made["tier"], made["name"]) == ("acme", "bob", "pro", "laptop")
    assert made["hint"] == key.strip()[-4:] and made["expires_at"] is not None
    with closing(sqlite3.connect(terminal.folder / "headgate-data" / "headgate.db")) as database:
        assert database.execute("SELECT count(*) FROM keys WHERE hash = ?", [digest(key.strip())]).fetchone() == (1,)


def test_list_shows_a_table_with_the_keys_of_the_configuration_first(terminal: Terminal) -> None:
    terminal.good("keys", "create", "--tenant", "new", "--tier", "free")
    header, _, first, second = [line.split() for line in terminal.good("keys", "list").split("\n") if line.strip()]
    assert header == ["id", "state", "tenant", "user", "tier", "name", "hint", "source", "ends"]
    assert first[1:] == ["active", "acme", "alice", "pro", "0001", "config"]
    assert second[1:4] == ["active", "new", "free"] and second[-1] == "runtime"


def test_revoke_expire_and_rotate(terminal: Terminal) -> None:
    old = terminal.good("keys", "create", "--tenant", "acme").strip()
    key_id = listed(terminal)[-1]["id"]
    new = terminal.good("keys", "rotate", key_id, "--overlap", "2h").strip()
    assert new.startswith("hg-") and new != old
    assert [key["state"] for key in listed(terminal)] == ["active"] * 3
    for command, state in ((("expire", key_id, "--in", "0s"), "expired"), (("expire", key_id), "active")):
        assert terminal.good("keys", *command) == ""
        assert listed(terminal)[1]["state"] == state
    terminal.good("keys", "revoke", key_id)
    assert [key["state"] for key in listed(terminal)] == ["active", "revoked", "active"]


def test_every_change_leaves_an_audit_line_on_stderr(terminal: Terminal) -> None:
    made = terminal.run("keys", "create", "--tenant", "acme", "--name", "laptop")
    line = msgspec.json.decode(made.errors.splitlines()[-1])
    assert (line["logger"], line["command"], line["by"]) == ("headgate.audit", "CreateKey", "command line")
    assert line["subject"] == listed(terminal)[-1]["id"] and made.output.strip() not in made.errors
    assert terminal.run("keys", "list").errors == ""


def test_diff_shows_what_is_not_as_in_the_file(terminal: Terminal) -> None:
    terminal.good("limits", "list")  # which makes the database
    assert "Nothing" in terminal.good("config", "diff")
    terminal.good("keys", "create", "--tenant", "acme", "--name", "laptop")
    terminal.good("keys", "revoke", listed(terminal)[0]["id"])
    revoked, created = terminal.good("config", "diff").strip().split("\n")
    assert "'laptop' of acme (pro) was created on" in created and "was revoked on" in revoked
    changes = msgspec.json.decode(terminal.good("config", "diff", "--json"))
    assert [change["change"] for change in changes] == ["revoked", "created"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["create", "--tenant", "nobody"], "free, pro"),
        (["create", "--tenant", "acme", "--tier", "gold"], "no tier 'gold'"),
        (["create", "--tenant", "acme", "--expires-in", "soon"], "'soon' is not a duration"),
        (["create", "--tenant", "acme", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["revoke", "key_nobody"], "no key 'key_nobody'"),
        (["list", "--data-dir", "headgate.yaml"], "headgate.yaml"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(terminal: Terminal, arguments: list[str], words: str) -> None:
    assert words in terminal.bad("keys", *arguments)


def test_a_wrong_command_line_exits_with_2(terminal: Terminal) -> None:
    assert "--tenant" in terminal.bad("keys", "create", code=2)
    assert "No such command 'kyes'; did you mean \"keys\"?" in terminal.bad("kyes", code=2)
    assert "HEADGATE_API_KEY" in terminal.bad("jobs", "list", code=2)
    assert "--workers" in terminal.bad("serve", "--workers", "0", code=2)
