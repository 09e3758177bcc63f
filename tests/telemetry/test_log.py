"""Ordinary log records: their form, and that no secret is in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.config.schema import LogConfig
from headgate.telemetry.log import JsonFormatter, configure_logging, mask_secrets

SECRETS = [
    "hg-acme-alice-0001",
    "sk-proj-Ab12_cd-34",
    "sk-ant-api03-xyz",
    "gsk_0123456789",
    "AIzaSyA-0123456789",
    "whsec_test1234",
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging as the process has it, written here, and restored after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def test_a_record_is_one_json_object_with_its_extras(stream: io.StringIO) -> None:
    configure_logging(LogConfig(), stream)
    logging.getLogger("headgate.test").warning("took %d\nlines", 3, extra={"request_id": "req_1", "kind": LogConfig})
    (line,) = stream.getvalue().strip("\n").split("\n")
    said = json.loads(line)
    assert said["time"].endswith("Z")
    assert said["kind"] == str(LogConfig)
    del said["time"], said["kind"]
    expected = {"level": "warning", "logger": "headgate.test", "message": "took 3\nlines", "request_id": "req_1"}
    assert said == expected


def test_a_traceback_is_kept_and_masked(stream: io.StringIO) -> None:
    configure_logging(LogConfig(), stream)
    try:
        raise ValueError(f"provider said: bad key {SECRETS[1]}")
    except ValueError:
        logging.getLogger("headgate.test").exception("failed for Bearer %s", SECRETS[0])
    said = json.loads(stream.getvalue())
    assert "Traceback" in said["error"]
    assert "ValueError: provider said: bad key sk-***" in said["error"]
    assert said["message"] == "failed for Bearer ***"


@pytest.mark.parametrize("format_name", ["json", "text"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_gets_out(stream: io.StringIO, format_name: str, secret: str) -> None:
    configure_logging(LogConfig(format=format_name), stream)  # type: ignore[arg-type]  # a Literal, from a parameter
    log = logging.getLogger("headgate.test")
    log.error("401 from upstream: %s", {"authorization": f"Bearer {secret}", "x-api-key": secret})
    log.error('{"error": {"message": "Incorrect API key provided: %s."}}', secret)
    log.error("url", extra={"url": f"https://host/v1?key={secret}&x=1"})
    log.error("opaque", extra={"header": "Authorization: Bearer opaque-0123456789", "body": '{"api_key": "opaque2"}'})
    log.error("on a line of its own:\n%s\nand on", secret)
    log.error("postgresql://headgate:opaque3@127.0.0.1/db is away")
    text = stream.getvalue()
    assert secret not in text
    assert "opaque-" not in text
    assert "opaque2" not in text
    assert "opaque3" not in text
    assert "127.0.0.1/db is away" in text


@pytest.mark.parametrize(
    "text", ["task-1234 risk-free disk-full", "http://127.0.0.1:9100/v1", "12:30 a@b.example", "the bearer", "hg-1"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_secrets(text) == text


def test_a_lone_surrogate_is_logged(stream: io.StringIO) -> None:
    configure_logging(LogConfig(), stream)
    logging.getLogger("headgate.test").error("half a pair: \ud83d")
    assert "half a pair" in json.loads(stream.getvalue())["message"]


@given(st.text(), st.sampled_from(["", "Bearer ", "sk-abcd", "api_key=", '"x-api-key": "', "redis://:"]), st.text())
def test_masking_never_breaks_the_json(before: str, start: str, after: str) -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": before + start + after + '"}@'})
    said = json.loads(JsonFormatter().format(record))
    assert set(said) == {"time", "level", "logger", "message"}


def test_levels_and_uvicorn(stream: io.StringIO) -> None:
    configure_logging(LogConfig(level="warning", format="text"), stream)
    logging.getLogger("headgate.test").info("not wanted")
    logging.getLogger("uvicorn.error").warning("uvicorn speaks")
    logging.getLogger("uvicorn.access").error("not wanted")
    assert "not wanted" not in stream.getvalue()
    assert "WARNING uvicorn.error: uvicorn speaks" in stream.getvalue()
