"""Checks of the blocks `billing` and `reconcile`. Pure; never prints a key."""

from __future__ import annotations

from datetime import date

from headgate.config.addresses import base_url
from headgate.config.problems import Findings, Place
from headgate.config.schema import Config, ProviderConfig
from headgate.config.values import check_url

KINDS_WITH_BILLS = ("openai", "anthropic")


def check_billing(config: Config, findings: Findings) -> None:
    """Add an error for every account whose bill could not be read or compared."""
    for name, provider in config.providers.items():
        if provider.billing is not None:
            _check_account(provider, ("providers", name, "billing"), findings)
    since, place = config.reconcile.since, ("reconcile", "since")
    if since:
        try:
            date.fromisoformat(since)
        except ValueError:
            findings.error(place, "not a day", "write e.g. since: 2026-11-01")
    asked = any(provider.billing is not None for provider in config.providers.values())
    if asked and config.reconcile.days + config.reconcile.wait_days >= config.server.ledger.retention_days:
        message = "goes back beyond server.ledger.retention_days, where single attempts are gone"
        findings.error(("reconcile", "days"), message, "compare fewer days, or keep rows for longer")


def _check_account(provider: ProviderConfig, place: Place, findings: Findings) -> None:
    billing = provider.billing
    assert billing is not None
    if provider.kind not in KINDS_WITH_BILLS:
        hint = "remove it, and give headgate reconcile the provider's export with --file"
        findings.error(place, f"the kind {provider.kind} has no reports that can be asked for", hint)
        return
    key = billing.admin_key
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        hint = "check the variable or file; admin keys are made in the provider's console"
        findings.error((*place, "admin_key"), "empty, or with characters that no key has", hint)
    elif key in provider.api_keys:
        findings.error((*place, "admin_key"), "the same as a key for models", "models need a key of their own")
    if billing.base_url:
        check_url(billing.base_url, (*place, "base_url"), findings)
    elif not base_url(provider):
        findings.error((*place, "base_url"), "missing", "add e.g. base_url: https://api.openai.com/v1")
    if billing.key_ids and len(billing.key_ids) != len(provider.api_keys):
        message = f"{len(billing.key_ids)} ids for {len(provider.api_keys)} keys"
        findings.error((*place, "key_ids"), message, "give the id of each key, in the order of api_keys")
    for index, other in enumerate(billing.key_ids):
        if not other or other in billing.key_ids[:index]:
            findings.error((*place, "key_ids", index), "empty, or here twice", "each key has an id of its own")
