"""Limits changed while a gateway runs: by the command line beside it, through its API, and with several workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RedisServer
from tests.serving.running import WAIT_SECONDS, Gateway, config_text, gateway, until

LIMITED = config_text().replace('all: {models: ["*"]}', 'all: {models: ["*"], requests_per_minute: 100}')


def command(service: Gateway, *arguments: str) -> str:
    """A command beside the server, on the same configuration and data."""
    done = subprocess.run(
        [sys.executable, "-m", "headgate", *arguments, "--config", "headgate.yaml"],
        cwd=service.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_change_on_the_command_line_reaches_the_server_and_survives_a_restart(tmp_path: Path) -> None:
    with gateway(tmp_path, config=config_text()) as service:
        assert service.chat()[0] == 200
        command(service, "limits", "set", "--tier", "all", "requests_per_minute", "1")
        until(lambda: service.chat()[0] == 429)
        status, answer = service.chat()
        assert status == 429 and "requests_per_minute" in str(answer)
        assert service.end() == 0
    with gateway(tmp_path, config=config_text()) as service:
        until(lambda: service.chat()[0] == 429)
        (limit,) = service.ask("GET", "/v1/usage", key="hg-acme-alice-0001")[1]["limits"]
        assert (limit["name"], limit["limit"]) == ("requests_per_minute", 1)
        assert "requests_per_minute is 1" in command(service, "config", "diff")
        assert "SetLimit" in command(service, "audit")
        command(service, "limits", "unset", "--tier", "all", "requests_per_minute")
        until(lambda: service.chat()[0] == 200)


def test_a_change_stays_above_a_reloaded_file(tmp_path: Path) -> None:
    with gateway(tmp_path, config=LIMITED) as service:
        body = {"tier": "all", "setting": "requests_per_minute", "value": 1}
        assert service.ask("PUT", "/admin/limits", body)[0] == 200
        answers = [service.chat() for _ in range(2)]
        assert [status for status, _ in answers] == [200, 429], answers
        service.config_file.write_text(LIMITED.replace("requests_per_minute: 100", "requests_per_minute: 200"))
        assert service.ask("POST", "/admin/reload")[0] == 200
        assert service.chat()[0] == 429
        listed = service.ask("GET", "/admin/limits?tier=all")[1]["data"][0]["settings"]
        assert [(one["value"], one["in_file"]) for one in listed if one["setting"] == "requests_per_minute"] == [
            (1, 200)
        ]


def test_workers_that_do_not_count_together_take_no_limits(tmp_path: Path) -> None:
    service = Gateway(tmp_path, "--workers", "2", config=LIMITED)
    assert service.process.wait(WAIT_SECONDS) == 1
    assert "headgate.yaml" in service.log.text() and "redis://" in service.log.text()
    service.output.text()
    with gateway(tmp_path, "--workers", "2", config=config_text()) as service:
        body = {"tier": "all", "setting": "requests_per_minute", "value": 1}
        status, answer = service.ask("PUT", "/admin/limits", body)
        assert status == 400 and "redis://" in answer["error"]["message"]
        service.config_file.write_text(LIMITED)
        status, answer = service.ask("POST", "/admin/reload")
        assert status == 400 and "store" in answer["error"]["message"]
        assert service.chat()[0] == 200


def told_by_the_store(ask: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
    """The answer, once the store says what it is to be: on a busy machine it may be too slow at first."""
    answers: list[tuple[int, Any]] = []

    def is_told() -> bool:
        answers.append(ask())
        return answers[-1][0] != 503

    until(is_told)
    return answers[-1]


@pytest.mark.server
def test_a_change_through_one_worker_reaches_all_and_they_count_together(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    config = config_text() + f"store: {redis_server.url}\n"
    alice = "hg-acme-alice-0001"
    with gateway(tmp_path, "--workers", "2", config=config) as service:
        until(lambda: len({service.ask("GET", "/admin/deployments")[1]["process"] for _ in range(12)}) == 2)
        body = {"tier": "all", "setting": "requests_per_minute", "value": 3}
        assert service.ask("PUT", "/admin/limits", body)[0] == 200
        until(lambda: all(service.ask("GET", "/v1/usage", key=alice)[1].get("limits") for _ in range(12)))
        statuses = [told_by_the_store(service.chat)[0] for _ in range(12)]
        assert sorted(statuses) == [200] * 3 + [429] * 9
        usage = partial(service.ask, "GET", "/v1/usage", key=alice)
        told = [told_by_the_store(usage)[1]["limits"] for _ in range(12)]
        assert {(limit["used"], limit["remaining"]) for (limit,) in told} == {(3, 0)}
        response = service.ask("DELETE", "/admin/limits?tier=all&setting=requests_per_minute")
        assert response[0] == 200
        until(lambda: {service.chat()[0] for _ in range(12)} == {200})
