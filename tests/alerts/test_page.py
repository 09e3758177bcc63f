"""What `docs/alerts.md` shows is true."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.alerts.delivering import FIRST_BACKOFF_SECONDS, GIVE_UP_SECONDS, LEASE_SECONDS, LONGEST_BACKOFF_SECONDS
from headgate.alerts.delivering import MAX_WAITING_PER_CHANNEL as PER_CHANNEL
from headgate.alerts.desk import KEEP_SECONDS, MAX_WAITING, UNENTERED_SECONDS
from headgate.alerts.messages import event, message_id, webhook_body
from headgate.outgoing.signing import secret_bytes, signed_headers
from tests.alerts.samples import budget, cache, drift, router, store, tokens, trial, velocity
from tests.config.reading import BASE, errors

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def block(language: str) -> str:
    return PAGE.split(f"```{language}\n")[1].split("```")[0]


@pytest.fixture
def is_from_headgate() -> Callable[[str, dict[str, str], bytes], bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    verify: Callable[[str, dict[str, str], bytes], bool] = names["is_from_headgate"]
    return verify


def test_the_verifier_works_as_printed(is_from_headgate: Callable[[str, dict[str, str], bytes], bool]) -> None:
    body, now = webhook_body(budget()), int(time.time())
    headers = dict(signed_headers(secret_bytes(SECRET), message_id(budget()), now, body))
    assert is_from_headgate(SECRET, headers, body)
    assert not is_from_headgate(SECRET, headers, body + b" ")
    assert not is_from_headgate(SECRET.replace("M", "N"), headers, body)
    assert not is_from_headgate(SECRET, headers | {"webhook-id": "alert_2"}, body)
    old = dict(signed_headers(secret_bytes(SECRET), message_id(budget()), now - 301, body))
    assert not is_from_headgate(SECRET, old, body)


def test_the_configuration_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "slack.url").write_text("https://hooks.slack.example/services/x\n")
    text = block("yaml").replace("slack.url", str(tmp_path / "slack.url"))
    assert errors(BASE + text, {"ALERT_SECRET": SECRET, "SMTP_PASSWORD": "x"}) == []


def test_the_body_is_one_that_is_sent() -> None:
    head, printed = block("http").split("\n\n")
    body = webhook_body(budget())
    assert msgspec.json.decode(printed) == msgspec.json.decode(body)
    for name, value in signed_headers(secret_bytes(SECRET), message_id(budget()), 1_795_000_000, body):
        assert f"{name}: {value}" in head


def test_every_type_and_fact_is_listed() -> None:
    rows = dict(re.findall(r"\| `(\w+\.\w+)` \| (.*) \|", PAGE))
    for alert in (budget(), tokens(), velocity(), drift(), store(), cache(), router(), trial()):
        told = event(alert)
        for name in told.data.facts.__struct_fields__:
            assert f"`{name}`" in rows[told.type] or name.endswith("_tokens")
    assert len(rows) == 7


def test_the_numbers_are_those_of_the_code() -> None:
    told = (FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, GIVE_UP_SECONDS, LEASE_SECONDS, UNENTERED_SECONDS)
    assert told == (2, 120, 3600, 180, 30), "change docs/alerts.md with them"
    assert (MAX_WAITING, PER_CHANNEL, KEEP_SECONDS) == (1000, 200, 100 * 86_400), "change docs/alerts.md with them"
