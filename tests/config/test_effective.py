"""The configuration in force: changes stand in place of the file's values, and those that fit no longer are told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headgate.change_types import Change, Setting, Target
from headgate.config.effective import effective, value_in
from headgate.config.load import parse
from headgate.config.schema import Config
from headgate.config.settable import Family, family_of, find, settable, short
from headgate.errors import NotFound

FILE = """
providers: {sim: {kind: sim}}
models:
  small: {price: {input: 1, output: 2}, deployments: [{provider: sim, model: sim-small}]}
limits: {requests_per_minute: 900}
tiers:
  free: {models: [small], requests_per_minute: 5, budgets: {user_day: 0.5}}
  pro: {models: ["*"]}
tenants:
  acme: {tier: pro, limits: {tokens_per_minute: 7}}
"""


def config_of(text: str = FILE) -> Config:
    return parse(text.encode(), "headgate.yaml", {}).config


def tier(name: str, path: str, value: str, at: float = 1.0) -> Change:
    return Change(Setting(Target.TIER, name, path), value, at, "admin key")


def tenant(name: str, path: str, value: str, at: float = 1.0) -> Change:
    return Change(Setting(Target.TENANT, name, path), value, at, "admin key")


def test_nothing_changed_is_the_file() -> None:
    config = config_of()
    assert effective(config, []).config is config


def test_a_change_stands_in_place_and_leaves_the_rest() -> None:
    config = config_of()
    changes = [
        tier("free", "requests_per_minute", "30"),
        tier("free", "budgets.tenant_month", "3000.5"),
        tier("free", "on_exceed", '{"degrade":"small"}'),
        tier("free", "velocity.usd_per_5_minutes", "2"),
        tenant("acme", "limits.requests_per_minute", "60"),
        Change(Setting(Target.EVERYBODY, "", "requests_per_minute"), "null", 1.0, "admin key"),
    ]
    made = effective(config, changes)
    free, acme = made.config.tiers["free"], made.config.tenants["acme"]
    assert made.ignored == ()
    assert (free.requests_per_minute, free.budgets.tenant_month) == (30, Decimal("3000.5"))
    assert (free.budgets.user_day, free.models) == (Decimal("0.5"), ["small"])
    assert free.on_exceed == {"degrade": "small"} and free.velocity.usd_per_5_minutes == 2
    assert (acme.limits.requests_per_minute, acme.limits.tokens_per_minute) == (60, 7)
    assert made.config.limits.requests_per_minute is None
    assert made.config.models is config.models and config.tiers["free"].requests_per_minute == 5


def test_a_tenant_is_made_by_its_tier_whichever_change_came_first() -> None:
    made = effective(config_of(), [tenant("new", "limits.requests_per_minute", "3"), tenant("new", "tier", '"free"')])
    assert made.ignored == ()
    assert made.config.tenants["new"].tier == "free" and made.config.tenants["new"].limits.requests_per_minute == 3


@pytest.mark.parametrize(
    "change, words",
    [
        (tier("gone", "requests_per_minute", "5"), "The tier 'gone' is not in the configuration"),
        (tenant("gone", "limits.requests_per_minute", "5"), "headgate limits set --tenant gone tier TIER"),
        (tenant("acme", "tier", '"gone"'), 'there is no tier "gone"'),
        (tenant("acme", "timezone", '"Europe/Berln"'), 'did you mean "Europe/Berlin"?'),
        (tier("free", "on_exceed", '{"degrade":"gone"}'), 'there is no model "gone"'),
        (tier("free", "on_exceed", '{"dgrade":"small"}'), 'did you mean "degrade"?'),
        (tier("free", "models", '["smal"]'), 'did you mean "small"?'),
        (tier("free", "models", '"small"'), "expected a list of texts"),
        (tier("free", "requests_per_minute", '"30"'), "remove the quotes"),
        (tier("free", "requests_per_minute", "0"), "a whole number of at least 1, found 0"),
        (tier("free", "budgets.user_day", "-1"), "an amount of USD"),
        (tier("free", "enforce", "5"), "expected true or false"),
        (tier("free", "budgets.more", '[{"per":"usr","tokens":5}]'), 'did you mean "user"?'),
        (tier("free", "models", '["${HOME}"]'), "cannot refer to variables or files"),
        (tier("free", "models", "[small"), "not valid YAML"),
        (tier("free", "of_a_later_release", "5"), "This version has no setting 'of_a_later_release'"),
    ],
)
def test_what_does_not_fit_is_left_out_and_told(change: Change, words: str) -> None:
    good = tier("free", "requests_per_minute", "30") if change.setting.path != "requests_per_minute" else change
    made = effective(config_of(), [change, good] if good is not change else [change])
    (ignored,) = made.ignored
    assert ignored.change == change and words in ignored.reason
    assert made.reason(change.setting) == ignored.reason
    assert made.config.tiers["free"].requests_per_minute == (5 if good is change else 30), "the others are in force"


def test_what_hangs_on_an_ignored_change_is_ignored_too() -> None:
    changes = [tenant("new", "tier", '"gone"'), tenant("new", "budgets.tenant_month", "5")]
    made = effective(config_of(), changes)
    assert {one.change for one in made.ignored} == set(changes)
    assert made.config.tenants.keys() == {"acme"}


def test_every_setting_has_a_family_and_a_name_that_finds_it() -> None:
    for target in Target:
        for path in settable(target):
            family = family_of(path)
            assert find(target, family, path) == path
            assert find(target, family, short(path)) == path
    assert "keys" not in settable(Target.TENANT)
    assert {family_of(path) for path in settable(Target.EVERYBODY)} == {Family.LIMITS}


def test_a_misspelt_setting_is_told_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"did you mean .requests_per_minute"):
        find(Target.TIER, Family.LIMITS, "request_per_minute")
    with pytest.raises(NotFound, match="tenant_month"):
        find(Target.TENANT, Family.BUDGETS, "tenant_months")
    with pytest.raises(NotFound, match="belongs to the limits: use headgate limits"):
        find(Target.TENANT, Family.BUDGETS, "requests_per_minute")


def test_values_are_written_as_the_file_would() -> None:
    config = effective(
        config_of(), [tier("free", "budgets.more", '[{"per":"model","window":"day","tokens":1000}]')]
    ).config  # fmt: skip
    free = {path: value_in(config, Setting(Target.TIER, "free", path)) for path in settable(Target.TIER)}
    assert free["budgets.more"] == '[{"per":"model","window":"day","tokens":1000}]'
    assert (free["budgets.user_day"], free["enforce"], free["models"]) == ("0.5", "true", '["small"]')
    assert value_in(config, Setting(Target.TIER, "gone", "enforce")) is None


def test_where_processes_do_not_count_together_nothing_is_limited_at_run_time() -> None:
    limits = (
        "limits: {requests_per_minute: 900}",
        ", requests_per_minute: 5, budgets: {user_day: 0.5}",
        ", limits: {tokens_per_minute: 7}",
    )
    unlimited = FILE
    for each in limits:
        unlimited = unlimited.replace(each, "")
    config = config_of(unlimited)
    changes = [tier("free", "requests_per_minute", "30"), tenant("acme", "timezone", '"Europe/Berlin"')]
    made = effective(config, changes, workers=2)
    assert [one.change for one in made.ignored] == changes[:1]
    assert "redis://" in made.ignored[0].reason and made.config.tenants["acme"].timezone == "Europe/Berlin"
    assert effective(config, changes).ignored == ()
    shared = config_of(FILE + "store: redis://localhost:6379/0")
    assert effective(shared, changes, workers=2).ignored == ()
