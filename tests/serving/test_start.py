"""What a start loads. Everything named here takes longer to import than most of headgate and serves few requests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NOT_AT_START = (
    "aio_pika", "aioboto3", "boto3", "botocore", "confluent_kafka", "google.auth", "httpx", "jinja2", "numpy",
    "opentelemetry", "prometheus_client", "psycopg", "pydantic", "redis", "requests", "rich", "smtplib",
    "sqlalchemy.dialects.postgresql", "sqlalchemy.ext.asyncio", "sqlalchemy.orm", "starlette.applications", "toktok",
    "usearch",
    "headgate.providers.sim", "headgate.sim", "headgate.telemetry.exposition", "headgate.telemetry.tracing",
    "headgate.wire.converse", "headgate.wire.embeddings", "headgate.wire.gemini.dialect",
)  # fmt: skip

SMALL = """
server: {data_dir: data}
providers: {local: {kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: none}}
models: {small: {price: free, deployments: [{provider: local, model: small}]}}
tiers: {all: {models: ["*"]}}
tenants: {acme: {tier: all, keys: [{key: hg-acme-alice-0001}]}}
"""

START = """
import asyncio, sys
import headgate.cli, headgate.commands.serve
from headgate.app import Application
from headgate.config.load import load

async def start():
    application = Application(load("headgate.yaml", {}), {"HEADGATE_ADMIN_KEY": "hg-admin"})
    await application.start()
    while not application.readiness().ready:
        await asyncio.sleep(0.01)
    await application.stop()

asyncio.run(start())
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a process that is ready: a small configuration, SQLite, no request served."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "headgate.yaml").write_text(SMALL)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", START], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert not ran.returncode, ran.stderr
    return set(ran.stdout.split())


def test_a_start_loads_nothing_that_it_does_not_need(loaded: set[str]) -> None:
    assert "sqlalchemy" in loaded
    assert not [name for name in NOT_AT_START if name in loaded]


def test_what_asks_a_server_or_is_the_parent_of_several_loads_nothing_that_they_are_made_of() -> None:
    asking = ("jobs", "batch", "dlq", "cache", "check", "serve")
    program = "import sys, headgate.cli, " + ", ".join(f"headgate.commands.{each}" for each in asking)
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(*sys.modules)"],
        env={"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(ran.stdout.split())
    assert "headgate.commands.batch" in loaded
    made_of = {"headgate.app", "headgate.gateway.pipeline", "headgate.gateway.fleet", "headgate.jobs.desk"}
    assert not loaded & {*made_of, "sqlalchemy"}
