"""A single gateway process: its welcome, its end in every way, its reload."""

from __future__ import annotations

import http.client
import shlex
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.servers import free_port
from tests.serving.running import ADMIN_KEY, WAIT_SECONDS, Gateway, config_text, gateway, until


def test_the_first_start_prints_a_curl_line_that_works_and_keeps_no_secret(tmp_path: Path) -> None:
    with gateway(tmp_path) as first:
        words = shlex.split(first.output.wait_for("^curl "))
        key = words[words.index("-H") + 1].removeprefix("authorization: Bearer ")
        assert words[1] == f"http://127.0.0.1:{first.port}/v1/chat/completions"
        status, answer = first.ask("POST", "/v1/chat/completions", msgspec.json.decode(words[-1]), key)
        assert status == 200 and answer["choices"][0]["message"]["content"]
        assert first.end() == 0
        assert ADMIN_KEY not in first.output.text()  # it was given, not made
        assert key not in first.log.text()
    for file in (tmp_path / "headgate-data").rglob("*"):
        assert file.is_dir() or key.encode() not in file.read_bytes()
    with gateway(tmp_path) as second:
        assert second.chat(key)[0] == 200
        assert second.end() == 0
        assert "hg-..." in second.output.text() and "virtual key  " not in second.output.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_process_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with gateway(tmp_path, config=config_text()) as one:
        idle = socket.create_connection(("127.0.0.1", one.port))
        assert one.end(number) == 0
        assert idle.recv(1) == b""
        idle.close()
        assert "Traceback" not in one.log.text()


def test_a_stream_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    with gateway(tmp_path, config=config_text(itl=0.02)) as one, one.stream() as stream:
        kept = http.client.HTTPConnection("127.0.0.1", one.port)
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        one.process.send_signal(signal.SIGTERM)
        one.log.wait_for("draining")
        assert kept.sock is not None and kept.sock.recv(1) == b""  # an idle connection is closed at once
        kept.close()
        assert one.ask("GET", "/readyz")[0] == 503
        status, refusal = one.chat()
        assert (status, refusal["error"]["code"]) == (503, "draining")
        assert stream.read().endswith(b"data: [DONE]\n\n")
        assert one.process.wait(WAIT_SECONDS) == 0
        assert "Traceback" not in one.log.text()


def test_what_cannot_finish_in_time_ends_with_a_typed_error_and_is_recorded(tmp_path: Path) -> None:
    slow = config_text(drain_seconds=0.1, itl=30)
    with gateway(tmp_path, config=slow) as one, one.stream() as stream:
        assert one.end() == 0
        events = stream.read().strip().split(b"\n\n")
        errors = [event for event in events if b'"error"' in event]
        assert msgspec.json.decode(errors[0].removeprefix(b"data: "))["error"]["code"] == "draining"
        assert b"data: [DONE]" not in events
        assert "Traceback" not in one.log.text()
    with gateway(tmp_path, config=slow) as again:
        (row,) = again.ask("GET", "/admin/ledger")[1]["data"]
        assert (row["outcome"], row["error"]) == ("failed", "draining")


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    with gateway(tmp_path, config=config_text(drain_seconds=600, itl=30)) as one, one.stream() as stream:
        one.process.send_signal(signal.SIGINT)
        one.log.wait_for("draining")
        assert one.end(signal.SIGINT) == 0
        assert b"draining" in stream.read()


def test_a_reload_takes_the_new_file_without_dropping_a_stream(tmp_path: Path) -> None:
    config = config_text(itl=0.01)
    with gateway(tmp_path, config=config) as one, one.stream() as stream:
        before = one.ask("GET", "/admin/config")[1]["hash"]
        one.config_file.write_text(config.replace("simulated:", "renamed:"))
        one.process.send_signal(signal.SIGHUP)
        until(lambda: one.ask("GET", "/admin/config")[1]["hash"] != before)
        models = one.ask("GET", "/v1/models", key="hg-acme-alice-0001")[1]["data"]
        assert [model["id"] for model in models] == ["renamed"]
        assert one.chat()[0] == 404 and one.chat(model="renamed")[0] == 200
        assert stream.read().endswith(b"data: [DONE]\n\n")


def test_a_broken_file_is_told_and_changes_nothing(tmp_path: Path) -> None:
    config = config_text()
    with gateway(tmp_path, config=config) as one:
        one.config_file.write_text(config.replace("models:", "modles:", 1))
        one.process.send_signal(signal.SIGHUP)
        assert "modles" in one.log.wait_for("was not reloaded")
        status, answer = one.ask("POST", "/admin/reload")
        assert status == 400 and 'did you mean "models"' in answer["error"]["message"]
        assert one.chat()[0] == 200


def test_metrics_have_a_listener_of_their_own_when_a_port_is_given(tmp_path: Path) -> None:
    port = free_port()
    config = config_text().replace("log:", f"metrics: {{access: 'off', port: {port}}}, log:")
    with gateway(tmp_path, config=config) as one:
        assert one.ask("GET", "/metrics")[0] == 404
        status, text = one.ask("GET", "/metrics", port=port)
        assert status == 200 and "headgate_" in text
        assert one.ask("GET", "/admin/keys", port=port)[0] == 404


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, "--workers", workers, config=config_text()) as one:
        other = Gateway(tmp_path, "--workers", workers, "--port", str(one.port), config=config_text())
        assert other.process.wait(WAIT_SECONDS) == 1
        sentence = f"headgate: Port {one.port} on 127.0.0.1 is in use. "
        assert other.log.text().startswith(sentence) and other.log.text().count("\n") == 1
        assert other.output.text() == ""


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "config, words",
    [
        (config_text().replace("tier: all", "tier: al"), 'did you mean "all"?'),
        (config_text() + "database: mysql://nobody:secret@127.0.0.1/x\n", "database"),
        (config_text().replace("data_dir: data", "data_dir: /proc/nowhere"), "/proc/nowhere"),
        (config_text().replace("{kind: sim,", "{kind: sim, ca_file: ca.pem,"), "providers.sim.ca_file"),
    ],
)
def test_what_cannot_start_says_why_and_exits_with_1(tmp_path: Path, workers: str, config: str, words: str) -> None:
    one = Gateway(tmp_path, "--workers", workers, config=config)
    assert one.process.wait(WAIT_SECONDS) == 1
    assert words in one.log.text() and "Traceback" not in one.log.text() and "secret" not in one.log.text()
    assert one.output.text() == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_of_a_newer_release_is_told_and_ends_the_start(tmp_path: Path, workers: str) -> None:
    with gateway(tmp_path, config=config_text()) as one:
        assert one.end() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "headgate.db", isolation_level=None)) as database:
        database.execute("UPDATE migrations SET compatible_since = 1000")
    one = Gateway(tmp_path, "--workers", workers, config=config_text())
    assert one.process.wait(WAIT_SECONDS) == 1
    assert "Upgrade headgate" in one.log.text() and "Traceback" not in one.log.text()
    assert one.output.text() == ""
