"""A user's function as a kind of job, as docs/pipelines.md shows it, in a gateway that is killed in the middle."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import ask
from tests.faults.gateway import KEY, Gateway, configuration, running, until
from tests.servers import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text()


async def _json(gateway: Gateway, path: str, body: object = None) -> dict[str, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = await ask(gateway.port, "POST" if sent else "GET", path, KEY, sent)
    assert answer.status < 300, answer.body
    value: dict[str, Any] = json.loads(answer.body)
    return value


def test_the_page_is_true_even_if_the_process_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_jobs.py").write_text(PAGE.partition("```python\n")[2].partition("```")[0])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    slow = {"ttft_seconds": {"median": 1.5, "p99": 1.6}, "itl_seconds": {"median": 0.001, "p99": 0.001}}
    config = configuration(
        free_port(), tmp_path / "data", providers={"sim": {"kind": "sim", "sim": slow}},
        models={"simulated": {"price": {"input": 1, "output": 2}, "deployments": [{"provider": "sim", "model": "s"}]}},
        jobs={"lease_seconds": 2, "pipelines": {"essay": "our_jobs:essay"}},
    )  # fmt: skip

    async def scenario() -> None:
        async with running(Gateway(tmp_path, config)) as gateway:
            job = await _json(gateway, "/v1/jobs", {"kind": "essay", "request": {"topic": "water mills"}})
            path = f"/v1/jobs/{job['id']}"

            async def has_plan() -> bool:
                return bool(await gateway.ledger())

            await until(has_plan, "the plan is not made")
            gateway.kill_all()
            await gateway.ended()
            await gateway.start()

            async def over() -> bool:
                return (await _json(gateway, path))["state"] == "succeeded"

            await until(over, "the job does not end")
            made = await _json(gateway, f"{path}/result")
            assert made["plan"] and made["text"]

            async def booked() -> bool:
                return [row["outcome"] for row in await gateway.ledger()].count("done") == 2

            await until(booked, "the plan was not made once")

    asyncio.run(scenario())


def test_a_pipeline_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    config = configuration(free_port(), tmp_path / "data", jobs={"pipelines": {"essay": "no_such_module:essay"}})

    async def scenario() -> None:
        gateway = Gateway(tmp_path, config)
        gateway.spawn()
        assert await gateway.ended() != 0
        assert "jobs.pipelines.essay: the module 'no_such_module' cannot be imported" in gateway.log()

    asyncio.run(scenario())
