"""What people and programs are told."""

from __future__ import annotations

from email import message_from_bytes, policy

import msgspec
import pytest

from headgate.alert_types import Alert
from headgate.alerts.messages import mail, message_id, slack_body, webhook_body
from tests.alerts.samples import AT, budget, cache, drift, router, store, tokens, trial, velocity

BUDGET = {
    "budget": "tenant_month", "of": "acme", "window": "2026-11", "percent": 80, "limit_usd": "50", "spent_usd": "40",
    "held_usd": "0.000000000001", "limit_tokens": None, "spent_tokens": None, "held_tokens": None,
    "resets_at": 1796079600.0, "enforced": True,
}  # fmt: skip
TOKENS = {
    "budget": "user_day", "of": "alice", "window": "2026-11-18", "percent": 100, "limit_usd": None, "spent_usd": None,
    "held_usd": None, "limit_tokens": 1000, "spent_tokens": 1001, "held_tokens": 0, "resets_at": None,
    "enforced": True,
}  # fmt: skip
VELOCITY = {
    "scope": "key", "of": "key_1", "action": "block", "spent_usd": "2", "limit_usd": "1", "baseline_usd": "0.1",
    "window_seconds": 300.0, "baseline_factor": None,
}  # fmt: skip
DRIFT = {
    "provider": "openai", "account": "org-1", "day": "2026-11-17", "booked_usd": "10", "billed_usd": "12",
    "difference_usd": "2",
}  # fmt: skip
CACHE = {"model": "support", "prompt_version": "", "bound": 0.01, "reason": "5 of 100 verified hits were false"}
STORE = {"store": "database", "error": "connection refused", "effect": "Requests go on."}


@pytest.mark.parametrize(
    ("alert", "kind", "facts"),
    [
        (budget(), "budget.threshold", BUDGET),
        (tokens(), "budget.threshold", TOKENS),
        (velocity(), "velocity.tripped", VELOCITY),
        (drift(), "drift.found", DRIFT),
        (store(), "store.unreachable", STORE),
        (cache(), "cache.bound_broken", CACHE),
        (router(), "router.closed", {"router": "auto", "reason": "it loses at least 12.0%"}),
        (trial(), "alert.test", {}),
    ],
)
def test_the_body_of_a_webhook(alert: Alert, kind: str, facts: dict[str, object]) -> None:
    about = {"key": alert.key, "tenant": alert.tenant, "title": alert.title, "sentence": alert.sentence}
    assert msgspec.json.decode(webhook_body(alert)) == {
        "type": kind,
        "timestamp": "2026-11-18T11:06:40.250Z",
        "data": {**about, "facts": facts},
    }


def test_a_message_has_one_id_whoever_sends_it() -> None:
    assert message_id(budget(at=AT)) == message_id(budget(at=AT + 5))
    assert len({message_id(alert) for alert in (budget(50), budget(80), budget(80, tenant="b"), drift())}) == 4


def test_slack_gets_text_without_markup_of_strangers() -> None:
    text = msgspec.json.decode(slack_body(budget(tenant="<!channel> & co")))["text"]
    assert text.startswith("*Budget tenant month of &lt;!channel&gt; &amp; co has reached 80 %*\nThe tenant month")


def test_mail_is_whole_and_cannot_be_given_headers() -> None:
    alert = budget(tenant="acme\r\nBcc: everybody@example.com\r\n\r\nwater 水")
    made = mail(alert, "Headgate <h@example.com>", ["a@example.com", "b@example.com"])
    read = message_from_bytes(made.as_bytes(), policy=policy.default)
    assert (read["From"], read["To"], read["Bcc"]) == ("Headgate <h@example.com>", "a@example.com, b@example.com", None)
    assert read["Subject"].startswith("[headgate] Budget tenant month of acme Bcc: everybody@example.com water 水 has")
    assert read["Message-ID"] == f"<{message_id(alert)}@headgate>"
    assert read["Date"] == "Wed, 18 Nov 2026 11:06:40 +0000"
    body = read.get_content()
    assert "40 USD of 50 USD in 2026-11." in body and "2026-11-18T11:06:40.250Z" in body
