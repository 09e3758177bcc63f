"""The blocks `billing` and `reconcile`. The mark » stands where the problem is expected to be told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.config.reading import config, errors, marked

OPENAI = "kind: openai, base_url: 'https://api.openai.com/v1', api_keys: [sk-one, sk-two]"


def text(kind: str, billing: str) -> str:
    return f"providers:\n  p: {{{kind}, billing: {billing}}}\n"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            text("kind: sim", "{admin_key: sk-admin}").replace("billing", "»billing"),
            "the kind sim has no reports that can be asked for",
        ),
        (text(OPENAI, "{admin_key: »''}"), "billing.admin_key: empty, or with characters that no key has"),
        (text(OPENAI, "{admin_key: »sk-two}"), "the same as a key for models"),
        (text(OPENAI, "{admin_key: sk-admin, base_url: »api.openai.com}"), "not an http or https URL"),
        (text(OPENAI, "{admin_key: sk-admin, key_ids: »[key_1]}"), "1 ids for 2 keys"),
        (text(OPENAI, "{admin_key: sk-admin, key_ids: [key_1, »key_1]}"), "empty, or here twice"),
        (text(OPENAI, "{}").replace("billing", "»billing"), "admin_key"),
        ("reconcile: {since: »tuesday}\n", "reconcile.since: not a day; write e.g. since: 2026-11-01"),
        ("reconcile: {at_hour: »24}\n", "reconcile.at_hour"),
        (
            text(OPENAI, "{admin_key: sk-admin}") + "reconcile: {days: »90}\n",
            "goes back beyond server.ledger.retention_days",
        ),
    ],
)
def test_what_cannot_work_is_told(written: str, said: str) -> None:
    plain, place = marked(written)
    found = errors(plain)
    assert any(place in line and said in line for line in found), found


def test_what_is_right_is_read() -> None:
    read = config(text(OPENAI, "{admin_key: sk-admin, key_ids: [key_1, key_2], project: proj_1}"))
    billing = read.providers["p"].billing
    assert billing is not None
    assert (billing.admin_key, billing.project, billing.key_ids) == ("sk-admin", "proj_1", ["key_1", "key_2"])
    assert (read.reconcile.wait_days, read.reconcile.alert_above_usd) == (2, Decimal(1))
    config(text("kind: anthropic, api_key: sk-ant", "{admin_key: sk-ant-admin}"))


def test_without_accounts_a_short_ledger_is_no_problem() -> None:
    assert errors("server: {ledger: {retention_days: 1}}\n") == []
