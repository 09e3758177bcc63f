"""What `docs/deliveries.md` and `docs/retention.md` show is true."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.assembly.delivering import KEEP_SECONDS
from headgate.config.load import parse
from headgate.deliveries.desk import MAX_RECIPIENTS
from headgate.deliveries.messages import LARGEST_RESULT_BYTES, Event, body, event, message_id
from headgate.delivery_types import Delivery, DeliveryState, Target, TargetKind, Told
from headgate.job_types import Counts, Job, JobState, Owner
from headgate.jobs.erasing import COUNT_SECONDS
from headgate.outgoing.signing import secret_bytes, signed_headers
from headgate.outgoing.undelivered import ATTEMPT_SECONDS
from headgate.policy import delivering
from headgate.stores.outbox_tables import SETTLE_SECONDS
from tests.config.reading import BASE, errors

DOCS = Path(__file__).parents[2] / "docs"
PAGE, RETENTION = ((DOCS / name).read_text(encoding="utf-8") for name in ("deliveries.md", "retention.md"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TARGET = Target(TargetKind.WEBHOOK, "https://hooks.example.com/headgate", "acme webhook hooks.example.com")
TOLD = Told("succeeded", 2, 2, 1_795_000_000.25)
DELIVERY = Delivery("job_1.5.1", "job_1", "acme", TARGET, TOLD, DeliveryState.PENDING, 0, 0.0, 0.0, "", None, 1)
JOB = Job(
    id="job_1", owner=Owner("acme", "key_1", "alice"), kind="chat", state=JobState.SUCCEEDED,
    counts=Counts(succeeded=2),
    created_at=0.0, priority=0, start_at=0.0, deadline_at=None, paused=False, finished_at=1.0, error_code="", error="",
    version=5, cost_picousd=164_000_000,
)  # fmt: skip


def blocks(page: str, language: str) -> list[str]:
    return [part.split("```")[0] for part in page.split(f"```{language}\n")[1:]]


@pytest.fixture
def is_from_headgate() -> Callable[[str, dict[str, str], bytes], bool]:
    names: dict[str, Any] = {}
    exec(blocks(PAGE, "python")[0], names)
    verify: Callable[[str, dict[str, str], bytes], bool] = names["is_from_headgate"]
    return verify


def test_the_verifier_works_as_printed(is_from_headgate: Callable[[str, dict[str, str], bytes], bool]) -> None:
    sent, now = body(event(DELIVERY, JOB, "https://llm.example.com")), int(time.time())
    headers = dict(signed_headers(secret_bytes(SECRET), message_id(DELIVERY), now, sent))
    assert is_from_headgate(SECRET, headers, sent)
    assert not is_from_headgate(SECRET, headers, sent + b" ")
    assert not is_from_headgate(SECRET, headers | {"webhook-id": "msg_2"}, sent)
    old = dict(signed_headers(secret_bytes(SECRET), message_id(DELIVERY), now - 301, sent))
    assert not is_from_headgate(SECRET, old, sent)


def test_the_body_is_one_that_is_sent() -> None:
    head, printed = blocks(PAGE, "http")[0].split("\n\n")
    shown = msgspec.json.decode(printed, type=Event)
    made = event(DELIVERY, JOB, "https://llm.example.com")
    assert msgspec.structs.replace(shown, id=made.id) == made and f"webhook-id: {shown.id}" in head
    assert set(msgspec.json.decode(printed)["data"]) == set(msgspec.json.decode(body(made))["data"])


def test_the_configurations_work_as_printed() -> None:
    for page in (PAGE, RETENTION):
        for text in blocks(page, "yaml"):
            base = BASE.replace("tiers:\n", "") if "tiers:" in text else BASE
            whole = base.replace('  pro: {models: ["*"]}\n', "") if "tiers:" in text else base
            whole = whole.replace("tier: pro", "tier: free") if "tiers:" in text else whole
            assert errors(whole + text, {"SMTP_PASSWORD": "x"}) == [], text


def test_the_numbers_are_those_of_the_code() -> None:
    limits = (delivering.AT_ONCE_PER_LANE, delivering.AT_ONCE_PER_TENANT, delivering.AT_ONCE, ATTEMPT_SECONDS)
    assert limits == (4, 24, 64, 10.0), "change docs/deliveries.md with them"
    pauses = (delivering.backoff_seconds(1, 0.5), delivering.LONGEST_BACKOFF_SECONDS, delivering.GIVE_UP_SECONDS)
    assert pauses == (3.75, 3600.0, 86_400.0) and SETTLE_SECONDS == 1.0, "change docs/deliveries.md with them"
    assert (MAX_RECIPIENTS, LARGEST_RESULT_BYTES, KEEP_SECONDS) == (10, 200_000, 30 * 86_400.0)
    config = parse(BASE.encode(), "f.yaml", {}).config
    assert (config.jobs.retention_days, COUNT_SECONDS) == (30, 5.0), "change docs/retention.md with them"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (PAGE, RETENTION):
        for name in re.findall(r"\]\(([a-z-]+\.md)\)", page):
            assert (DOCS / name).is_file(), name
