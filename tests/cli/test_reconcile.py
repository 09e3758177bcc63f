"""`headgate reconcile`: a table, JSON, exports, and sentences about what is wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from headgate.alert_types import AlertRecord
from headgate.bills import Tokens
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_alerts import SqlAlertLog
from tests.cli.terminal import Terminal
from tests.reconciling.months import Served, record_of
from tests.reconciling.provider import ADMIN_KEY, DAY, Call, Provider, billing_api

CONFIG = """
providers:
  openai:
    kind: openai
    base_url: https://api.example/v1
    api_key: sk-one
    billing: {admin_key: ADMIN, base_url: "URL"}
models: {small: {price: {input: 0.15, output: 0.60}, deployments: [{provider: openai, model: gpt-4o-mini}]}}
tiers: {pro: {models: ["*"]}}
tenants: {acme: {tier: pro}}
"""
USED = Tokens(input=1000, output=100)
COST = 210_000_000


@pytest.fixture
def provider(terminal: Terminal) -> Iterator[Provider]:
    """One that has one request more than the ledger, ten days ago."""
    today = int(datetime.now(UTC).timestamp() // DAY)
    with billing_api() as listening:
        text = CONFIG.replace("ADMIN", ADMIN_KEY).replace("URL", listening.url)
        (terminal.folder / "headgate.yaml").write_text(text)
        at = (today - 5) * DAY + 100.0
        served = [Served(n, at, 1.0, "gpt-4o-mini", 0, ("acme", "hobby")[n], USED, False, False, False) for n in (0, 1)]
        write(terminal, served)
        listening.calls = [Call(at, "gpt-4o-mini", "key_1", USED, COST)] * 3
        yield listening


def write(terminal: Terminal, served: list[Served]) -> None:
    async def scenario() -> None:
        database = Database("sqlite", terminal.folder / "headgate-data")
        await SqlLedger(database).write([record_of(one, "openai", 0) for one in served])
        await database.aclose()

    asyncio.run(scenario())


def day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).date().isoformat()


def test_the_difference_is_a_table_and_is_booked_once(terminal: Terminal, provider: Provider) -> None:
    tried = terminal.good("reconcile", "--dry-run")
    assert "0.00021 USD would be booked, 0.00021 of differences not known before." in tried
    ran = terminal.run("reconcile")
    assert ran.code == 0 and "RunReconcile" in ran.errors, "an audit line"
    assert f"openai, {day(5)} to {day(3)}, from OpenAI's organization API for openai" in ran.output
    (row,) = [line.split() for line in ran.output.split("\n") if line.strip().startswith(day(5))]
    assert row[:6] == [day(5), "gpt-4o-mini", "missing", "0.00042", "0.00063", "0.00021"]
    assert "0.00021 USD booked" in ran.output
    assert "\n0 USD booked, 0 of differences not known before." in terminal.good("reconcile")


def test_json_is_as_the_admin_api_gives_it(terminal: Terminal, provider: Provider) -> None:
    ran = terminal.run("reconcile", "--attribute", "--json", "--since", day(6), "--until", day(4))
    (report,) = msgspec.json.decode(ran.output)["data"]
    assert (report["since"], report["until"], report["attributed"]) == (day(6), day(4), True)
    assert report["findings"][0]["causes"][0]["cause"] == "missing"
    provider.calls.pop()
    (report,) = msgspec.json.decode(terminal.run("reconcile", "--json").output)["data"]
    assert (report["findings"], report["booked_usd"]) == ([], "-0.00021")


def test_an_export_stands_for_the_api(terminal: Terminal, provider: Provider) -> None:
    (terminal.folder / "bill.csv").write_text(
        f"day,model,requests,input_tokens,output_tokens,cost_usd\n{day(5)},gpt-4o-mini-2024-07-18,2,2000,200,0.0005\n"
    )
    output = terminal.good("reconcile", "--provider", "openai", "--file", "bill.csv")
    assert f"openai, {day(5)} to {day(5)}, from bill.csv" in output
    assert "mispriced" in output and "1.1905 times" in output and "0.00008 USD booked" in output
    assert provider.asked == []


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reconciliation.md").read_text(encoding="utf-8")
    example = page.split("```sh\n")[1].split("```")[0]
    promised = page.split("```text\n")[1].split("```")[0].strip()
    script = f'set -e\nheadgate() {{ "{sys.executable}" -m headgate "$@"; }}\n{example}'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    dry, booked, again = ran.stdout.split(" of differences not known before.\n")[:3]
    assert dry.endswith("0.00063 USD would be booked, 0.00063") and "missing" in dry
    assert f"{booked} of differences not known before.".endswith(promised)
    assert again.endswith("\n0 USD booked, 0")


def test_what_is_wrong_is_said(terminal: Terminal, provider: Provider) -> None:
    (terminal.folder / "bill.csv").write_text("date,cost\n2026-11-01,3\n")
    said = terminal.bad("reconcile", "--provider", "openai", "--file", "bill.csv")
    assert "bill.csv has no column model; its columns: date, cost." in said
    assert "--file needs --provider" in terminal.bad("reconcile", "--file", "bill.csv", code=2)
    assert "nothing.csv" in terminal.bad("reconcile", "--provider", "openai", "--file", "nothing.csv")
    assert "is not closed yet" in terminal.bad("reconcile", "--until", day(0))
    assert "is not a day" in terminal.bad("reconcile", "--since", "monday")
    provider.faults = [(403, b'{"error": {"message": "Missing scopes: api.usage.read"}}')]
    ran = terminal.run("reconcile")
    assert ran.code == 1 and "admin key was refused (403: Missing scopes: api.usage.read)" in ran.errors


def test_what_a_command_finds_above_the_threshold_is_left_to_a_server_to_tell(
    terminal: Terminal, provider: Provider
) -> None:
    text = (terminal.folder / "headgate.yaml").read_text()
    (terminal.folder / "headgate.yaml").write_text(
        f"{text}\nreconcile: {{alert_above_usd: 0.0001}}\n"
        'alerts: [{on: [drift], slack: "http://127.0.0.1:9/x"}, {on: [budget], slack: "http://127.0.0.1:9/y"}]\n'
    )
    assert "not known before" in terminal.good("reconcile", "--dry-run")
    terminal.good("reconcile")
    terminal.good("reconcile")  # has nothing more to tell

    async def left() -> list[AlertRecord]:
        database = Database("sqlite", terminal.folder / "headgate-data")
        try:
            return await SqlAlertLog(database).resume(time.time() + 1.0, time.time() + 60.0)
        finally:
            await database.aclose()

    (record,) = asyncio.run(left())
    assert record.alert.kind == "drift" and len(record.deliveries) == 1 and record.pending
