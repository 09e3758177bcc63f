"""The composition root of reconciliation, in a server and in commands without one: picks stores and bills."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping

import msgspec

from headgate.alert_types import Alert, DriftFacts
from headgate.billing_ports import Statements
from headgate.bills import DriftFound
from headgate.config import addresses
from headgate.config.catalogue import Catalogue
from headgate.config.schema import Config, ProviderConfig
from headgate.policy.alerting import drift_alert
from headgate.ports import Clock
from headgate.providers.bills import Account, AnthropicBills, OpenAIBills
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.proxy import proxy_settings
from headgate.reconciling.desk import Reconciler
from headgate.reconciling.nightly import Nightly
from headgate.reconciling.plan import BillingAccount, Plan, Settings, day_number, day_text
from headgate.stores.database import Database
from headgate.stores.sql_adjustments import SqlAdjustments
from headgate.stores.sql_billing import SqlBillingRecords
from headgate.stores.sql_leases import SqlLeases
from headgate.types import PICO_PER_USD, Price

log = logging.getLogger(__name__)


class Bookkeeping(msgspec.Struct, frozen=True):
    """Reconciliation of one process."""

    reconciler: Reconciler
    nightly: Nightly


def open_bookkeeping(
    database: Database,
    clock: Clock,
    config: Callable[[], Config],
    environment: Mapping[str, str],
    alert: Callable[[Alert], None] | None = None,
) -> Bookkeeping:
    """On a database. `config` is the configuration in force; `alert` is told of drift, which is logged in any case."""

    def drifted(drift: DriftFound) -> None:
        log.warning("%s", drift.words, extra={"provider": drift.provider, "reconciliation": drift.run})
        if alert is not None:
            alert(_alert(drift, clock.now()))

    reconciler = Reconciler(
        SqlBillingRecords(database),
        SqlAdjustments(database),
        clock,
        lambda: plan_of(config(), environment),
        drifted,
    )
    return Bookkeeping(reconciler, Nightly(reconciler, SqlLeases(database, clock), clock))


def plan_of(config: Config, environment: Mapping[str, str]) -> Plan:
    """What a configuration says about bills."""
    catalogue, ours = Catalogue.packaged(), config.reconcile
    usd = ours.alert_above_usd
    settings = Settings(
        at_hour=ours.at_hour,
        wait_days=ours.wait_days,
        days=ours.days,
        since_day=day_number(ours.since, "reconcile.since") if ours.since else None,
        retention_days=config.server.ledger.retention_days,
        alert_above_picousd=int(usd * PICO_PER_USD) if usd is not None else None,
        alert_above_share=ours.alert_above_share,
    )
    accounts = [
        _account(name, provider, _prices(config, name, catalogue), environment)
        for name, provider in config.providers.items()
    ]
    return Plan(settings, tuple(accounts))


def _account(
    name: str, provider: ProviderConfig, prices: dict[str, Price], environment: Mapping[str, str]
) -> BillingAccount:
    fingerprints = [hashlib.sha256(key.encode()).hexdigest()[:8] for key in provider.api_keys]
    ids = provider.billing.key_ids if provider.billing is not None else []
    return BillingAccount(
        provider=name,
        prices=prices,
        fingerprints=frozenset(fingerprints),
        keys=dict(zip(ids, fingerprints, strict=False)),
        statements=_statements(name, provider, environment),
    )


def _prices(config: Config, provider_name: str, catalogue: Catalogue) -> dict[str, Price]:
    """Of every model that is asked of a provider, by the provider's name of it; where two differ, the first one's."""
    provider = config.providers[provider_name]
    prices: dict[str, Price] = {}
    for model in config.models.values():
        for deployment in model.deployments:
            if deployment.provider == provider_name:
                price = catalogue.price_of(deployment, model, provider)
                if price is not None:
                    prices.setdefault(deployment.model, price)
    return prices


def _statements(name: str, provider: ProviderConfig, environment: Mapping[str, str]) -> Statements | None:
    billing = provider.billing
    if billing is None:
        return None
    connector = Connector(
        ConnectSettings(
            connect_seconds=provider.connect_seconds,
            ca_file=provider.ca_file,
            verify_tls=provider.verify_tls,
            proxy=proxy_settings(provider.proxy, environment),
        )
    )
    account = Account(
        provider=name,
        base_url=(billing.base_url or addresses.base_url(provider)).rstrip("/"),
        admin_key=billing.admin_key,
        project=billing.project,
        by_key=bool(billing.key_ids),
    )
    return AnthropicBills(account, connector) if provider.kind == "anthropic" else OpenAIBills(account, connector)


def _alert(drift: DriftFound, at: float) -> Alert:
    """As all alerts about bills, with the sentence that has the causes."""
    facts = DriftFacts(
        provider=drift.provider,
        account="",
        day=f"{day_text(drift.first_day)}/{day_text(drift.last_day)}",
        booked_picousd=drift.ledger_picousd,
        billed_picousd=drift.billed_picousd,
    )
    return msgspec.structs.replace(drift_alert(facts, at), sentence=drift.words)
