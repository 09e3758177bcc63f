"""Several workers under one parent: one port, one set of numbers, one configuration; and what happens when some die."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving.running import WAIT_SECONDS, Gateway, config_text, gateway, until


def workers_of(service: Gateway) -> set[int]:
    """The processes that answer. The kernel spreads connections, so that a few dozen meet them all."""
    return {service.ask("GET", "/admin/deployments")[1]["process"] for _ in range(24)}


def total(service: Gateway) -> float:
    """Requests that all of them have answered."""
    lines = service.ask("GET", "/metrics")[1].split("\n")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("headgate_requests_total{"))


def test_workers_share_a_port_and_their_numbers(tmp_path: Path) -> None:
    with gateway(tmp_path, "--workers", "2", config=config_text()) as service:
        until(lambda: len(workers_of(service)) == 2)
        assert service.process.pid not in workers_of(service)
        for _ in range(20):
            assert service.chat()[0] == 200
        until(lambda: total(service) == 20)  # the others' numbers are a second old
        until(lambda: service.ask("GET", "/admin/usage")[1]["total"]["requests"] == 20)
        assert service.end() == 0
        assert "Traceback" not in service.log.text()


def test_a_reload_through_any_worker_has_reached_all_when_it_answers(tmp_path: Path) -> None:
    config = config_text()
    with gateway(tmp_path, "--workers", "3", config=config) as service:
        until(lambda: len(workers_of(service)) == 3)
        for name in ("renamed", "again"):
            service.config_file.write_text(config.replace("simulated:", f"{name}:"))
            assert service.ask("POST", "/admin/reload")[0] == 200
            assert {service.chat(model=name)[0] for _ in range(24)} == {200}
        service.config_file.write_text(config)
        service.process.send_signal(signal.SIGHUP)
        until(lambda: {service.chat()[0] for _ in range(24)} == {200})
        service.config_file.write_text("nonsense")
        service.process.send_signal(signal.SIGHUP)
        service.log.wait_for("was not reloaded")
        assert {service.chat()[0] for _ in range(24)} == {200}


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with gateway(tmp_path, "--workers", "2", config=config_text()) as service:
        until(lambda: len(workers_of(service)) == 2)
        victim = min(workers_of(service))
        os.kill(victim, signal.SIGKILL)
        assert "SIGKILL" in service.log.wait_for(f"worker {victim} ended")
        until(lambda: len(workers_of(service) - {victim}) == 2)
        assert service.end() == 0


def test_a_key_revoked_anywhere_stops_working_everywhere(tmp_path: Path) -> None:
    with gateway(tmp_path, "--workers", "2", config=config_text()) as service:
        until(lambda: len(workers_of(service)) == 2)
        made = service.ask("POST", "/admin/keys", {"tenant": "acme"})[1]
        until(lambda: {service.chat(made["key"])[0] for _ in range(12)} == {200})
        service.ask("POST", f"/admin/keys/{made['id']}/revoke")
        until(lambda: {service.chat(made["key"])[0] for _ in range(12)} == {401})


def test_streams_in_all_workers_finish_before_the_end(tmp_path: Path) -> None:
    with gateway(tmp_path, "--workers", "2", config=config_text(itl=0.01)) as service:
        until(lambda: len(workers_of(service)) == 2)
        with ExitStack() as opened:
            streams = [opened.enter_context(service.stream()) for _ in range(12)]
            service.process.send_signal(signal.SIGTERM)
            for stream in streams:
                assert stream.read().endswith(b"data: [DONE]\n\n")
        assert service.process.wait(WAIT_SECONDS) == 0


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with gateway(tmp_path, "--workers", "2", config=config_text()) as service:
        until(lambda: len(workers_of(service)) == 2)
        service.process.kill()
        service.log.text()  # it ends when the last of them has closed it
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port))
